"""Peers that an actor itself created."""

from actingweb.db.policy.peertrustee import PeerTrusteeListPolicy, PeerTrusteePolicy
from actingweb.db.postgresql.executor import read
from actingweb.db.postgresql.rows import Rows
from actingweb.db.postgresql.statement import Statement
from actingweb.db.protocols import DbPeerTrusteeListProtocol, DbPeerTrusteeProtocol
from actingweb.db.records import PeerTrusteeRecord

__all__ = ["DbPeerTrustee", "DbPeerTrusteeList"]

READ_BY_TYPE = Statement(
    "SELECT {columns} FROM {peertrustees} WHERE id = %(id)s AND type = %(type)s LIMIT 2", PeerTrusteeRecord
)


class DbPeerTrustee(Rows[PeerTrusteeRecord], PeerTrusteePolicy):
    """A peer that an actor created."""

    def _read_by_type(self, actor_id: str, peer_type: str) -> list[PeerTrusteeRecord]:
        return self._as_records(read(READ_BY_TYPE, {"id": actor_id, "type": peer_type}))


class DbPeerTrusteeList(Rows[PeerTrusteeRecord], PeerTrusteeListPolicy):
    """The peers that one actor created."""


_entity: type[DbPeerTrusteeProtocol] = DbPeerTrustee
_list: type[DbPeerTrusteeListProtocol] = DbPeerTrusteeList
