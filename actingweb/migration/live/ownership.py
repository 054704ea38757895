"""Who owns an actor while both sides are in use, so that every row is written on one side only.

PostgreSQL owns the actors whose hash is below a boundary, DynamoDB owns the others. Hash and boundaries are those of
nginx's `split_clients`, so a load balancer that splits by the actor id in the path sends each request to the owner.
Ids that begin with an underscore are no actors. One side owns all of them.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from actingweb.migration.errors import UsageError
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["EVERYTHING", "Ownership", "Side", "boundary_of", "murmur2", "percent_of", "read_ownership"]

EVERYTHING = 2**32
"""The boundary above all hashes."""

_LARGEST = 0xFFFFFFFF
_FACTOR = 0x5BD1E995
_PARTS = 10_000
_READ = "SELECT boundary, moving_to, system_owner FROM {state}.migration"


class Side(StrEnum):
    """A side of the migration."""

    DYNAMODB = "dynamodb"
    POSTGRESQL = "postgresql"

    @property
    def other(self) -> "Side":
        """The other side."""
        return Side.POSTGRESQL if self is Side.DYNAMODB else Side.DYNAMODB


def murmur2(data: bytes) -> int:
    """Return the hash by which `split_clients` divides: MurmurHash2 of 32 bits with seed 0."""
    whole = len(data) & ~3
    state = len(data) & _LARGEST
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _FACTOR & _LARGEST
        word = (word ^ word >> 24) * _FACTOR & _LARGEST
        state = (state * _FACTOR & _LARGEST) ^ word
    if whole < len(data):
        state = (state ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _LARGEST
    state = (state ^ state >> 13) * _FACTOR & _LARGEST
    return state ^ state >> 15


def boundary_of(percent: Decimal) -> int:
    """Return the boundary of a share of all actors. Raise `UsageError` for one that nginx cannot have."""
    parts = percent * 100
    if not 0 <= parts <= _PARTS or parts != int(parts):
        raise UsageError(f"a share is a number from 0 to 100 with at most two decimals, not {percent}")
    return EVERYTHING if parts == _PARTS else int(parts) * _LARGEST // _PARTS


def percent_of(boundary: int) -> Decimal:
    """Return the share of which this is the boundary."""
    return Decimal(min(-(-boundary * _PARTS // _LARGEST), _PARTS)) / 100


@dataclass(frozen=True)
class Ownership:
    """Who owns which ids.

    Attributes:
        boundary: PostgreSQL owns the actors whose hash is below.
        moving_to: the next boundary, while actors are being moved.
        system_owner: who owns the ids that are no actors.
    """

    boundary: int
    moving_to: int | None
    system_owner: Side

    @property
    def moves_to_postgresql(self) -> bool:
        """Whether actors are being moved to PostgreSQL, and not back."""
        return self.moving_to is not None and self.moving_to > self.boundary

    def owner(self, actor_id: str) -> Side:
        """Return the owner of an id, whatever the table."""
        if actor_id.startswith("_"):
            return self.system_owner
        below = murmur2(actor_id.encode("utf-8", "surrogatepass")) < self.boundary
        return Side.POSTGRESQL if below else Side.DYNAMODB

    def is_moving(self, actor_id: str) -> bool:
        """Tell whether the owner of an id is about to change."""
        return self.moving_to is not None and self.owner(actor_id) is not self.moved(self.moving_to).owner(actor_id)

    def moved(self, boundary: int) -> "Ownership":
        """Return who owns which ids once the boundary is moved. The ids that are no actors move with the last share."""
        return Ownership(boundary, None, Side.POSTGRESQL if boundary == EVERYTHING else Side.DYNAMODB)


def read_ownership(state: State, connection: Connection) -> Ownership:
    """Return who owns which ids. Raise `psycopg.Error`.

    Nobody changes it while the transaction holds `State.lock_appliers`.
    """
    ((boundary, moving_to, system_owner),) = connection.execute(state.sql(_READ))
    return Ownership(boundary, moving_to, Side(system_owner))
