"""Actors."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from actingweb.db.faults import input_error
from actingweb.db.policy.arguments import stored_text, text, text_or_empty
from actingweb.db.policy.entity import Entity, EntityList
from actingweb.db.policy.operation import operation, streaming
from actingweb.db.protocols import DbActorListProtocol, DbActorProtocol
from actingweb.db.records import ActorRecord

__all__ = ["ActorListPolicy", "ActorPolicy"]

_LARGEST_PAGE = 100_000


class ActorPolicy(Entity[ActorRecord], DbActorProtocol):
    record = ActorRecord

    @abstractmethod
    def _read_by_creator(self, creator: str) -> list[ActorRecord]:
        """Return the actors of a creator, in any order."""

    @operation("actor read")
    def get(self, actor_id: str | None = None) -> dict[str, Any] | None:
        if not actor_id:
            self.handle = None
            return None
        row = self._get(text(actor_id, "actor_id"))
        return None if row is None else row.asdict()

    @operation("actor read")
    def get_by_creator(self, creator: str | None = None) -> list[dict[str, Any]] | None:
        if not creator:
            self.handle = None
            return None
        found: list[ActorRecord] = []
        creator = _canonical(text(creator, "creator"))
        if self.limits.field(ActorRecord, "creator", creator) is None:
            found = sorted(self._read_by_creator(creator), key=ActorRecord.key_values)
        self.handle = found[0] if len(found) == 1 else None
        return [row.asdict() for row in found]

    @operation("actor write")
    def create(self, actor_id: str | None = None, creator: str | None = None, passphrase: str | None = None) -> bool:
        if not actor_id:
            return self._not_stored()
        record = ActorRecord(
            id=stored_text(actor_id, "actor_id"),
            creator=_canonical(text_or_empty(creator, "creator")),
            passphrase=_passphrase(passphrase or ""),
        )
        created = self._create(record)
        if not created:
            self.log.warning("actor %s exists already and was not created", record.id)
        return created

    @operation("actor write")
    def modify(self, creator: str | None = None, passphrase: str | bytes | None = None) -> bool:
        changes = {}
        if creator:
            changes["creator"] = _canonical(stored_text(creator, "creator"))
        if passphrase:
            changes["passphrase"] = _passphrase(passphrase)
        return self._modify(changes)

    @operation("actor delete")
    def delete(self) -> bool:
        return self._delete_handle()


class ActorListPolicy(EntityList[ActorRecord], DbActorListProtocol):
    record = ActorRecord

    @abstractmethod
    def _stream(self, page_size: int) -> Iterator[ActorRecord]:
        """Yield all actors in any order, in bounded memory; read `page_size` of them in each request."""

    @operation("actor list")
    def fetch(self) -> list[dict[str, Any]]:
        return [_listed(row) for row in self._list()]

    @streaming("actor list")
    def iterate(self, page_size: int = 500) -> Iterator[dict[str, Any]]:
        if not isinstance(page_size, int) or isinstance(page_size, bool) or page_size < 1:
            raise input_error("page_size must be a positive integer")
        for row in self._stream(min(page_size, _LARGEST_PAGE)):
            yield _listed(row)


def _canonical(creator: str) -> str:
    return creator.lower() if "@" in creator else creator


def _passphrase(value: str | bytes) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise input_error("passphrase is not UTF-8") from None
    return stored_text(value, "passphrase")


def _listed(row: ActorRecord) -> dict[str, Any]:
    return {"id": row.id, "creator": row.creator}
