"""Peers that an actor itself created."""

from typing import TYPE_CHECKING

from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.layouts import PEER_TRUSTEES
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.limits import DynamoLimits
from actingweb.db.dynamodb.rows import WipeableRows
from actingweb.db.policy.peertrustee import PeerTrusteeListPolicy, PeerTrusteePolicy
from actingweb.db.protocols import DbPeerTrusteeListProtocol, DbPeerTrusteeProtocol
from actingweb.db.records import PeerTrusteeRecord

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import PeerTrustee, PeerTrusteeModel
else:
    __getattr__ = lazy_models(__name__)

__all__ = ["DbPeerTrustee", "DbPeerTrusteeList", "PeerTrustee", "PeerTrusteeModel"]


class _Rows(WipeableRows[PeerTrusteeRecord]):
    layout = PEER_TRUSTEES
    limits = DynamoLimits(PEER_TRUSTEES)


class DbPeerTrustee(_Rows, PeerTrusteePolicy):
    """One peer trustee."""

    def _read_by_type(self, actor_id: str, peer_type: str) -> list[PeerTrusteeRecord]:
        expression = Expression()
        request = {
            "ConsistentRead": True,
            "KeyConditionExpression": expression.equals("id", actor_id),
            "FilterExpression": expression.equals_or_unclear("type", peer_type),
        }
        rows = map(self._row, self._pages(request, expression))
        return [row for row in rows if row.type == peer_type]


class DbPeerTrusteeList(_Rows, PeerTrusteeListPolicy):
    """The peer trustees of an actor."""


_entity: type[DbPeerTrusteeProtocol] = DbPeerTrustee
_list: type[DbPeerTrusteeListProtocol] = DbPeerTrusteeList
