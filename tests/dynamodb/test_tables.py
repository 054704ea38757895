"""Names, creation and checks of the tables (4.1, 4.3, 4.4)."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.db import DbConnectionError, DbError, DbSchemaError, get_actor, get_attribute, get_trust, verify_tables
from actingweb.db import dynamodb as models
from actingweb.db.dynamodb import _ensure
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy, failing
from testbed.threads import PATIENCE, HelperThreads
from tests.conftest import SetEnv
from tests.support import race

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.backends("dynamodb")


@pytest.fixture(autouse=True)
def override() -> Iterator[None]:
    """Forget what a test overrides."""
    yield
    _ensure._auto_create_override = None
    _ensure.reset_ensure_cache()


class StandIn:
    """A model of which only two methods are known."""

    def __init__(self, exists: bool = False, error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self._exists = exists
        self._error = error

    def exists(self) -> bool:
        self.calls.append("exists")
        return self._exists

    def create_table(self, *, wait: bool) -> None:
        self.calls.append(f"create_table {wait}")
        if self._error is not None:
            raise self._error


class TestEnsure:
    def test_an_absent_table_is_created_once(self) -> None:
        model = StandIn()
        _ensure.ensure_table(model)
        _ensure.ensure_table(model)
        assert model.calls == ["exists", "create_table True"]

    def test_a_table_that_is_there_is_not_created(self) -> None:
        model = StandIn(exists=True)
        _ensure.ensure_table(model)
        assert model.calls == ["exists"]

    def test_another_creator_is_fine(self) -> None:
        model = StandIn(error=RuntimeError("... (ResourceInUseException) ..."))
        _ensure.ensure_table(model)
        _ensure.ensure_table(model)
        assert model.calls == ["exists", "create_table True"]

    def test_another_error_is_raised_and_not_remembered(self) -> None:
        model = StandIn(error=RuntimeError("no"))
        for _ in range(2):
            with pytest.raises(DbError):
                _ensure.ensure_table(model)
        assert model.calls == ["exists", "create_table True"] * 2

    def test_many_threads_create_once(self) -> None:
        model = StandIn()
        race(8, lambda: _ensure.ensure_table(model))
        assert model.calls == ["exists", "create_table True"]

    def test_a_child_process_does_not_wait_for_another_thread_of_its_parent(self) -> None:
        model, threads = StandIn(exists=True), HelperThreads()
        held, forked = Event(), Event()

        def hold() -> bool:
            held.set()
            return forked.wait(PATIENCE)

        model.exists = hold  # type: ignore[method-assign]
        threads.start(_ensure.ensure_table, model)
        assert held.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            signal.alarm(int(PATIENCE))
            model.exists = lambda: True  # type: ignore[method-assign]
            _ensure.ensure_table(model)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        forked.set()
        threads.join()

    def test_each_created_table_is_one_warning_that_names_the_setting(
        self, backend: Backend, aside: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            assert get_trust(backend).get("a", "p") is None
            assert backend.DbProperty.DbProperty(use_lookup_table=True).get("a", "n") is None
        names = [f"{aside}_{suffix}" for suffix in ("trusts", "properties", "property_lookup_v2")]
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
            (
                "WARNING",
                f"created table {name}, which was missing; AWS_DB_AUTO_CREATE_TABLES=false leaves missing tables alone",
            )
            for name in names
        ]

    def test_creating_a_table_that_is_there_warns_of_nothing(
        self, backend: Backend, aside: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert models.Trust.create_table(wait=True)
        assert models.Trust.create_table(wait=True) is False
        assert caplog.text == ""

    def test_off_asks_nothing_and_says_so_once(self, caplog: pytest.LogCaptureFixture) -> None:
        _ensure._flag_logged = False
        _ensure.set_auto_create(False)
        model = StandIn()
        with caplog.at_level(logging.INFO):
            _ensure.ensure_table(model)
            _ensure.ensure_table(model)
        assert model.calls == []
        assert [record.levelname for record in caplog.records] == ["INFO"]

    def test_switching_off_after_a_table_was_ensured_warns(self, caplog: pytest.LogCaptureFixture) -> None:
        _ensure.reset_ensure_cache()
        _ensure.set_auto_create(False)
        assert caplog.text == ""
        _ensure.set_auto_create(True)
        _ensure.ensure_table(StandIn())
        _ensure.set_auto_create(False)
        assert "already" in caplog.text

    def test_the_override_beats_the_environment_and_outlives_a_reset(self, set_env: SetEnv) -> None:
        set_env(AWS_DB_AUTO_CREATE_TABLES="0")
        assert not models.auto_create_enabled()
        models.set_auto_create(True)
        _ensure.reset_ensure_cache()
        assert models.auto_create_enabled()

    def test_constructors_create_their_tables(self, backend: Backend, aside: str, ddb: DynamoDBClient) -> None:
        assert get_trust(backend).get("a", "p") is None
        assert get_attribute(backend).get_attr("a", "b", "n") is None
        backend.DbProperty.DbProperty(use_lookup_table=True)
        assert tables(ddb, aside) == [
            f"{aside}_{suffix}" for suffix in ("attributes", "properties", "property_lookup_v2", "trusts")
        ]
        ttl = ddb.describe_time_to_live(TableName=f"{aside}_attributes")["TimeToLiveDescription"]
        assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "ttl_timestamp")

    def test_a_static_method_creates_its_table(self, backend: Backend, aside: str, ddb: DynamoDBClient) -> None:
        assert backend.DbTrust.DbTrust.is_token_in_db("a", "t") is False
        assert backend.DbAttribute.DbAttribute.get_attr("a", "b", "n") is None
        assert tables(ddb, aside) == [f"{aside}_attributes", f"{aside}_trusts"]

    def test_legacy_mode_creates_the_index(self, backend: Backend, aside: str, ddb: DynamoDBClient) -> None:
        backend.DbProperty.DbPropertyList(use_lookup_table=False)
        table = ddb.describe_table(TableName=f"{aside}_properties")["Table"]
        (index,) = table["GlobalSecondaryIndexes"]
        assert (index["IndexName"], index["Projection"]) == ("property-index", {"ProjectionType": "ALL"})
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"

    def test_a_fault_of_the_check_is_an_error(self, backend: Backend, set_env: SetEnv) -> None:
        set_env(AWS_DB_HOST="http://127.0.0.1:1", AWS_DB_MAX_ATTEMPTS="1")
        with pytest.raises(DbConnectionError):
            get_actor(backend)

    def test_without_creation_a_missing_table_names_the_check(
        self, backend: Backend, aside: str, set_env: SetEnv
    ) -> None:
        set_env(AWS_DB_AUTO_CREATE_TABLES="0")
        with pytest.raises(DbSchemaError, match=r"python -m actingweb\.db\.verify_tables"):
            get_actor(backend).get("a")


class TestNames:
    @pytest.fixture
    def prefix(self, aside: str, set_env: SetEnv) -> str:
        """Use a prefix that ends in an underscore."""
        set_env(AWS_DB_PREFIX=f"{aside}_")
        return f"{aside}_"

    def test_no_second_underscore(self, backend: Backend, prefix: str, ddb: DynamoDBClient) -> None:
        get_actor(backend)
        assert tables(ddb, prefix) == [f"{prefix}actors"]

    def test_an_older_table_is_used(self, backend: Backend, prefix: str, ddb: DynamoDBClient) -> None:
        older(models.Actor, ddb, f"{prefix}_actors")
        get_actor(backend).create("a")
        assert tables(ddb, prefix) == [f"{prefix}_actors"]
        assert models.Actor.Meta.table_name == f"{prefix}_actors"

    @pytest.mark.parametrize("code", ["", "AccessDeniedException"])
    def test_without_creation_the_first_request_finds_the_name(
        self, backend: Backend, prefix: str, ddb: DynamoDBClient, proxy: SpoilingProxy, code: str
    ) -> None:
        older(models.Actor, ddb, f"{prefix}_actors")
        if code:
            proxy.spoilers.append(failing(code))
        assert proxy.operations(lambda: get_actor(backend).create("a")) == ["PutItem"] * 2
        assert proxy.operations(lambda: get_actor(backend).get("a")) == ["GetItem"]
        assert get_actor(backend).get("a") is not None

    def test_without_creation_a_refused_condition_proves_the_name(
        self, backend: Backend, prefix: str, ddb: DynamoDBClient, proxy: SpoilingProxy
    ) -> None:
        older(models.Actor, ddb, f"{prefix}actors")
        ddb.put_item(TableName=f"{prefix}actors", Item={"id": {"S": "a"}})
        assert get_actor(backend).create("a") is False
        assert models.ActorModel.Meta.names() == [f"{prefix}actors"]

    def test_without_any_table_nothing_is_settled(
        self, backend: Backend, prefix: str, ddb: DynamoDBClient, proxy: SpoilingProxy
    ) -> None:
        with pytest.raises(DbSchemaError):
            get_actor(backend).get("a")
        older(models.Actor, ddb, f"{prefix}_actors")
        assert get_actor(backend).get("a") is None

    def test_each_table_of_a_transaction_has_its_own_name(
        self, backend: Backend, prefix: str, ddb: DynamoDBClient, proxy: SpoilingProxy
    ) -> None:
        older(models.Property, ddb, f"{prefix}_properties")
        older(models.PropertyLookupV2, ddb, f"{prefix}property_lookup_v2")
        prop = backend.DbProperty.DbProperty(use_lookup_table=True)
        assert prop.set("a", "email", "x")
        assert prop.get_actor_id_from_property("email", "x") == "a"

    def test_an_assigned_name_counts(self, backend: Backend, aside: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(models.Actor.Meta, "table_name", f"{aside}_others")
        _ensure.reset_ensure_cache()
        assert get_actor(backend).create("a")
        assert models.Actor.Meta.table_name == f"{aside}_others"
        monkeypatch.undo()
        assert models.Actor.Meta.table_name != f"{aside}_others"

    def test_a_prefix_set_between_import_and_first_use_is_used(self, backend: Backend, set_env: SetEnv) -> None:
        set_env(AWS_DB_PREFIX="later", AWS_DEFAULT_REGION="eu-north-1")
        assert models.Trust.Meta.table_name == "later_trusts"
        assert models.Trust.Meta.region == "eu-north-1"

    def test_importing_reads_no_settings(self) -> None:
        code = "import actingweb.db.dynamodb; from actingweb.db import settings; assert settings._current is None"
        environment = os.environ | {"AWS_DB_AUTO_CREATE_TABLES": "nonsense"}
        assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.parametrize(
    ("module", "names", "hash_key", "range_key", "suffix"),
    [
        ("actor", ("ActorModel", "Actor"), "id", None, "actors"),
        ("property", ("PropertyModel", "Property"), "id", "name", "properties"),
        ("property", ("PropertyLegacyModel", "PropertyLegacy"), "id", "name", "properties"),
        ("property_lookup", ("PropertyLookupV2Model", "PropertyLookupV2"), "lookup_key", None, "property_lookup_v2"),
        ("property_lookup", ("PropertyLookupModel", "PropertyLookup"), "property_name", "value", "property_lookup"),
        ("trust", ("TrustModel", "Trust"), "id", "peerid", "trusts"),
        ("peertrustee", ("PeerTrusteeModel", "PeerTrustee"), "id", "peerid", "peertrustees"),
        ("subscription", ("SubscriptionModel", "Subscription"), "id", "peer_sub_id", "subscriptions"),
        ("subscription_diff", ("SubscriptionDiffModel", "SubscriptionDiff"), "id", "subid_seqnr", "subscriptiondiffs"),
        (
            "subscription_suspension",
            ("SubscriptionSuspensionModel", "SubscriptionSuspension"),
            "id",
            "target_key",
            "subscription_suspensions",
        ),
        ("attribute", ("AttributeModel", "Attribute"), "id", "bucket_name", "attributes"),
    ],
)
def test_models(
    backend: Backend, module: str, names: tuple[str, str], hash_key: str, range_key: str | None, suffix: str
) -> None:
    found = importlib.import_module(f"actingweb.db.dynamodb.{module}")
    model = getattr(found, names[0])
    assert model is getattr(found, names[1]) is getattr(models, names[0]) is getattr(models, names[1])
    assert (model._hash_keyname, model._range_keyname) == (hash_key, range_key)
    assert model.Meta.table_name == f"{os.environ['AWS_DB_PREFIX']}_{suffix}"


class TestModels:
    def test_scan_as_the_framework_does(self, backend: Backend) -> None:
        get_actor(backend).create("a", "me", "pass")
        get_trust(backend).create("a", "p", secret="s", created_at="2024-01-02T03:04:05Z")
        get_attribute(backend).set_attr("a", "b", "n", {"x": 1})
        assert [row.id for row in models.Actor.scan(consistent_read=True, attributes_to_get=["id"])] == ["a"]
        (attribute,) = models.Attribute.scan(consistent_read=True, attributes_to_get=["id", "bucket_name"])
        assert (attribute.id, attribute.bucket_name) == ("a", "b:n")
        assert [row.to_dict() for row in models.ActorModel.scan()] == [
            {"id": "a", "creator": "me", "passphrase": "pass"}
        ]
        (trust,) = models.Trust.scan(limit=1)
        assert json.loads(json.dumps(trust.to_dict()))["created_at"] == "2024-01-02T03:04:05.000000+0000"

    def test_segments_and_the_last_key(self, backend: Backend) -> None:
        for number in range(10):
            backend.DbProperty.DbProperty().set("a", f"n{number}", "x")
        first = models.Property.scan(limit=4)
        seen = [row.name for row in first]
        rest = models.Property.scan(last_evaluated_key=first.last_evaluated_key)
        assert sorted(seen + [row.name for row in rest]) == [f"n{number}" for number in range(10)]
        segments = [models.Property.scan(segment=number, total_segments=2) for number in range(2)]
        assert sum(len(list(segment)) for segment in segments) == 10

    def test_an_index_can_be_queried(self, backend: Backend) -> None:
        get_actor(backend).create("a", "me")
        assert [row.id for row in models.Actor.creator_index.query("me")] == ["a"]

    def test_get_save_and_delete(self, backend: Backend) -> None:
        models.Trust("a", "p", baseuri="", type="", relationship="", secret="s").save()
        assert models.Trust.get("a", "p").secret == "s"
        found = get_trust(backend).get("a", "p")
        assert found is not None
        assert found["secret"] == "s"
        models.Trust.get("a", "p").delete()
        assert get_trust(backend).get("a", "p") is None

    def test_they_share_the_client(self, backend: Backend) -> None:
        one: Any = models.Actor._get_connection().connection.client
        other: Any = models.Trust._get_connection().connection.client
        assert one.transport is other.transport


class TestVerify:
    def test_all_present(self, backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
        assert verify_tables.main([]) == 0
        assert capsys.readouterr().out == "All 9 required tables exist.\n"

    def test_all_present_but_an_index(self, backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
        """Tables that were made for lookup mode lack the index of legacy mode."""
        assert verify_tables.main(["--legacy"]) == 1
        found = capsys.readouterr()
        assert found.out == "All 8 required tables exist.\n"
        assert found.err == f"NO INDEX  {os.environ['AWS_DB_PREFIX']}_properties  property-index\n"

    def test_all_present_in_legacy_mode(self, backend: Backend, aside: str, capsys: pytest.CaptureFixture[str]) -> None:
        for model in verify_tables.required_models(use_lookup_table=False):
            model.create_table(wait=True)
        assert verify_tables.main(["--legacy"]) == 0
        found = capsys.readouterr()
        assert (found.out, found.err) == ("All 8 required tables exist.\n", "")

    def test_missing(self, backend: Backend, aside: str, capsys: pytest.CaptureFixture[str]) -> None:
        models.Actor.create_table(wait=True)
        assert verify_tables.main(["--lookup-table"]) == 1
        found = capsys.readouterr()
        assert found.out.splitlines()[0] == f"MISSING  {aside}_attributes"
        assert (len(found.out.splitlines()), found.err) == (8, "8 required table(s) missing\n")

    def test_ttl_off(
        self, backend: Backend, aside: str, ddb: DynamoDBClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for model in verify_tables.required_models():
            model.create_table(wait=True)
        assert verify_tables.main([]) == 0
        assert capsys.readouterr().err == ""
        ddb.update_time_to_live(
            TableName=f"{aside}_attributes",
            TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl_timestamp"},
        )
        assert verify_tables.main([]) == 0
        assert capsys.readouterr().err == f"TTL OFF  {aside}_attributes\n"

    def test_list_asks_nothing(self, backend: Backend, set_env: SetEnv, capsys: pytest.CaptureFixture[str]) -> None:
        set_env(AWS_DB_HOST="http://127.0.0.1:1", AWS_DB_PREFIX="x", USE_PROPERTY_LOOKUP_TABLE="1")
        assert verify_tables.main(["--list"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "x_property_lookup_v2"

    def test_no_answer(self, backend: Backend, set_env: SetEnv, capsys: pytest.CaptureFixture[str]) -> None:
        set_env(AWS_DB_HOST="http://127.0.0.1:1", AWS_DB_MAX_ATTEMPTS="1")
        assert verify_tables.main([]) == 2
        assert capsys.readouterr().err != ""

    def test_another_backend(self, backend: Backend, set_env: SetEnv, capsys: pytest.CaptureFixture[str]) -> None:
        set_env(DATABASE_BACKEND="postgresql")
        assert verify_tables.main([]) == 2
        assert "Alembic" in capsys.readouterr().err

    def test_bad_setting(self, backend: Backend, set_env: SetEnv, capsys: pytest.CaptureFixture[str]) -> None:
        set_env(USE_PROPERTY_LOOKUP_TABLE="perhaps")
        assert verify_tables.main([]) == 2
        assert "USE_PROPERTY_LOOKUP_TABLE" in capsys.readouterr().err

    @pytest.mark.parametrize(("value", "expected"), [("1", True), ("off", False), (None, True)])
    def test_the_words_for_true_and_false_choose_the_look_up_mode(
        self, backend: Backend, set_env: SetEnv, value: str | None, expected: bool
    ) -> None:
        set_env(USE_PROPERTY_LOOKUP_TABLE=value)
        assert verify_tables.lookup_mode_enabled() is expected
        assert (models.PropertyLookupV2 in verify_tables.required_models()) is expected
        assert len(verify_tables.required_table_names()) == (9 if expected else 8)


def tables(client: DynamoDBClient, prefix: str) -> list[str]:
    """Return the names of the tables that begin with `prefix`."""
    pages = client.get_paginator("list_tables").paginate()
    return sorted(name for page in pages for name in page["TableNames"] if name.startswith(prefix))


def older(model: Any, client: DynamoDBClient, name: str) -> None:
    """Create the model's table under this very name."""
    schema = model._get_schema()
    client.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": part["AttributeName"], "AttributeType": "S"}
            for part in schema["attribute_definitions"]
            if any(part["AttributeName"] == key["AttributeName"] for key in schema["key_schema"])
        ],
        KeySchema=sorted(schema["key_schema"], key=lambda key: str(key["KeyType"])),
        BillingMode="PAY_PER_REQUEST",
    )
