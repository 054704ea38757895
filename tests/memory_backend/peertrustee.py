"""Peers that an actor itself created."""

from actingweb.db.policy.peertrustee import PeerTrusteeListPolicy, PeerTrusteePolicy
from actingweb.db.protocols import DbPeerTrusteeListProtocol, DbPeerTrusteeProtocol
from actingweb.db.records import PeerTrusteeRecord
from tests.memory_backend.rows import MemoryRows


class DbPeerTrustee(MemoryRows[PeerTrusteeRecord], PeerTrusteePolicy):
    def _read_by_type(self, actor_id: str, peer_type: str) -> list[PeerTrusteeRecord]:
        return [row for row in self._list(actor_id) if row.type == peer_type]


class DbPeerTrusteeList(MemoryRows[PeerTrusteeRecord], PeerTrusteeListPolicy):
    pass


_entity: type[DbPeerTrusteeProtocol] = DbPeerTrustee
_list: type[DbPeerTrusteeListProtocol] = DbPeerTrusteeList
