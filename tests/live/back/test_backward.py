"""What the backward applier does with single rows, under faults and with rows that DynamoDB cannot hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql

from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.registry import Backend, load_backend
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.errors import SourceError, TargetError, UsageError
from actingweb.migration.live.backward import BackwardApplier
from actingweb.migration.live.triggers import MARKED
from actingweb.migration.source.endpoint import RequestError
from tests.conftest import SetEnv
from tests.live.back.both import Both

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def library(ready: Both) -> Backend:
    """Return the library on PostgreSQL, which has the actors `a` and `b`. Both are copied."""
    backend = load_backend("postgresql")
    for actor_id in "ab":
        assert backend.DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")
    ready.drain()
    return backend


def put(library: Backend, name: str, value: str, actor_id: str = "a") -> None:
    """Set a property."""
    assert library.DbProperty.DbProperty().set(actor_id, name, value)


def values(both: Both) -> dict[tuple[str, ...], str]:
    """Return the properties of DynamoDB."""
    return {key: item["value"]["S"] for key, item in both.items()["properties"].items()}


def test_tables_are_created_as_the_library_creates_them(both: Both, set_env: SetEnv) -> None:
    both.prepare()
    ours = [describe(both, mapping.layout.suffix) for mapping in MARKED]
    set_env(AWS_DB_PREFIX=f"{both.prefix}library")
    for mapping in MARKED:
        ensure_table(mapping.layout)
    both = Both(both.state, both.requests, f"{both.prefix}library", both.client)
    assert ours == [describe(both, mapping.layout.suffix) for mapping in MARKED]


def describe(both: Both, suffix: str) -> dict[str, Any]:
    """Return what matters of a table."""
    name = f"{both.prefix}_{suffix}"
    table: Any = dict(both.client.describe_table(TableName=name)["Table"])
    ttl = dict(both.client.describe_time_to_live(TableName=name)["TimeToLiveDescription"])
    indexes = table.get("GlobalSecondaryIndexes", ())
    attributes = sorted(one["AttributeName"] for one in table["AttributeDefinitions"])
    return {
        "suffix": suffix,
        "keys": table["KeySchema"],
        "attributes": attributes,
        "indexes": [(one["IndexName"], one["KeySchema"], one["Projection"]) for one in indexes],
        "billing": table["BillingModeSummary"]["BillingMode"],
        "ttl": ttl,
    }


def test_preparing_marks_what_is_there_once(both: Both, pg: Connection) -> None:
    pg.execute("INSERT INTO actors (id, creator, passphrase) VALUES ('a', 'c', 'p')")
    both.prepare()
    both.prepare()
    assert both.marks() == [("actors", "a", "")]
    both.drain()
    assert both.items()["actors"] == {("a",): {"id": {"S": "a"}, "creator": {"S": "c"}, "passphrase": {"S": "p"}}}
    # The second run sees items that the migration has copied itself.
    both.prepare()


def test_preparing_refuses_tables_with_items_of_others(both: Both) -> None:
    both.prepare()
    both.rows("DROP SCHEMA {state} CASCADE")
    both.client.put_item(TableName=f"{both.prefix}_trusts", Item={"id": {"S": "x"}, "peerid": {"S": "y"}})
    with pytest.raises(UsageError, match="has items already"):
        both.prepare()


def test_unknown_attributes_survive(ready: Both, library: Backend) -> None:
    put(library, "name", "old")
    ready.drain()
    key = {"id": {"S": "a"}, "name": {"S": "name"}}
    ready.client.put_item(
        TableName=f"{ready.prefix}_properties", Item={**key, "value": {"S": "old"}, "note": {"NS": ["1"]}}
    )
    put(library, "name", "new")
    ready.drain()
    assert ready.items()["properties"]["a", "name"] == {**key, "value": {"S": "new"}, "note": {"NS": ["1"]}}


def test_an_attribute_that_becomes_null_is_removed(ready: Both, library: Backend, pg: Connection) -> None:
    assert library.DbTrust.DbTrust().create("a", "peer", desc="text", secret="s")
    ready.drain()
    pg.execute("UPDATE trusts SET \"desc\" = NULL, secret = ''")
    ready.drain()
    assert {"desc", "secret"}.isdisjoint(ready.items()["trusts"]["a", "peer"])


def test_an_equal_item_is_not_written(ready: Both, library: Backend, pg: Connection) -> None:
    library.DbAttribute.DbAttribute.set_attr("a", "b", "n", {"b": 1.5, "a": [10**30]})
    ready.drain()
    # As another client may have laid it out.
    text = '{"b":1.50,"a":[1000000000000000000000000000000]}'
    ready.client.update_item(
        TableName=f"{ready.prefix}_attributes",
        Key={"id": {"S": "a"}, "bucket_name": {"S": "b:n"}},
        UpdateExpression="SET #d = :d",
        ExpressionAttributeNames={"#d": "data"},
        ExpressionAttributeValues={":d": {"S": text}},
    )
    pg.execute("UPDATE attributes SET timestamp = timestamp")
    sent: list[str] = []
    applier = ready.applier(requests=ready.disturbed(lambda _, operation, __: sent.append(operation)))
    ready.drain(applier)
    assert set(sent) == {"BatchGetItem"}


def test_all_digits_of_a_number_are_copied(ready: Both, pg: Connection, library: Backend) -> None:
    number = "1234567890.12345678901234567890123456789"
    pg.execute("INSERT INTO attributes (id, bucket, name, data) VALUES ('a', 'b', 'n', %s)", [number])
    ready.drain()
    table = f"{ready.prefix}_attributes"
    assert ready.client.scan(TableName=table)["Items"][0]["data"] == {"S": number}


REJECTED = [
    (
        "INSERT INTO properties (id, name, value) VALUES ('a', 'big', repeat('x', 410000))",
        "the limit is 409600",
        "UPDATE properties SET value = 'small' WHERE name = 'big'",
    ),
    (
        "INSERT INTO properties (id, name, value) VALUES ('a', '', 'x')",
        "cannot be an empty text",
        "UPDATE properties SET name = 'named' WHERE name = ''",
    ),
    (
        "INSERT INTO properties (id, name, value) VALUES ('a', repeat('x', 1025), '')",
        "the limit is 1024",
        "UPDATE properties SET name = repeat('x', 1024) WHERE id = 'a'",
    ),
    (
        "UPDATE actors SET creator = repeat('x', 2049) WHERE id = 'a'",
        "the limit is 2048",
        "UPDATE actors SET creator = 'c' WHERE id = 'a'",
    ),
    (
        "INSERT INTO subscription_suspensions (id, target, suspended_at) VALUES ('a', 't', 'infinity')",
        "out of range",
        "UPDATE subscription_suspensions SET suspended_at = now()",
    ),
    (
        "INSERT INTO subscription_suspensions (id, target, suspended_at) VALUES ('a', 't', '20000-01-01')",
        "out of range",
        "UPDATE subscription_suspensions SET suspended_at = '9999-12-31 23:00+00'",
    ),
    (
        "INSERT INTO attributes (id, bucket, name) VALUES ('a', 'b', 'c:d'), ('a', 'b:c', 'd')",
        "several rows join to this key",
        "DELETE FROM attributes WHERE bucket = 'b:c'",
    ),
]


@pytest.mark.parametrize(("statement", "reason", "correction"), REJECTED)
def test_a_row_that_dynamodb_cannot_hold_blocks_no_other_and_heals(
    ready: Both, library: Backend, pg: Connection, statement: str, reason: str, correction: str
) -> None:
    pg.execute(statement.encode())
    put(library, "name", "value", "b")
    ready.drain()
    assert values(ready)["b", "name"] == "value"
    ((*_, found),) = set(ready.reasons())
    assert reason in found
    assert "xx" not in found
    pg.execute(correction.encode())
    ready.drain()
    # The new mark takes the reject along.
    assert ready.marks() == []


def test_a_reject_is_tried_again_by_itself(ready: Both, library: Backend) -> None:
    put(library, "name", "value")
    refuse = RequestError("refused", "ValidationException")

    def disturb(moment: str, operation: str, request: dict[str, Any]) -> None:
        if moment == "before" and operation == "PutItem":
            raise refuse

    applier = ready.applier(requests=ready.disturbed(disturb))
    assert applier.step() == 1
    assert applier.step() == 0
    assert [reason for *_, reason in ready.reasons()] == ["DynamoDB refuses the item (ValidationException)"]
    assert ready.value("SELECT due_at > clock_timestamp() FROM {state}.marks")
    ready.hurry()
    ready.drain()
    assert ready.marks() == []
    assert values(ready) == {("a", "name"): "value"}


def test_a_write_without_an_answer_is_harmless(ready: Both, library: Backend) -> None:
    for step in ("first", "second"):
        put(library, "name", step)
        put(library, "email", step)
        lost: list[str] = []

        def disturb(moment: str, operation: str, request: dict[str, Any], lost: list[str] = lost) -> None:
            if moment == "after" and operation != "BatchGetItem" and len(lost) < 3:
                lost.append(operation)
                raise RequestError("no answer")

        applier = ready.applier(requests=ready.disturbed(disturb), at_once=1)
        with suppress(SourceError):
            applier.step()
        assert len(lost) == 3
        ready.hurry()
        ready.drain(applier)
        assert ready.marks() == []
        assert values(ready) == {("a", "name"): step, ("a", "email"): step}
        assert set(ready.items()["property_lookup_v2"]) == {(compute_lookup_key("email", step),)}


def test_a_late_write_does_not_overwrite_a_later_one(ready: Both, library: Backend) -> None:
    put(library, "name", "first")
    ready.drain()
    late: list[tuple[str, dict[str, Any]]] = []

    def disturb(moment: str, operation: str, request: dict[str, Any]) -> None:
        if moment == "before" and operation == "UpdateItem" and not late:
            late.append((operation, request))
            raise RequestError("no answer")

    put(library, "name", "second")
    applier = ready.applier(requests=ready.disturbed(disturb))
    with pytest.raises(SourceError, match="no answer"):
        applier.step()
    put(library, "name", "third")
    ready.drain(applier)
    with pytest.raises(RequestError):
        ready.requests.call(*late[0])
    assert values(ready)["a", "name"] == "third"


@pytest.mark.parametrize("answered", [True, False])
def test_a_write_of_a_lost_session_does_not_last(ready: Both, library: Backend, pg: Connection, answered: bool) -> None:
    """Its keys are unlocked with the session, so another applier can be done before the write is sent."""
    put(library, "name", "old")
    overtaken: list[str] = []

    def overtake(moment: str, operation: str, request: dict[str, Any]) -> None:
        if operation == "PutItem" and moment == "before" and not overtaken:
            overtaken.append(operation)
            assert slow._connection is not None
            pg.execute("SELECT pg_terminate_backend(%s)", [slow._connection.info.backend_pid])
            library.DbProperty.DbProperty().set("a", "name", None)
            ready.drain()
        elif operation == "PutItem" and not answered:
            raise RequestError("no answer")

    slow = ready.applier(requests=ready.disturbed(overtake))
    with pytest.raises(TargetError if answered else SourceError):
        slow.step()
    assert values(ready) == {("a", "name"): "old"}
    ready.drain(slow)
    assert values(ready) == {}


def test_a_throttled_table_does_not_block_others(ready: Both, library: Backend) -> None:
    put(library, "name", "value")
    library.DbAttribute.DbAttribute.set_attr("a", "b", "n", 1)

    def disturb(moment: str, operation: str, request: dict[str, Any]) -> None:
        if str(request.get("TableName")).endswith("properties"):
            raise RequestError("throttled", "ThrottlingException")

    applier = ready.applier(requests=ready.disturbed(disturb))
    assert applier.step() == 2
    # With nothing else to do it is an error.
    ready.hurry()
    with pytest.raises(SourceError, match="throttled"):
        applier.step()
    assert ("a", "b:n") in ready.items()["attributes"]
    ready.hurry()
    ready.drain()
    assert values(ready) == {("a", "name"): "value"}
    assert ready.reasons() == []


class KilledError(BaseException):
    """The process was killed."""


def test_killed_between_any_two_requests(ready: Both, library: Backend) -> None:
    def mortal(last: int) -> BackwardApplier:
        moments = iter(range(last))
        return ready.applier(requests=ready.disturbed(lambda *_: live(moments)), at_once=1)

    kill_everywhere(ready, library, mortal)


def test_killed_between_any_two_statements(ready: Both, library: Backend) -> None:
    def mortal(last: int) -> BackwardApplier:
        moments = iter(range(last))

        def connect() -> Any:
            connection: Any = ready.connect()
            execute = connection.execute

            def execute_unless_killed(*arguments: Any) -> Any:
                live(moments)
                return execute(*arguments)

            connection.execute = execute_unless_killed
            return connection

        return ready.open(BackwardApplier(ready.state, ready.requests, connect))

    kill_everywhere(ready, library, mortal)


def live(moments: Iterator[int]) -> None:
    """Go on unless no moment is left."""
    if next(moments, None) is None:
        raise KilledError


def kill_everywhere(both: Both, library: Backend, mortal: Callable[[int], BackwardApplier]) -> None:
    """Let appliers die ever later, and another one finish, until one survives. All rows are equal each time."""
    for last in range(60):
        for actor_id in "ab":
            put(library, "email", f"{actor_id}{last}", actor_id)
            put(library, f"name{last % 3}", f"value{last}", actor_id)
        library.DbProperty.DbProperty().set("a", f"name{(last + 1) % 3}", "")
        applier = mortal(last)
        try:
            while applier.step():
                pass
            survived = True
        except KilledError:
            survived = False
        applier.close()
        both.drain()
        assert_equal(both, library)
        if survived:
            return
    raise AssertionError("it was killed every time")


def assert_equal(both: Both, library: Backend) -> None:
    """Compare the properties and look-up rows of the actors on both sides."""
    rows = both.rows("SELECT id, name, value FROM {schema}.properties")
    assert values(both) == {(actor_id, name): value for actor_id, name, value in rows}
    claims = {
        (key,): actor_id for key, actor_id in both.rows("SELECT lookup_key, actor_id FROM {schema}.property_lookup")
    }
    assert {key: item["actor_id"]["S"] for key, item in both.items()["property_lookup_v2"].items()} == claims


def test_two_appliers_never_work_on_one_key(ready: Both, library: Backend) -> None:
    inside, other = threading.Event(), threading.Event()

    def hold(moment: str, operation: str, request: dict[str, Any]) -> None:
        if moment == "before" and operation == "PutItem":
            inside.set()
            assert other.wait(30)

    put(library, "name", "old")
    slow, quick = ready.applier(requests=ready.disturbed(hold)), ready.applier()
    thread = threading.Thread(target=slow.step)
    thread.start()
    try:
        assert inside.wait(30)
        put(library, "name", "new")
        library.DbAttribute.DbAttribute.set_attr("a", "b", "n", 1)
        # It takes the other key, and leaves this one alone.
        assert quick.step() == 1
        assert {name for name, *_ in ready.marks()} == {"properties"}
    finally:
        other.set()
        thread.join()
    ready.drain(quick)
    assert values(ready) == {("a", "name"): "new"}


def test_several_appliers_under_writes(ready: Both, library: Backend) -> None:
    stop = threading.Event()

    def work(step: Callable[[], int]) -> None:
        while not stop.is_set():
            step()

    appliers = [ready.applier(batch=7, at_once=2) for _ in range(3)]
    with ThreadPoolExecutor(len(appliers)) as threads:
        running = [threads.submit(work, applier.step) for applier in appliers]
        try:
            for number in range(150):
                put(library, f"name{number % 5}", f"value{number}", "ab"[number % 2])
                if number % 3 == 0:
                    put(library, "email", f"mail{number % 4}", "ab"[number % 2])
        finally:
            stop.set()
        for one in running:
            one.result()
    ready.drain()
    assert_equal(ready, library)


def test_rows_of_the_first_look_up_table_do_not_answer(ready: Both, library: Backend, pg: Connection) -> None:
    table = f"{ready.prefix}_property_lookup"
    ready.client.create_table(
        TableName=table,
        KeySchema=[
            {"AttributeName": "property_name", "KeyType": "HASH"},
            {"AttributeName": "value", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("property_name", "value")],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        pg.execute(
            ready.state.sql(
                "UPDATE {state}.tables SET present = true, dynamodb_table = {table} WHERE name = 'property_lookup_v1'",
                table=sql.Literal(table),
            )
        )
        put(library, "email", "shared")
        put(library, "email", "shared", "b")
        ready.drain()
        row = {"property_name": {"S": "email"}, "value": {"S": "shared"}}
        ready.client.put_item(TableName=table, Item={**row, "actor_id": {"S": "b"}})
        # `b` holds the value, but its claim was refused: nobody answers for it once `a` gives it up.
        put(library, "email", "other")
        ready.drain()
        assert library.DbProperty.DbProperty().get_actor_id_from_property("email", "shared") is None
        dynamodb = load_backend("dynamodb").DbProperty.DbProperty()
        assert dynamodb.get_actor_id_from_property("email", "shared") is None
        assert dynamodb.get_actor_id_from_property("email", "other") == "a"
    finally:
        ready.client.delete_table(TableName=table)
