"""Actors."""

from collections.abc import Iterator

from actingweb.db.policy.actor import ActorListPolicy, ActorPolicy
from actingweb.db.postgresql.executor import read
from actingweb.db.postgresql.rows import Rows
from actingweb.db.postgresql.statement import Statement
from actingweb.db.protocols import DbActorListProtocol, DbActorProtocol
from actingweb.db.records import ActorRecord

__all__ = ["DbActor", "DbActorList"]

READ_BY_CREATOR = Statement("SELECT {columns} FROM {actors} WHERE creator = %(creator)s", ActorRecord)
READ_PAGE = Statement("SELECT {columns} FROM {actors} WHERE id > %(after)s ORDER BY id LIMIT %(size)s", ActorRecord)


class DbActor(Rows[ActorRecord], ActorPolicy):
    """An actor. `delete` also deletes all rows that belong to it, except its attributes."""

    def _read_by_creator(self, creator: str) -> list[ActorRecord]:
        return self._as_records(read(READ_BY_CREATOR, {"creator": creator}))


class DbActorList(Rows[ActorRecord], ActorListPolicy):
    """All actors."""

    def _stream(self, page_size: int) -> Iterator[ActorRecord]:
        after = ""
        while page := self._as_records(read(READ_PAGE, {"after": after, "size": page_size})):
            yield from page
            if len(page) < page_size:
                return
            after = page[-1].id


_entity: type[DbActorProtocol] = DbActor
_list: type[DbActorListProtocol] = DbActorList
