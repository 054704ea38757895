"""Peers that an actor itself created."""

from actingweb.db.spi import (
    DbPeerTrusteeListProtocol,
    DbPeerTrusteeProtocol,
    PeerTrusteeListPolicy,
    PeerTrusteePolicy,
    PeerTrusteeRecord,
)
from tests.memory_backend.rows import MemoryRows


class DbPeerTrustee(MemoryRows[PeerTrusteeRecord], PeerTrusteePolicy):
    def _read_by_type(self, actor_id: str, peer_type: str) -> list[PeerTrusteeRecord]:
        return [row for row in self._list(actor_id) if row.type == peer_type]


class DbPeerTrusteeList(MemoryRows[PeerTrusteeRecord], PeerTrusteeListPolicy):
    pass


_entity: type[DbPeerTrusteeProtocol] = DbPeerTrustee
_list: type[DbPeerTrusteeListProtocol] = DbPeerTrusteeList
