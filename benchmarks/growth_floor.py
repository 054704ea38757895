"""What calls of `GROWTH` send, on one held connection: what the server's growth alone costs. Runs in a worker."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks.floor import PostgresFloor
from testbed.operations.calls import Actor, Call, filled
from testbed.operations.timed import GROWTH, Operation, drawn
from testbed.recorder import Statement, recorded_trips
from testbed.servers import PostgresTarget

__all__ = ["FLOOR"]

_ANYBODY = Actor("{id}", "{address}")


@dataclass
class _Floor:
    """One operation, recorded on an actor whose name stands for that of any other."""

    name: str
    operation: Operation

    @cached_property
    def floor(self) -> PostgresFloor:
        schema = os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"]
        return PostgresFloor(PostgresTarget(os.environ).connect(schema))

    def calls(self, db: Any, count: int) -> list[Call]:
        """Return so many calls, each on another actor."""
        actor = db.DbActor()
        actor.create(actor_id=_ANYBODY.id, creator=_ANYBODY.address, passphrase="a passphrase")
        self.operation.make(db, _ANYBODY)
        call = self.operation.call(db, _ANYBODY)
        with recorded_trips() as taken:
            call()
            ((recorded,),) = taken()
        actor.delete()
        statements = [Statement(recorded.sql, filled(recorded.values, one)) for one in drawn(count)]
        return self.floor.calls([[[statement]] for statement in statements])


_NAMES = (
    "actor get",
    "actor get by creator",
    "actor modify",
    "property get",
    "property set",
    "attribute get",
    "diff get oldest",
)
FLOOR = tuple(_Floor(one.name, one) for one in GROWTH if one.name in _NAMES)
