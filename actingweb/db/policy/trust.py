"""Trust relationships."""

from abc import abstractmethod
from datetime import datetime
from typing import Any, ClassVar

from actingweb.db.policy.arguments import (
    now,
    optional_text,
    stored_text,
    text,
    text_or_empty,
    to_bool,
    to_utc,
    without_none,
)
from actingweb.db.policy.entity import ActorOwnedEntity, EntityList
from actingweb.db.policy.operation import operation
from actingweb.db.protocols import DbTrustListProtocol, DbTrustProtocol
from actingweb.db.records import TrustRecord
from actingweb.db.utils import canonical_connection_method

__all__ = ["TrustListPolicy", "TrustPolicy", "is_secret"]

_CLIENT = ("client_name", "client_version", "client_platform", "oauth_client_id", "aw_supported", "aw_version")
_KEPT_WHEN_EMPTY = ("baseuri", "secret", "desc", "verification_token")


class TrustPolicy(ActorOwnedEntity[TrustRecord], DbTrustProtocol):
    record: ClassVar[type[TrustRecord]] = TrustRecord

    @abstractmethod
    def _read_by_token(self, actor_id: str, token: str) -> TrustRecord | None:
        """Return a trust of the actor whose secret is `token`, confirmed by a strongly consistent read."""

    @classmethod
    @abstractmethod
    def _has_token(cls, actor_id: str, token: str) -> bool:
        """Tell whether a trust of the actor has this secret, by a strongly consistent read."""

    @abstractmethod
    def _upsert(self, record: TrustRecord) -> datetime:
        """Store the whole `record`, but keep a stored `created_at`; return the resulting `created_at`."""

    @operation("trust read")
    def get(
        self, actor_id: str | None = None, peerid: str | None = None, token: str | None = None
    ) -> dict[str, Any] | None:
        self.handle = self._found(actor_id, peerid, token) if actor_id else None
        return None if self.handle is None else _result(self.handle)

    def _found(self, actor_id: str, peerid: str | None, token: str | None) -> TrustRecord | None:
        actor_id = text(actor_id, "actor_id")
        if peerid:
            return self._get(actor_id, text(peerid, "peerid"))
        if token and self._searchable(actor_id, token := text(token, "token")):
            return self._read_by_token(actor_id, token)
        return None

    @operation("trust read")
    def get_many(self, actor_id: str | None = None, peerids: Any = None) -> list[dict[str, Any]]:
        return list(map(_result, self._get_many(actor_id, peerids, "peerids")))

    @operation("trust write")
    def create(
        self,
        actor_id: str | None = None,
        peerid: str | None = None,
        baseuri: str = "",
        peer_type: str = "",
        relationship: str = "",
        secret: str = "",
        approved: bool | str = False,
        verified: bool | str = False,
        peer_approved: bool | str = False,
        verification_token: str = "",
        desc: str = "",
        peer_identifier: str | None = None,
        established_via: str | None = None,
        created_at: datetime | str | None = None,
        last_accessed: datetime | str | None = None,
        last_connected_via: str | None = None,
        client_name: str | None = None,
        client_version: str | None = None,
        client_platform: str | None = None,
        oauth_client_id: str | None = None,
        aw_supported: str | None = None,
        aw_version: str | None = None,
        capabilities_fetched_at: datetime | str | None = None,
    ) -> bool:
        if not actor_id or not peerid:
            return self._not_stored()
        created = to_utc(created_at, "created_at") or now()
        method = established_via if last_connected_via is None else last_connected_via
        record = TrustRecord(
            id=stored_text(actor_id, "actor_id"),
            peerid=stored_text(peerid, "peerid"),
            baseuri=text_or_empty(baseuri, "baseuri"),
            type=text_or_empty(peer_type, "peer_type"),
            relationship=text_or_empty(relationship, "relationship"),
            secret=text_or_empty(secret, "secret"),
            approved=to_bool(approved),
            verified=to_bool(verified),
            peer_approved=to_bool(peer_approved),
            verification_token=text_or_empty(verification_token, "verification_token"),
            desc=text_or_empty(desc, "desc"),
            peer_identifier=optional_text(peer_identifier, "peer_identifier"),
            established_via=optional_text(established_via, "established_via"),
            created_at=created,
            last_accessed=to_utc(last_accessed, "last_accessed") or created,
            last_connected_via=_method(method),
            client_name=optional_text(client_name, "client_name"),
            client_version=optional_text(client_version, "client_version"),
            client_platform=optional_text(client_platform, "client_platform"),
            oauth_client_id=optional_text(oauth_client_id, "oauth_client_id"),
            aw_supported=optional_text(aw_supported, "aw_supported"),
            aw_version=optional_text(aw_version, "aw_version"),
            capabilities_fetched_at=to_utc(capabilities_fetched_at, "capabilities_fetched_at"),
        )
        self._check_key(record.id, record.peerid)
        self._check_record(record)
        first = self._upsert(record)
        self.handle = record if first == created else record.replace(created_at=first)
        return True

    @operation("trust write")
    def modify(
        self,
        baseuri: str | None = None,
        secret: str | None = None,
        desc: str | None = None,
        approved: bool | str | None = None,
        verified: bool | str | None = None,
        verification_token: str | None = None,
        peer_approved: bool | str | None = None,
        peer_identifier: str | None = None,
        established_via: str | None = None,
        created_at: datetime | str | None = None,
        last_accessed: datetime | str | None = None,
        last_connected_via: str | None = None,
        client_name: str | None = None,
        client_version: str | None = None,
        client_platform: str | None = None,
        oauth_client_id: str | None = None,
        aw_supported: str | None = None,
        aw_version: str | None = None,
        capabilities_fetched_at: datetime | str | None = None,
    ) -> bool:
        texts = {
            "baseuri": baseuri,
            "secret": secret,
            "desc": desc,
            "verification_token": verification_token,
            "peer_identifier": peer_identifier,
            "established_via": established_via,
            "client_name": client_name,
            "client_version": client_version,
            "client_platform": client_platform,
            "oauth_client_id": oauth_client_id,
            "aw_supported": aw_supported,
            "aw_version": aw_version,
        }
        flags = {"approved": approved, "verified": verified, "peer_approved": peer_approved}
        times = {
            "created_at": created_at,
            "last_accessed": last_accessed,
            "capabilities_fetched_at": capabilities_fetched_at,
        }
        changes: dict[str, Any] = {name: optional_text(value, name) for name, value in texts.items()}
        changes |= {name: changes[name] or None for name in _KEPT_WHEN_EMPTY}
        changes |= {name: to_bool(value) for name, value in flags.items() if value is not None}
        changes |= {name: to_utc(value, name) for name, value in times.items()}
        changes["last_connected_via"] = None if last_connected_via is None else _method(last_connected_via) or ""
        return self._modify(without_none(changes))

    @operation("trust delete")
    def delete(self) -> bool:
        return self._delete_handle()

    @classmethod
    @operation("trust read")
    def is_token_in_db(cls, actor_id: str | None = None, token: str | None = None) -> bool:
        if not actor_id or not token:
            return False
        actor_id, token = text(actor_id, "actor_id"), text(token, "token")
        return cls._searchable(actor_id, token) and cls._has_token(actor_id, token)

    @classmethod
    def _searchable(cls, actor_id: str, token: str) -> bool:
        return cls._can_exist(actor_id) and cls.limits.field(TrustRecord, "secret", token) is None


class TrustListPolicy(EntityList[TrustRecord], DbTrustListProtocol):
    record: ClassVar[type[TrustRecord]] = TrustRecord

    def __init__(self) -> None:
        super().__init__()
        self.trusts: list[dict[str, Any]] | None = None

    @operation("trust list")
    def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        self.trusts = [_result(row) for row in self._fetch(actor_id)]
        return self.trusts

    @operation("trust delete")
    def delete(self) -> bool:
        return self._delete_all()


def is_secret(stored: str, token: str) -> bool:
    """Tell whether `token` is the stored secret. The comparison takes the same time wherever they differ."""
    # Imported here, because it loads OpenSSL and most processes compare no secret.
    import hmac

    return hmac.compare_digest(stored.encode(errors="surrogatepass"), token.encode(errors="surrogatepass"))


def _method(method: object) -> str | None:
    return canonical_connection_method(optional_text(method, "last_connected_via"))


def _result(record: TrustRecord) -> dict[str, Any]:
    # Unpacked at once: reading the columns one by one takes half as long again, and lists have many rows.
    (
        actor_id,
        peerid,
        baseuri,
        peer_type,
        relationship,
        secret,
        desc,
        approved,
        peer_approved,
        verified,
        verification_token,
        peer_identifier,
        established_via,
        created_at,
        last_accessed,
        last_connected_via,
        *client,
        capabilities_fetched_at,
    ) = record
    result: dict[str, Any] = {
        "id": actor_id,
        "peerid": peerid,
        "baseuri": baseuri,
        "type": peer_type,
        "relationship": relationship,
        "secret": secret,
        "desc": desc or "",
        "verification_token": verification_token or "",
        "approved": approved,
        "peer_approved": peer_approved,
        "verified": verified,
    }
    if peer_identifier:
        result["peer_identifier"] = peer_identifier
    if established_via:
        result["established_via"] = established_via
    if any(client):
        result |= {name: value for name, value in zip(_CLIENT, client, strict=True) if value}
    if method := canonical_connection_method(last_connected_via):
        result["last_connected_via"] = method
    _add_times(result, created_at, last_accessed, capabilities_fetched_at)
    return result


def _add_times(
    result: dict[str, Any], created_at: datetime | None, last_accessed: datetime | None, fetched_at: datetime | None
) -> None:
    if created_at:
        result["last_connected_at"] = result["created_at"] = created_at.isoformat()
    if last_accessed:
        result["last_connected_at"] = result["last_accessed"] = last_accessed.isoformat()
    if fetched_at:
        result["capabilities_fetched_at"] = fetched_at.isoformat()
