"""Preparing, and reading shards, also when the service answers what it seldom does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

import pytest

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.cli import live
from actingweb.migration.cli.options import PostgresFlags
from actingweb.migration.cli.sources import DynamoDBFlags
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.live.dynamodb import Requests, read_items
from actingweb.migration.live.keys import RowKey
from actingweb.migration.live.reader import ShardReader
from actingweb.migration.live.state import State, StateError
from actingweb.migration.live.streams import EXPIRED, TRIMMED, all_shards
from actingweb.migration.mapping import ACTORS, CLAIMS_V1, CLAIMS_V2, PROPERTIES
from actingweb.migration.source.endpoint import AccessDeniedError, RequestError, TableNotFoundError
from actingweb.migration.target.connection import Target
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.sides import Sides
from tests.migration.loads import ACTOR, properties

Json = dict[str, Any]
Answer = Json | Exception


@dataclass
class Scripted:
    """Requests of which some are answered by a test.

    Attributes:
        answers: for the next requests of an operation; None stands for the answer of the server.
        sent: all requests.
    """

    requests: Requests
    answers: dict[str, list[Answer | None]] = field(default_factory=dict)
    sent: list[tuple[str, Json]] = field(default_factory=list)

    def call(self, operation: str, request: Json) -> Json:
        return self._answer(operation, request, self.requests.call)

    def streams_call(self, operation: str, request: Json) -> Json:
        return self._answer(operation, request, self.requests.streams_call)

    def _answer(self, operation: str, request: Json, send: Callable[[str, Json], Json]) -> Json:
        self.sent.append((operation, request))
        queue = self.answers.get(operation)
        answer = queue.pop(0) if queue else None
        if isinstance(answer, Exception):
            raise answer
        return send(operation, request) if answer is None else answer


@pytest.fixture
def scripted(sides: Sides) -> Scripted:
    """Return requests to the session's server."""
    return Scripted(sides.requests)


@pytest.fixture
def reader(sides: Sides, scripted: Scripted) -> ShardReader:
    """Return a reader of the only shard of the table of properties, with records."""
    sides.put(ACTORS, ACTOR)
    sides.prepare()
    sides.put(PROPERTIES, *properties(3))
    with sides.state.connect() as connection:
        connection.execute(sides.state.sql("DELETE FROM {state}.shards WHERE table_name <> 'properties'"))
    reader = sides.reader()
    reader.requests = scripted
    return reader


def read(reader: ShardReader) -> int:
    """Read until there was something."""
    while not (count := reader.step()):
        pass
    return count


def gaps(sides: Sides) -> list[tuple[str, str]]:
    return sides.select("SELECT table_name, reason FROM {state}.gaps ORDER BY id")


class TestPreparing:
    def test_everything_is_stored_before_the_scan(self, sides: Sides) -> None:
        sides.put(ACTORS, ACTOR)
        lines = sides.prepare()
        assert any(line.startswith("actors: switching the stream") for line in lines)
        assert sides.value("SELECT count(*) FROM {state}.shards WHERE position IS NULL AND NOT finished") == 9
        assert sides.value("SELECT count(*) FROM {state}.segments") == 18
        found = sides.client.describe_table(TableName=sides.table(ACTORS))["Table"]
        assert found["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}

    def test_it_can_be_repeated(self, sides: Sides) -> None:
        sides.put(ACTORS, ACTOR)
        sides.prepare()
        before = sides.select("SELECT * FROM {state}.shards ORDER BY shard_id")
        sides.scan()
        sides.prepare(enable_streams=True)
        assert sides.select("SELECT * FROM {state}.shards ORDER BY shard_id") == before
        with pytest.raises(StateError, match=r"was prepared with INDEXED_PROPERTIES \[\"email\"\], --segments 2: do"):
            sides.prepare(indexed_properties=("phone",), segments=3)
        with pytest.raises(StateError, match="another live migration"):
            sides.prepare(endpoint="http://elsewhere")

    def test_the_region_of_the_shell_is_kept_for_the_commands_that_follow(
        self, sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv
    ) -> None:
        set_env(**postgres_tables.environment, **sides.environment)
        sides.put(ACTORS, ACTOR)
        flags = DynamoDBFlags(None, None, None, 1, None)
        live.prepare_migration(flags, PostgresFlags(), enable_streams=True)
        region = sides.environment["AWS_DEFAULT_REGION"]
        set_env(AWS_DEFAULT_REGION="eu-north-1")
        assert live.Session(PostgresFlags()).requests().endpoint.region_name == region
        with pytest.raises(StateError, match=f"another live migration .from dynamodb, .*, region {region}, at 127"):
            live.prepare_migration(flags, PostgresFlags(), enable_streams=True)

    def test_streams_are_not_switched_on_unasked(self, sides: Sides) -> None:
        with pytest.raises(UsageError, match=f"the streams of {sides.prefix}_actors, .* are off"):
            sides.prepare(enable_streams=False)
        assert sides.value("SELECT to_regnamespace(%(name)s)::text", name=sides.state.name) is None

    def test_tables_that_are_filled_already(self, sides: Sides) -> None:
        with sides.state.connect() as connection:
            connection.execute(sides.state.sql("INSERT INTO {schema}.actors VALUES ('a1', '', '')"))
        with pytest.raises(UsageError, match=r"actors in schema .* has rows already"):
            sides.prepare()

    def test_a_deployment_that_is_not_there(self, sides: Sides) -> None:
        with pytest.raises(SourceError, match="there is no DynamoDB table absent_actors: check --table-prefix"):
            sides.prepare(prefix="absent")

    def test_a_table_of_somebody_else(self, sides: Sides) -> None:
        sides.client.delete_table(TableName=sides.table(PROPERTIES))
        sides.client.create_table(
            TableName=sides.table(PROPERTIES),
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
        )
        with pytest.raises(UsageError, match="is not ActingWeb's, as its key shows"):
            sides.prepare()

    def test_a_schema_with_a_long_name(self, state: State) -> None:
        target = Target(state.target.settings.replace(schema="s" * 54))
        with pytest.raises(StateError, match=r"has 54 bytes: .* at most 53"):
            State(target)


class TestDescribing:
    ARN = "arn"

    def described(self, *pages: tuple[Sequence[str], str | None]) -> list[Answer | None]:
        """Return descriptions; a shard is written as `id`, `id<parent` or, if it is closed, with a final dot."""
        found = ({"Shards": list(map(self.shard, shards)), **self.more(last)} for shards, last in pages)
        return [{"StreamDescription": {"StreamStatus": "ENABLED", **facts}} for facts in found]

    @staticmethod
    def more(last: str | None) -> Json:
        return {} if last is None else {"LastEvaluatedShardId": last}

    @staticmethod
    def shard(text: str) -> Json:
        name, _, parent = text.rstrip(".").partition("<")
        numbers = {"StartingSequenceNumber": "1"} | ({"EndingSequenceNumber": "2"} if text.endswith(".") else {})
        return {"ShardId": name, "SequenceNumberRange": numbers} | ({"ParentShardId": parent} if parent else {})

    def test_pages_and_a_closed_shard_whose_child_is_not_listed_yet(self, scripted: Scripted) -> None:
        first = self.described((["a.", "b."], "b"), (["c<a"], None))
        second = self.described((["a.", "b."], "b"), (["c<a", "d<b"], None))
        scripted.answers["DescribeStream"] = first + second
        shards = all_shards(scripted, self.ARN, sleep=lambda _: None)
        assert [(shard.id, shard.parent_id, shard.closed) for shard in shards] == [
            ("a", None, True),
            ("b", None, True),
            ("c", "a", False),
            ("d", "b", False),
        ]

    def test_a_child_that_is_never_listed_does_not_stop_anything(self, scripted: Scripted) -> None:
        """It is found later, and read from its beginning."""
        scripted.answers["DescribeStream"] = self.described(*[(["a."], None)] * 100)
        assert [shard.id for shard in all_shards(scripted, self.ARN, sleep=lambda _: None)] == ["a"]


class TestReading:
    def test_keys_and_position_are_stored_together(self, sides: Sides, reader: ShardReader) -> None:
        read(reader)
        assert set(sides.fresh()) >= {("properties", "a1", "name 0")}
        assert sides.value("SELECT position IS NOT NULL FROM {state}.shards")
        assert sides.value("SELECT count(*) FROM {state}.leases") == 0

    def test_an_iterator_expires(self, sides: Sides, reader: ShardReader, scripted: Scripted) -> None:
        total = read(reader)
        scripted.answers["GetRecords"] = [RequestError("expired", EXPIRED), None]
        sides.put(PROPERTIES, *properties(5))
        scripted.sent.clear()
        reader.step()
        operations = [operation for operation, _ in scripted.sent]
        assert operations == ["GetRecords", "GetShardIterator", "GetRecords"]
        iterator = scripted.sent[1][1]
        assert iterator["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER"
        while len(sides.fresh()) < 5:
            total += reader.step()
        assert gaps(sides) == []

    def test_a_reader_goes_on_while_a_shard_is_due(self, sides: Sides) -> None:
        """Although the shards have nothing new."""
        sides.put(ACTORS, ACTOR)
        sides.prepare()
        reader = sides.reader(pause=3600)
        shards = sides.value("SELECT count(*) FROM {state}.shards")
        assert shards > 1
        assert [(reader.step(), reader.has_more) for _ in range(shards + 1)] == [(0, True)] * shards + [(0, False)]

    def test_a_shard_that_had_records_is_left_alone_for_a_fifth_of_a_second(
        self, sides: Sides, reader: ShardReader
    ) -> None:
        reader.pause = 3600
        read_at: LiteralString = (
            "UPDATE {state}.shards SET oldest_unread_at = now(), read_at = now() + make_interval(secs => %(after)s) "
            "RETURNING 1"
        )
        sides.select(read_at, after=60)
        assert (reader.step(), reader.has_more) == (0, False)
        sides.select(read_at, after=-0.2)
        reader.step()
        assert reader.has_more

    def test_trimmed_records_are_a_gap_and_reading_goes_on(
        self, sides: Sides, reader: ShardReader, scripted: Scripted
    ) -> None:
        read(reader)
        scripted.answers["GetRecords"] = [RequestError("trimmed", TRIMMED)]
        assert reader.step() == 0
        assert gaps(sides) == [("properties", "records were deleted before they were read: more than 24 hours passed")]
        assert read(reader) > 0
        assert sides.value("SELECT NOT finished FROM {state}.shards")

    def test_a_shard_that_was_not_read_for_a_day_is_a_gap_and_reading_goes_on(
        self, sides: Sides, reader: ShardReader
    ) -> None:
        """Who reads from the oldest record that is left is not told what was deleted before."""
        with sides.state.connect() as connection:
            connection.execute(sides.state.sql("UPDATE {state}.shards SET opened_after = now() - interval '22 hours'"))
            read(reader)
            assert gaps(sides) == []
            connection.execute(sides.state.sql("UPDATE {state}.shards SET read_at = now() - interval '23 hours'"))
        sides.put(PROPERTIES, *properties(5))
        while len(sides.fresh()) < 5:
            reader.step()
        late = "a shard was not read for almost 24 hours: records may have been deleted before they were read"
        assert gaps(sides) == [("properties", late)]

    def test_a_shard_that_was_never_read_in_a_day_is_a_gap(self, sides: Sides, reader: ShardReader) -> None:
        with sides.state.connect() as connection:
            connection.execute(sides.state.sql("UPDATE {state}.shards SET opened_after = now() - interval '23 hours'"))
        read(reader)
        reader.step()
        assert len(gaps(sides)) == 1

    def test_a_shard_that_was_found_a_day_late_is_a_gap(self, sides: Sides, reader: ShardReader) -> None:
        """It may be as old as the description before."""
        with sides.state.connect() as connection:
            late = "UPDATE {state}.tables SET described_at = now() - interval '23 hours' WHERE name = 'properties'"
            connection.execute(sides.state.sql(late))
            connection.execute(sides.state.sql("DELETE FROM {state}.shards"))
        assert reader.discover() > 0
        read(reader)
        assert len(gaps(sides)) == 1

    def test_a_shard_that_is_gone_is_a_gap(self, sides: Sides, reader: ShardReader, scripted: Scripted) -> None:
        scripted.answers["GetShardIterator"] = [TableNotFoundError("gone", "ResourceNotFoundException")]
        assert reader.step() == 0
        assert len(gaps(sides)) == 1
        assert sides.value("SELECT finished FROM {state}.shards")

    def test_other_failures_lose_nothing(self, sides: Sides, reader: ShardReader, scripted: Scripted) -> None:
        scripted.answers["GetRecords"] = [RequestError("throttled", "ThrottlingException")]
        with pytest.raises(SourceError, match="throttled"):
            reader.step()
        assert sides.value("SELECT position FROM {state}.shards") is None
        assert read(reader) > 0

    def test_the_last_batch_of_a_closed_shard_counts_and_its_children_are_read(
        self, sides: Sides, reader: ShardReader, scripted: Scripted
    ) -> None:
        keys = {"id": {"S": "a1"}, "name": {"S": "last"}}
        change = {"Keys": keys, "SequenceNumber": "9", "ApproximateCreationDateTime": 1_700_000_000}
        scripted.answers["GetRecords"] = [{"Records": [{"dynamodb": change}]}]
        (parent,) = sides.select("SELECT shard_id FROM {state}.shards")[0]
        scripted.answers["DescribeStream"] = TestDescribing().described(([f"{parent}.", f"child<{parent}"], None))
        assert reader.step() == 1
        assert sides.fresh() == [("properties", "a1", "last")]
        shards = sides.select("SELECT shard_id, finished, position FROM {state}.shards ORDER BY finished")
        assert shards == [("child", False, None), (parent, True, "9")]

    def test_a_closed_shard_is_finished_when_its_children_are_listed(
        self, sides: Sides, reader: ShardReader, scripted: Scripted
    ) -> None:
        """Otherwise a move of actors would not wait for the records of the children."""
        (parent,) = sides.select("SELECT shard_id FROM {state}.shards")[0]
        described = TestDescribing().described
        for listed, finished in ([f"{parent}."], False), ([f"{parent}.", f"child<{parent}"], True):
            scripted.answers["GetRecords"] = [{"Records": []}]
            scripted.answers["DescribeStream"] = described((listed, None))
            reader.step()
            shards = sides.select("SELECT finished FROM {state}.shards WHERE shard_id = %(id)s", id=parent)
            assert shards == [(finished,)]

    def test_a_reader_that_was_too_slow_changes_nothing(
        self, sides: Sides, reader: ShardReader, scripted: Scripted
    ) -> None:
        """Its lease has ended, and another one has read the same."""
        other = sides.reader("other")
        stolen = False

        def steal(operation: str, request: Json, send: Callable[[str, Json], Json]) -> Json:
            nonlocal stolen
            answer = send(operation, request)
            if operation == "GetRecords" and answer["Records"] and not stolen:
                stolen = True
                with sides.state.connect() as connection:
                    connection.execute(sides.state.sql("UPDATE {state}.leases SET expires_at = now() - interval '1 s'"))
                read(other)
            return answer

        scripted._answer = steal  # type: ignore[method-assign]
        read(reader)
        assert len(sides.fresh()) == 3

    def test_one_process_reads_a_shard_at_a_time(self, sides: Sides, reader: ShardReader, scripted: Scripted) -> None:
        found = []
        other = sides.reader("other")

        def look(operation: str, request: Json, send: Callable[[str, Json], Json]) -> Json:
            with other.connected() as connection:
                found.append(other._choose(connection))
            return send(operation, request)

        scripted._answer = look  # type: ignore[method-assign]
        reader.step()
        assert found
        assert set(found) == {None}


class TestDiscovering:
    def test_a_table_that_appears_later(self, sides: Sides) -> None:
        sides.client.delete_table(TableName=sides.table(CLAIMS_V2))
        sides.put(ACTORS, ACTOR)
        sides.put(PROPERTIES, {"id": "a1", "name": "phone", "value": "1"})
        sides.prepare()
        sides.scan()
        reader = sides.reader()
        assert reader.discover() == 0
        sides.create(CLAIMS_V2)
        key = compute_lookup_key("phone", "1")
        sides.put(CLAIMS_V2, {"lookup_key": key, "property_name": "phone", "actor_id": "a1"})
        assert reader.discover() == 1
        sides.scan()
        sides.catch_up()
        assert sides.look_ups() == {key: "a1"}

    def test_who_may_change_no_table_reports_one_that_appears(self, sides: Sides) -> None:
        """As `sync` with the policy for it; `prepare` has one that allows it."""
        sides.client.delete_table(TableName=sides.table(CLAIMS_V2))
        sides.prepare()
        sides.scan()

        class ReadOnly:
            def call(self, operation: str, request: Json) -> Json:
                if operation == "UpdateTable":
                    raise AccessDeniedError("not allowed")
                return sides.requests.call(operation, request)

            def streams_call(self, operation: str, request: Json) -> Json:
                return sides.requests.streams_call(operation, request)

        sides.create(CLAIMS_V2)
        reader = sides.opened(ShardReader(sides.state, ReadOnly(), sides.state.connect, "reader"))
        for _ in range(2):
            assert reader.discover() == 0
            assert gaps(sides) == [
                (CLAIMS_V2.name, "the table appeared without a stream: run `migrate prepare --enable-streams` again")
            ]
        sides.prepare()
        assert sides.select("SELECT present FROM {state}.tables WHERE name = 'property_lookup_v2'") == [(True,)]

    def test_a_stream_is_switched_off(self, sides: Sides) -> None:
        sides.put(ACTORS, ACTOR)
        sides.prepare()
        off = {"StreamEnabled": False}
        sides.client.update_table(TableName=sides.table(ACTORS), StreamSpecification=off)  # type: ignore[arg-type]
        reader = sides.reader()
        assert reader.discover() == 1
        assert gaps(sides) == [("actors", "the stream was switched off and on again")]
        assert sides.client.describe_table(TableName=sides.table(ACTORS))["Table"]["StreamSpecification"][
            "StreamEnabled"
        ]
        reader.discover()
        assert len(gaps(sides)) == 1

    def test_the_older_table_of_claims_is_looked_for(self, sides: Sides) -> None:
        sides.prepare()
        assert sides.select("SELECT present, scanned FROM {state}.tables WHERE name = 'property_lookup_v1'") == [
            (False, True)
        ]
        sides.create(CLAIMS_V1)
        sides.reader().discover()
        assert sides.select("SELECT present, scanned FROM {state}.tables WHERE name = 'property_lookup_v1'") == [
            (True, False)
        ]


class TestItems:
    def test_keys_that_are_left_over(self, sides: Sides, scripted: Scripted) -> None:
        sides.put(PROPERTIES, *properties(4))
        table, keys = sides.table(PROPERTIES), [RowKey("properties", "a1", f"name {number}") for number in range(4)]
        left = {"Keys": [key.item_key for key in keys[1:]], "ConsistentRead": True}
        nothing = {"Responses": {}, "UnprocessedKeys": {table: {"Keys": [key.item_key for key in keys]}}}
        first = {"Responses": {table: [keys[0].item_key]}, "UnprocessedKeys": {table: left}}
        scripted.answers["BatchGetItem"] = [nothing, first]
        items = read_items(scripted, table, keys, whole=False, sleep=lambda _: None)
        assert (set(items.found), items.left) == ({keys[0]}, set(keys[1:]))
        scripted.answers["BatchGetItem"] = [first, None]
        assert set(read_items(scripted, table, keys, whole=True, sleep=lambda _: None).found) == set(keys)

    def test_endless_throttling_is_no_absence(self, scripted: Scripted) -> None:
        key = RowKey("actors", "a1")
        nothing: Json = {"Responses": {}, "UnprocessedKeys": {"t": {"Keys": [key.item_key]}}}
        scripted.answers["BatchGetItem"] = [nothing] * 100
        with pytest.raises(SourceError, match="it throttles all reads"):
            read_items(scripted, "t", [key], whole=False, sleep=lambda _: None)

    def test_a_key_that_dynamodb_refuses_fails_alone(self, sides: Sides, scripted: Scripted) -> None:
        sides.put(PROPERTIES, *properties(3))
        keys = [RowKey("properties", "a1", f"name {number}") for number in range(3)]
        refused = RequestError("refused", "ValidationException")
        scripted.answers["BatchGetItem"] = [refused, refused]
        items = read_items(scripted, sides.table(PROPERTIES), keys, whole=False)
        assert items.refused == {keys[0]}
        assert set(items.found) == set(keys[1:])
