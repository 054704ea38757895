"""Actors."""

from collections.abc import Iterator

from actingweb.db.spi import ActorListPolicy, ActorPolicy, ActorRecord, DbActorListProtocol, DbActorProtocol
from tests.memory_backend.rows import MemoryRows


class DbActor(MemoryRows[ActorRecord], ActorPolicy):
    def _read_by_creator(self, creator: str) -> list[ActorRecord]:
        return [row for row in list(self._table().values()) if row.creator == creator]


class DbActorList(MemoryRows[ActorRecord], ActorListPolicy):
    def _stream(self, page_size: int) -> Iterator[ActorRecord]:
        yield from self._list()


_entity: type[DbActorProtocol] = DbActor
_list: type[DbActorListProtocol] = DbActorList
