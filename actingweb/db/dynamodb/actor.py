"""Actors."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.layouts import ACTORS
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.limits import DynamoLimits
from actingweb.db.dynamodb.rows import WipeableRows
from actingweb.db.policy.actor import ActorListPolicy, ActorPolicy
from actingweb.db.protocols import DbActorListProtocol, DbActorProtocol
from actingweb.db.records import ActorRecord

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import Actor, ActorModel, CreatorIndex
else:
    __getattr__ = lazy_models(__name__)

__all__ = ["Actor", "ActorModel", "CreatorIndex", "DbActor", "DbActorList"]


class _Rows(WipeableRows[ActorRecord]):
    layout = ACTORS
    limits = DynamoLimits(ACTORS)


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
