"""That the table of calls, with which other tests inject faults, covers everything and works without a fault."""

from actingweb.db.registry import Backend

from .support.calls import ALL, named, ready

# Answers that are falsy because nothing is stored in this form, or nothing is counted.
FALSY = {
    "memory": {"DbPropertyLookup.get_v1", "DbProperty.batch_delete"},
    "postgresql": {"DbPropertyLookup.get_v1", "DbProperty.batch_delete"},
    "dynamodb": {"DbPropertyLookup.get_v1", "DbProperty.batch_delete", "DbAttribute.delete_expired"},
}


def test_the_calls_cover_every_method(backend: Backend, actor_id: str) -> None:
    assert named(ready(backend, actor_id)) == ALL


def test_every_call_finds_or_changes_something(backend: Backend, actor_id: str) -> None:
    calls = ready(backend, actor_id, "x")
    assert {name for name, call in calls.items() if not call()} == FALSY[backend.database]
