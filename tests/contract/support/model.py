"""What the contract says that actors and their rows answer, in plain Python and without the library's policy.

A `Model` holds the tables. Each class stands for the objects of one accessor, by which `CLASSES` names it.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from actingweb.db import DbConflictError, DbInputError, DbUnknownActorError
from actingweb.db.capabilities import Capability

Row = dict[str, Any]
Key = tuple[Any, ...]

INDEXED = ("oauthId", "email", "externalUserId")
_FALSE = {"", "0", "false", "no", "off"}
_COMPOSED = {"subscriptions", "suspensions", "attributes"}


class Undefined(Exception):  # noqa: N818 - nothing is wrong
    """The contract leaves the answer open."""


class Model:
    """The tables, and what differs between the backends."""

    def __init__(self, capabilities: frozenset[Capability]) -> None:
        self.capabilities = capabilities
        self.references = Capability.ACTOR_REFERENCES in capabilities
        self.composed = Capability.KEYS_BY_PARTS not in capabilities
        names = ("actors", "properties", "claims", "trusts", "peertrustees", "subscriptions", "diffs", "suspensions")
        self.tables: dict[str, dict[Key, Row]] = {name: {} for name in (*names, "attributes")}

    def put(self, table: str, key: Key, row: Row) -> None:
        """Store a row whose actor and key are checked."""
        if self.references and table not in ("actors", "attributes") and (key[0],) not in self.tables["actors"]:
            raise DbUnknownActorError("model")
        if self.composed and table in _COMPOSED and any(_alike(key, other) for other in self.tables[table]):
            raise DbConflictError("model")
        self.tables[table][key] = row

    def actor_ids(self) -> set[str]:
        """Return the ids of the actors that are stored."""
        return {key[0] for key in self.tables["actors"]}

    def rows(self, table: str, *key: Any) -> list[tuple[Key, Row]]:
        """Return the rows whose key begins so, in the order of the bytes of the key parts."""
        found = [item for item in self.tables[table].items() if item[0][: len(key)] == key]
        return sorted(found, key=lambda item: in_bytes(item[0]))

    def forget_actor(self, actor_id: str) -> None:
        """Delete what refers to an actor."""
        for name, table in self.tables.items():
            if name not in ("actors", "attributes", "claims"):
                for key in [key for key in table if key[0] == actor_id]:
                    del table[key]
        claims = self.tables["claims"]
        for key in [key for key, row in claims.items() if row["id"] == actor_id]:
            del claims[key]


def _alike(key: Key, other: Key) -> bool:
    composed = [":".join(part for part in parts[1:] if part) for parts in (key, other)]
    return key != other and key[0] == other[0] and composed[0] == composed[1]


def in_bytes(key: Key) -> Key:
    """Return the key with its texts as bytes."""
    return tuple(part.encode() if isinstance(part, str) else part for part in key)


def clean(text: Any) -> Any:
    """Return a text with each surrogate replaced, and other things as they are."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text) if isinstance(text, str) else text


def written(text: str) -> str:
    """Return a text as it is stored."""
    if "\x00" in text:
        raise DbInputError("model")
    return str(clean(text))


def in_form(key: Key) -> Key:
    """Return a key as it is stored."""
    return tuple(written(part) if isinstance(part, str) else part for part in key)


def _stored(row: Row) -> Row:
    return dict(zip(row, in_form(tuple(row.values())), strict=True))


def moment(value: Any) -> datetime | None:
    """Return a time in UTC."""
    if not value:
        return None
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _flag(value: Any) -> bool:
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


def _method(value: str | None) -> str | None:
    word = (value or "").strip().lower()
    if word.startswith("oauth"):
        return "oauth"
    return word if word in ("trust", "subscription", "mcp") else (value or None)


class Handled:
    """An object that holds one row."""

    table: str

    def __init__(self, model: Model) -> None:
        self.model = model
        self.handle: Row | None = None
        self.key: Key = ()

    def load(self, *key: Any) -> Row | None:
        """Read the row of a key, every text of which must be there."""
        self.key = tuple(clean(part) for part in key)
        missing = any(part is None or part == "" for part in key)
        row = None if missing else self.model.tables[self.table].get(self.key)
        self.handle = None if row is None else dict(row)
        return self.handle

    def create_once(self, row: Row, *key: Any) -> bool:
        """Store a new row."""
        missing = any(part is None or part == "" for part in key)
        row = row if missing else _stored(row)
        if missing or (key := in_form(key)) in self.model.tables[self.table]:
            self.handle = None
            return False
        self.model.put(self.table, key, row)
        self.key, self.handle = key, dict(row)
        return True

    def change(self, **changes: Any) -> bool:
        """Write the fields that are not None."""
        changes = {name: clean(value) for name, value in changes.items() if value is not None}
        if self.handle is None or not changes:
            return self.handle is not None
        row = self.model.tables[self.table].get(self.key)
        if row is None:
            self.handle = None
            return False
        row.update(changes)
        self.handle.update(changes)
        return True

    def delete(self) -> bool:
        if self.handle is None:
            return False
        self.model.tables[self.table].pop(self.key, None)
        self.handle = None
        return True


class Actor(Handled):
    table = "actors"

    def get(self, actor_id: Any) -> Row | None:
        return self.load(actor_id)

    def get_by_creator(self, creator: Any) -> list[Row] | None:
        self.handle = None
        if not creator:
            return None
        found = [row for _, row in self.model.rows("actors") if row["creator"] == _creator(clean(creator))]
        if len(found) == 1:
            self.load(found[0]["id"])
        return found

    def create(self, actor_id: Any, creator: Any, passphrase: Any) -> bool:
        row = {"id": actor_id, "creator": _creator(creator or ""), "passphrase": passphrase or ""}
        return self.create_once(row, actor_id)

    def modify(self, creator: Any, passphrase: Any) -> bool:
        return self.change(creator=_creator(creator or "") or None, passphrase=passphrase or None)

    def delete(self) -> bool:
        if self.handle is not None and self.model.references:
            self.model.forget_actor(self.key[0])
        return super().delete()


def _creator(creator: str) -> str:
    return creator.lower() if "@" in creator else creator


class ActorList:
    def __init__(self, model: Model) -> None:
        self.model = model

    def fetch(self) -> list[Row]:
        return [{"id": row["id"], "creator": row["creator"]} for _, row in self.model.rows("actors")]


class Trust(Handled):
    table = "trusts"

    def get(self, actor_id: Any, peerid: Any, token: Any) -> Row | None:
        if actor_id and not peerid and token:
            rows = [row for _, row in self.model.rows("trusts", clean(actor_id)) if row["secret"] == clean(token)]
            if len(rows) > 1:
                raise Undefined
            peerid = rows[0]["peerid"] if rows else None
        return shown_trust(self.load(actor_id, peerid))

    def create(self, actor_id: Any, peerid: Any, peer_type: str, last_connected_via: Any, **fields: Any) -> bool:
        created = moment(fields["created_at"])
        row = {"id": actor_id, "peerid": peerid, **fields, "type": peer_type, "created_at": created}
        row["last_accessed"] = moment(fields["last_accessed"]) or created
        row["approved"] = _flag(fields["approved"])
        row["last_connected_via"] = _method(last_connected_via or fields["established_via"])
        if actor_id and peerid:
            row = _stored(row)
            old = self.model.tables["trusts"].pop((clean(actor_id), clean(peerid)), None)
            row["created_at"] = old["created_at"] if old else created
        return self.create_once(row, actor_id, peerid)

    def get_many(self, actor_id: Any, peerids: list[Any]) -> list[Row | None]:
        rows = self.model.rows("trusts", clean(actor_id)) if actor_id else []
        return [shown_trust(row) for key, row in rows if key[1] in map(clean, peerids)]

    def modify(self, desc: Any, secret: Any, approved: Any, client_name: Any, last_accessed: Any) -> bool:
        return self.change(
            desc=desc or None,
            secret=secret or None,
            approved=None if approved is None else _flag(approved),
            client_name=client_name,
            last_accessed=moment(last_accessed),
        )

    def is_token_in_db(self, actor_id: Any, token: Any) -> bool:
        rows = self.model.rows("trusts", clean(actor_id))
        return bool(token) and any(row["secret"] == clean(token) for _, row in rows)


def shown_trust(row: Row | None) -> Row | None:
    """Return the dict that is answered for a row."""
    if row is None:
        return None
    times = {name: row[name].isoformat() for name in ("created_at", "last_accessed")}
    flags = {"peer_approved": False, "verified": False, "verification_token": ""}
    optional = {name: row[name] for name in ("established_via", "last_connected_via", "client_name") if row[name]}
    always = {name: row[name] for name in ("id", "peerid", "baseuri", "type", "relationship", "secret", "desc")}
    always["approved"] = row["approved"]
    return {**always, **flags, **times, "last_connected_at": times["last_accessed"], **optional}


class PeerTrustee(Handled):
    table = "peertrustees"

    def get(self, actor_id: Any, peer_type: Any, peerid: Any) -> Row | bool | None:
        if actor_id and not peerid and peer_type:
            rows = [row for _, row in self.model.rows(self.table, clean(actor_id)) if row["type"] == clean(peer_type)]
            if len(rows) > 1:
                self.handle = None
                return False
            peerid = rows[0]["peerid"] if rows else None
        return self.load(actor_id, peerid)

    def create(self, actor_id: Any, peerid: Any, peer_type: Any, baseuri: Any, passphrase: Any) -> bool:
        row = {"id": actor_id, "peerid": peerid, "type": peer_type}
        row |= {"baseuri": baseuri or "", "passphrase": passphrase or ""}
        return self.create_once(row, actor_id, peerid if peer_type else None)

    def modify(self, peer_type: Any, baseuri: Any) -> bool:
        return self.change(type=peer_type or None, baseuri=baseuri or None)


class List:
    """An object that lists and wipes the rows of one actor."""

    table: str

    def __init__(self, model: Model) -> None:
        self.model = model
        self.scope: Key = ()

    def shown(self, row: Row) -> Row | None:
        """Return the entry of a row."""
        return dict(row)

    def fetch(self, actor_id: Any) -> list[Row | None]:
        self.scope = (clean(actor_id),) if actor_id else ()
        return [self.shown(row) for _, row in self.model.rows(self.table, *self.scope)] if actor_id else []

    def delete(self) -> bool:
        for key, _ in self.model.rows(self.table, *self.scope) if self.scope else []:
            del self.model.tables[self.table][key]
        return bool(self.scope)


class TrustList(List):
    table = "trusts"

    def shown(self, row: Row) -> Row | None:
        return shown_trust(row)


class PeerTrusteeList(List):
    table = "peertrustees"


CLASSES: dict[str, Callable[..., Any]] = {
    "actor": Actor,
    "actor_list": ActorList,
    "trust": Trust,
    "trust_list": TrustList,
    "peer_trustee": PeerTrustee,
    "peer_trustee_list": PeerTrusteeList,
}
