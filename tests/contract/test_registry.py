"""`load_backend` and the backends it knows (2.2)."""

import importlib
import sys
from types import ModuleType

import pytest

from actingweb.db import ConfigurationError, load_backend, reset_settings
from actingweb.db.registry import Backend

MODULES = {
    "DbActor": "actor",
    "DbPeerTrustee": "peertrustee",
    "DbProperty": "property",
    "DbAttribute": "attribute",
    "DbSubscription": "subscription",
    "DbSubscriptionDiff": "subscription_diff",
    "DbTrust": "trust",
    "DbSubscriptionSuspension": "subscription_suspension",
}


@pytest.mark.no_aio
@pytest.mark.parametrize(("attribute", "module"), MODULES.items())
def test_the_modules_hang_on_the_backend(attribute: str, module: str, backend: Backend) -> None:
    found = getattr(backend, attribute)
    assert isinstance(found, ModuleType)
    assert found is importlib.import_module(f"actingweb.db.{backend.database}.{module}")


def test_the_nine_modules_are_importable_under_actingweb_db(backend: Backend) -> None:
    for module in (*MODULES.values(), "property_lookup"):
        assert importlib.import_module(f"actingweb.db.{backend.database}.{module}")


@pytest.mark.no_aio
def test_without_a_name_the_backend_of_the_environment_is_loaded(backend: Backend) -> None:
    assert load_backend().database == backend.database
    assert load_backend().DbActor is backend.DbActor


def test_a_name_beats_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_BACKEND", "nonsense")
    assert load_backend("memory").database == "memory"


def test_the_backend_carries_the_settings_of_indexing(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("USE_PROPERTY_LOOKUP_TABLE", "no")
    environment.setenv("INDEXED_PROPERTIES", "a,b")
    backend = load_backend("memory")
    assert backend.use_lookup_table is False
    assert backend.indexed_properties == ["a", "b"]


@pytest.mark.parametrize("name", ["nonsense", "DynamoDB", "policy", "dynamodb.actor", "../x"])
def test_an_unknown_backend_is_refused_with_the_names_of_all(name: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_BACKEND", name)
    with pytest.raises(ConfigurationError, match="DATABASE_BACKEND") as caught:
        load_backend()
    for known in ("dynamodb", "postgresql", "memory"):
        assert known in str(caught.value)
    with pytest.raises(ConfigurationError):
        load_backend(name)


def test_a_backend_of_an_entry_point_is_importable_for_the_framework() -> None:
    backend = load_backend("memory")
    assert sys.modules["actingweb.db.memory"] is importlib.import_module("tests.memory_backend")
    assert importlib.import_module("actingweb.db.memory.actor") is backend.DbActor
    assert backend.DbActor.__name__.startswith("actingweb.db.memory.")


def test_a_bad_setting_is_refused_by_load_backend(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("USE_PROPERTY_LOOKUP_TABLE", "perhaps")
    reset_settings()
    with pytest.raises(ConfigurationError, match="USE_PROPERTY_LOOKUP_TABLE"):
        load_backend("memory")
