"""DbProperty: the reverse look-up, in look-up mode and in legacy mode, and the errors of both."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbError, DbInputError, DbSchemaError, get_property, load_backend
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.contract.support.property_tables import Claims, lookup_table

ADDRESS = "anna@example.com"
TEXTS = ["100%", "under_score", "a:b", " ", "Anna@Example.com", "é", "e\u0301", "🎈", "\uffee", "x" * 2000]


@pytest.fixture
def legacy(backend: Backend, set_env: SetEnv) -> Backend:
    """Return the backend in legacy mode, on DynamoDB with tables of its own, which have the index of that mode."""
    set_env(USE_PROPERTY_LOOKUP_TABLE="0", AWS_DB_PREFIX=f"{os.environ.get('AWS_DB_PREFIX', '')}legacy")
    return load_backend(backend.database)


@pytest.fixture(params=["lookup", "legacy"])
def either(request: pytest.FixtureRequest, backend: Backend) -> Backend:
    """Return the backend in each of its modes."""
    if request.param == "lookup":
        return backend
    legacy: Backend = request.getfixturevalue("legacy")
    return legacy


@pytest.fixture
def owners(either: Backend, new_actor: Callable[..., str]) -> tuple[str, str]:
    """Return the ids of two actors, the smaller first."""
    one, other = sorted((new_actor(), new_actor()))
    return one, other


def _find(backend: Backend, name: str | None = "email", value: str | None = ADDRESS) -> str | None:
    return get_property(backend).get_actor_id_from_property(name=name, value=value)


class TestEitherMode:
    def test_the_holder_is_found(self, either: Backend, owners: tuple[str, str]) -> None:
        get_property(either).set(owners[0], "email", ADDRESS)
        get_property(either).set(owners[1], "email", "bob@example.com")
        assert _find(either) == owners[0]
        assert _find(either, value="bob@example.com") == owners[1]
        assert _find(either, value="carol@example.com") is None

    @pytest.mark.parametrize(("name", "value"), [(None, "v"), ("", "v"), ("email", None), ("email", ""), (None, None)])
    def test_missing_arguments(self, either: Backend, name: str | None, value: str | None) -> None:
        assert _find(either, name, value) is None
        assert get_property(either).get_actor_id_from_property() is None

    @pytest.mark.parametrize("value", TEXTS)
    def test_values_match_verbatim(self, either: Backend, owners: tuple[str, str], value: str) -> None:
        get_property(either).set(owners[0], "email", value)
        assert _find(either, value=value) == owners[0]
        for other in {value.upper(), value + " ", value[:-1], value.replace("_", "%")} - {value}:
            assert _find(either, value=other) is None

    def test_arguments_are_cleaned(self, either: Backend, owners: tuple[str, str]) -> None:
        get_property(either).set(owners[0], "email", "a\ud800")
        assert _find(either, value="a\udfff") == owners[0]

    @pytest.mark.parametrize("value", ["a\x00", "x" * 500_000])
    def test_a_value_that_nobody_can_hold_is_not_found(self, either: Backend, value: str) -> None:
        assert _find(either, value=value) is None

    @pytest.mark.parametrize(("name", "value"), [(1, "v"), ("email", 1), ("email", b"v")])
    def test_what_is_not_text_is_refused(self, either: Backend, name: Any, value: Any) -> None:
        with pytest.raises(DbInputError) as refusal:
            _find(either, name, value)
        assert refusal.value.op == "property lookup read"

    def test_the_stored_text_of_a_json_value_is_found(self, either: Backend, owners: tuple[str, str]) -> None:
        get_property(either).set(owners[0], "email", {"a": 1})
        assert _find(either, value='{"a": 1}') == owners[0]

    def test_a_hit_sets_the_handle_and_a_miss_clears_it(self, either: Backend, owners: tuple[str, str]) -> None:
        get_property(either).set(owners[0], "email", ADDRESS)
        prop = get_property(either)
        prop.get_actor_id_from_property("email", ADDRESS)
        assert (prop.handle.id, prop.handle.name, prop.handle.value) == (owners[0], "email", ADDRESS)
        assert prop.get_actor_id_from_property("email", "absent") is None
        assert prop.handle is None

    def test_delete_after_a_hit_deletes_the_property(self, either: Backend, owners: tuple[str, str]) -> None:
        get_property(either).set(owners[0], "email", ADDRESS)
        prop = get_property(either)
        prop.get_actor_id_from_property("email", ADDRESS)
        assert prop.delete() is True
        assert get_property(either).get(owners[0], "email") is None
        assert _find(either) is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda prop, owner: prop.set(owner, "email", "new@example.com"),
            lambda prop, owner: prop.set(owner, "email", None),
            lambda prop, owner: prop.get(owner, "email") and prop.delete(),
            lambda prop, owner: prop.set_if_value_equals(owner, "email", ADDRESS, "new@example.com"),
            lambda prop, owner: prop.set_if_value_equals(owner, "email", ADDRESS, ""),
            lambda prop, owner: prop.delete_if_value_equals(owner, "email", ADDRESS),
            lambda prop, owner: prop.batch_delete(owner, ["email"]),
        ],
        ids=["set", "set none", "delete", "conditional set", "conditional empty", "conditional delete", "batch delete"],
    )
    def test_the_old_address_no_longer_resolves(
        self, either: Backend, owners: tuple[str, str], change: Callable[[DbPropertyProtocol, str], object]
    ) -> None:
        get_property(either).set(owners[0], "email", ADDRESS)
        change(get_property(either), owners[0])
        assert _find(either) is None
        if get_property(either).get(owners[0], "email"):
            assert _find(either, value="new@example.com") == owners[0]

    def test_the_same_text_under_another_name_is_not_found(self, either: Backend, owners: tuple[str, str]) -> None:
        get_property(either).set(owners[0], "oauthId", "same")
        assert _find(either, "email", "same") is None
        get_property(either).set(owners[1], "email", "same")
        assert _find(either, "email", "same") == owners[1]
        assert _find(either, "oauthId", "same") == owners[0]


class TestLookupMode:
    @pytest.mark.parametrize("name", ["color", "Email", "email ", "list:email"])
    def test_a_name_that_is_not_indexed_is_not_looked_up(
        self, backend: Backend, actor_id: str, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        get_property(backend).set(actor_id, name, "canary")
        assert _find(backend, name, "canary") is None
        [record] = caplog.records
        assert (record.levelname, record.name) == ("WARNING", f"actingweb.db.{backend.database}.property")
        assert "non-indexed" in record.getMessage()
        assert "canary" not in record.getMessage()

    def test_a_list_row_is_never_indexed(self, backend: Backend, actor_id: str) -> None:
        prop = backend.DbProperty.DbProperty(indexed_properties=["list:x"])
        prop.set(actor_id, "list:x", "v")
        assert prop.get_actor_id_from_property("list:x", "v") is None

    def test_the_settings_name_the_indexed_properties(self, backend: Backend, actor_id: str, set_env: SetEnv) -> None:
        set_env(INDEXED_PROPERTIES=" nick , shoe ")
        prop = backend.DbProperty.DbProperty()
        assert (prop._use_lookup_table, list(prop._indexed_properties)) == (True, ["nick", "shoe"])
        for name in ("nick", "shoe", "email"):
            prop.set(actor_id, name, "v")
        assert [prop.get_actor_id_from_property(name, "v") for name in ("nick", "shoe", "email")] == [
            actor_id,
            actor_id,
            None,
        ]

    def test_arguments_of_the_constructor_beat_the_settings(self, backend: Backend, set_env: SetEnv) -> None:
        set_env(USE_PROPERTY_LOOKUP_TABLE="no", INDEXED_PROPERTIES="nick")
        prop = backend.DbProperty.DbProperty(use_lookup_table=True, indexed_properties=["shoe"])
        assert (prop._use_lookup_table, prop._indexed_properties) == (True, ["shoe"])
        listed = backend.DbProperty.DbPropertyList(use_lookup_table=True, indexed_properties=[])
        assert (listed._use_lookup_table, listed._indexed_properties) == (True, [])

    @pytest.mark.parametrize("word", ["1", "true", "YES", " On "])
    def test_every_word_for_true_means_lookup_mode(
        self, backend: Backend, actor_id: str, set_env: SetEnv, word: str, lookup_rows: Callable[[], Claims]
    ) -> None:
        set_env(USE_PROPERTY_LOOKUP_TABLE=word)
        assert load_backend(backend.database).use_lookup_table is True
        backend.DbProperty.DbProperty().set(actor_id, "email", ADDRESS)
        assert len(lookup_rows()) == 1

    def test_a_stale_look_up_row_is_no_answer(
        self, backend: Backend, actor_id: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        get_property(backend).set(actor_id, "email", "held@example.com")
        lookup_table(backend).create("email", ADDRESS, actor_id)
        assert _find(backend) is None
        [record] = caplog.records
        assert record.levelname == "WARNING"
        assert ADDRESS not in record.getMessage()

    def test_absence_is_not_logged(self, backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
        # The first miss of a DynamoDB process may report fallbacks that it will not ask again.
        assert _find(backend) is None
        caplog.clear()
        assert _find(backend, value="absent") is None
        assert caplog.records == []


class TestLegacyMode:
    def test_of_several_holders_the_smallest_id_is_found(self, legacy: Backend, new_actor: Callable[..., str]) -> None:
        owners = sorted(new_actor() for _ in range(3))
        for owner in (owners[1], owners[2], owners[0]):
            get_property(legacy).set(owner, "email", ADDRESS)
        assert _find(legacy) == owners[0]
        get_property(legacy).set(owners[0], "email", None)
        assert _find(legacy) == owners[1]

    def test_every_name_can_be_looked_up(self, legacy: Backend, actor_id: str) -> None:
        get_property(legacy).set(actor_id, "color", "blue")
        assert _find(legacy, "color", "blue") == actor_id

    def test_no_look_up_rows_are_written(self, legacy: Backend, actor_id: str) -> None:
        get_property(legacy).set(actor_id, "email", ADDRESS)
        assert lookup_table(legacy).get("email", ADDRESS) is None

    @pytest.mark.backends("dynamodb")
    def test_a_missing_index_is_an_error_that_tells_the_way_out(self, backend: Backend) -> None:
        prop = backend.DbProperty.DbProperty(use_lookup_table=False)
        with pytest.raises(DbSchemaError) as error:
            prop.get_actor_id_from_property("email", ADDRESS)
        for word in ("property-index", "with_legacy_property_index", "backfill_property_lookup"):
            assert word in str(error.value)

    @pytest.mark.backends("dynamodb")
    def test_dynamodb_takes_values_of_2048_bytes(self, legacy: Backend, actor_id: str) -> None:
        assert get_property(legacy).set(actor_id, "email", "x" * 2048)
        assert _find(legacy, value="x" * 2048) == actor_id


@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize("lookup_mode", [True, False])
def test_dynamodb_refuses_a_long_value_while_the_legacy_index_exists(
    legacy: Backend, actor_id: str, lookup_mode: bool
) -> None:
    get_property(legacy).set(actor_id, "email", ADDRESS)
    prop = legacy.DbProperty.DbProperty(use_lookup_table=lookup_mode)
    for name in ("email", "plain"):
        prop.set(actor_id, name, ADDRESS)
        with pytest.raises(DbInputError, match="2048"):
            prop.set(actor_id, name, "x" * 2049)
        assert prop.get(actor_id, name) == ADDRESS


@pytest.mark.parametrize("lookup_mode", [True, False])
def test_a_fault_in_a_reverse_look_up_raises(backend: Backend, no_tables: None, lookup_mode: bool) -> None:
    prop = backend.DbProperty.DbProperty(use_lookup_table=lookup_mode, indexed_properties=["email"])
    with pytest.raises(DbError) as error:
        prop.get_actor_id_from_property("email", ADDRESS)
    assert error.value.op == "property lookup read"
    assert isinstance(error.value, DbSchemaError)
    assert ADDRESS not in str(error.value)
