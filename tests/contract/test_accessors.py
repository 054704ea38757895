"""The accessors of `actingweb.db` (2.2)."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

import actingweb.db
from actingweb.db import exceptions, get_db_accessors
from actingweb.db.registry import Backend

INDEXED = ["email"]
PROPERTY_ARGUMENTS = {"use_lookup_table": False, "indexed_properties": INDEXED}
# accessor, module on `config`, class, arguments of the class
ACCESSORS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("actor", "DbActor", "DbActor", {}),
    ("actor_list", "DbActor", "DbActorList", {}),
    ("property", "DbProperty", "DbProperty", PROPERTY_ARGUMENTS),
    ("property_list", "DbProperty", "DbPropertyList", PROPERTY_ARGUMENTS),
    ("trust", "DbTrust", "DbTrust", {}),
    ("trust_list", "DbTrust", "DbTrustList", {}),
    ("peer_trustee", "DbPeerTrustee", "DbPeerTrustee", {}),
    ("peer_trustee_list", "DbPeerTrustee", "DbPeerTrusteeList", {}),
    ("subscription", "DbSubscription", "DbSubscription", {}),
    ("subscription_list", "DbSubscription", "DbSubscriptionList", {}),
    ("subscription_diff", "DbSubscriptionDiff", "DbSubscriptionDiff", {}),
    ("subscription_diff_list", "DbSubscriptionDiff", "DbSubscriptionDiffList", {}),
    ("subscription_suspension", "DbSubscriptionSuspension", "DbSubscriptionSuspension", {}),
    ("attribute", "DbAttribute", "DbAttribute", {}),
    ("attribute_bucket_list", "DbAttribute", "DbAttributeBucketList", {}),
]
NAMES = [row[0] for row in ACCESSORS]


class Module:
    """Stands where a backend's module hangs on `config`: its classes note how they are called."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: SimpleNamespace(cls=name, args=args, kwargs=kwargs)


def application_config(module: str) -> Any:
    return SimpleNamespace(use_lookup_table=False, indexed_properties=INDEXED, **{module: Module()})


def arguments_of(name: str) -> tuple[str, ...]:
    return ("a1",) if name == "subscription_suspension" else ()


@pytest.mark.parametrize(("name", "module", "cls", "kwargs"), ACCESSORS)
def test_an_accessor_makes_a_new_object_through_config(
    name: str, module: str, cls: str, kwargs: dict[str, Any]
) -> None:
    config = application_config(module)
    accessor = get_db_accessors()[name]
    made = accessor(config, *arguments_of(name))
    assert (made.cls, made.args, made.kwargs) == (cls, arguments_of(name), kwargs)
    assert accessor(config, *arguments_of(name)) is not made


@pytest.mark.parametrize("name", NAMES)
def test_an_accessor_is_exported_and_documented(name: str) -> None:
    accessor = getattr(actingweb.db, f"get_{name}")
    assert accessor is get_db_accessors()[name]
    documentation = inspect.getdoc(accessor) or ""
    assert "Args:" in documentation
    assert "Returns:" in documentation
    expected = ["config", "actor_id"] if arguments_of(name) else ["config"]
    assert list(inspect.signature(accessor).parameters) == expected


def test_get_db_accessors_returns_a_plain_dict_of_the_fifteen() -> None:
    accessors = get_db_accessors()
    assert type(accessors) is dict
    assert sorted(accessors) == sorted(NAMES)
    accessors.clear()
    assert len(get_db_accessors()) == 15


@pytest.mark.parametrize(("name", "module", "cls"), [row[:3] for row in ACCESSORS])
def test_an_accessor_makes_the_backends_own_object(name: str, module: str, cls: str, backend: Backend) -> None:
    made = get_db_accessors()[name](backend, *arguments_of(name))
    assert type(made) is getattr(getattr(backend, module), cls)


def test_all_lists_exactly_the_names_of_the_contract() -> None:
    promised = {f"get_{name}" for name in NAMES} | set(exceptions.__all__)
    promised |= {"get_db_accessors", "load_backend", "get_settings", "reset_settings"}
    assert set(actingweb.db.__all__) == promised
    assert len(actingweb.db.__all__) == len(promised)


def test_every_name_in_all_can_be_imported() -> None:
    names = {name for name in dir(actingweb.db) if not name.startswith("_")}
    public = {name for name in names if not inspect.ismodule(getattr(actingweb.db, name))}
    assert public == {*actingweb.db.__all__, "health", "stats", "transaction"}
