"""That the table of calls, with which other tests inject faults, covers everything and works without a fault."""

from actingweb.db.capabilities import Capability
from actingweb.db.registry import Backend

from .support.calls import ALL, named, ready

# Calls that answer None: nothing is stored in the first form of the table, and a batch delete says nothing.
FALSY = {"DbPropertyLookup.get_v1", "DbProperty.batch_delete"}


def test_the_calls_cover_every_method(backend: Backend, actor_id: str) -> None:
    assert named(ready(backend, actor_id)) == ALL


def test_every_call_finds_or_changes_something(backend: Backend, actor_id: str) -> None:
    calls = ready(backend, actor_id, "x")
    uncounted = set() if Capability.PURGE in backend.capabilities else {"DbAttribute.delete_expired"}
    assert {name for name, call in calls.items() if not call()} == FALSY | uncounted
