"""Peers that an actor itself created."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from actingweb.db.policy.arguments import optional_text, stored_text, text, text_or_empty, without_none
from actingweb.db.policy.entity import Entity, EntityList
from actingweb.db.policy.operation import operation
from actingweb.db.protocols import DbPeerTrusteeListProtocol, DbPeerTrusteeProtocol
from actingweb.db.records import PeerTrusteeRecord

__all__ = ["PeerTrusteeListPolicy", "PeerTrusteePolicy"]


class PeerTrusteePolicy(Entity[PeerTrusteeRecord], DbPeerTrusteeProtocol):
    record: ClassVar[type[PeerTrusteeRecord]] = PeerTrusteeRecord

    @abstractmethod
    def _read_by_type(self, actor_id: str, peer_type: str) -> list[PeerTrusteeRecord]:
        """Return the actor's peer trustees of a type. If there are more than two, any two are enough."""

    @operation("peer trustee read")
    def get(
        self, actor_id: str | None = None, peer_type: str | None = None, peerid: str | None = None
    ) -> dict[str, Any] | Literal[False] | None:
        self.handle = None
        if not actor_id or not (peerid or peer_type):
            return None
        actor_id = text(actor_id, "actor_id")
        if peerid:
            self._get(actor_id, text(peerid, "peerid"))
        elif not self._get_by_type(actor_id, text(peer_type, "peer_type")):
            return False
        return None if self.handle is None else self.handle.asdict()

    def _get_by_type(self, actor_id: str, peer_type: str) -> bool:
        """Load the only row of this type, if there is one; return False if there are several."""
        readable = self._can_exist(actor_id) and self.limits.field(PeerTrusteeRecord, "type", peer_type) is None
        rows = self._read_by_type(actor_id, peer_type) if readable else []
        if len(rows) > 1:
            self.log.error("actor %s has several peer trustees of one type", actor_id)
            return False
        self.handle = rows[0] if rows else None
        return True

    @operation("peer trustee write")
    def create(
        self,
        actor_id: str | None = None,
        peerid: str | None = None,
        peer_type: str | None = None,
        baseuri: str | None = None,
        passphrase: str | None = None,
    ) -> bool:
        if not actor_id or not peerid or not peer_type:
            return self._not_stored()
        return self._create(
            PeerTrusteeRecord(
                id=stored_text(actor_id, "actor_id"),
                peerid=stored_text(peerid, "peerid"),
                baseuri=text_or_empty(baseuri, "baseuri"),
                type=stored_text(peer_type, "peer_type"),
                passphrase=text_or_empty(passphrase, "passphrase"),
            )
        )

    @operation("peer trustee write")
    def modify(self, peer_type: str | None = None, baseuri: str | None = None, passphrase: str | None = None) -> bool:
        changes = {"type": peer_type, "baseuri": baseuri, "passphrase": passphrase}
        return self._modify(without_none({name: optional_text(value or None, name) for name, value in changes.items()}))

    @operation("peer trustee delete")
    def delete(self) -> bool:
        return self._delete_handle()


class PeerTrusteeListPolicy(EntityList[PeerTrusteeRecord], DbPeerTrusteeListProtocol):
    record: ClassVar[type[PeerTrusteeRecord]] = PeerTrusteeRecord

    def __init__(self) -> None:
        super().__init__()
        self.peertrustees: list[dict[str, Any]] | None = None

    @operation("peer trustee list")
    def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        self.peertrustees = [row.asdict() for row in self._fetch(actor_id)]
        return self.peertrustees

    @operation("peer trustee delete")
    def delete(self) -> bool:
        return self._delete_all()
