"""Actors."""

from collections.abc import Iterator

from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.limits import DynamoLimits
from actingweb.db.dynamodb.models import TableIndex, TableModel
from actingweb.db.dynamodb.rows import WipeableRows
from actingweb.db.dynamodb.tables import Layout
from actingweb.db.policy.actor import ActorListPolicy, ActorPolicy
from actingweb.db.protocols import DbActorListProtocol, DbActorProtocol
from actingweb.db.records import ActorRecord

__all__ = ["Actor", "ActorModel", "CreatorIndex", "DbActor", "DbActorList"]


class CreatorIndex(TableIndex, name="creator-index", attribute="creator"):
    """Actors by creator."""


class ActorModel(TableModel):
    """The table of actors."""

    layout = Layout(ActorRecord, "actors", sparse=frozenset({"creator"}))
    creator_index = CreatorIndex()


Actor = ActorModel


class _Rows(WipeableRows[ActorRecord]):
    model = ActorModel
    limits = DynamoLimits(ActorModel.layout, indexed=("creator",))


class DbActor(_Rows, ActorPolicy):
    """One actor."""

    def _read_by_creator(self, creator: str) -> list[ActorRecord]:
        return [self._row(item) for item in self._indexed_items("creator-index", "creator", creator)]


class DbActorList(_Rows, ActorListPolicy):
    """All actors."""

    def _stream(self, page_size: int) -> Iterator[ActorRecord]:
        for item in self._pages({"ConsistentRead": True, "Limit": page_size}, Expression()):
            yield self._row(item)


_entity: type[DbActorProtocol] = DbActor
_list: type[DbActorListProtocol] = DbActorList
