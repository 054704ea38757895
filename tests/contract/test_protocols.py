"""The protocols, and that every backend's classes have exactly what they promise (2.5, 3)."""

import importlib
import inspect
from typing import Any

import pytest

from actingweb.db import protocols
from actingweb.db.registry import Backend

from .support.signatures import METHODS, MODULES, PROTOCOLS, SIGNATURES, parameters_of

LISTS = {
    "DbPropertyList": ["actor_id", "props"],
    "DbTrustList": ["actor_id", "trusts"],
    "DbPeerTrusteeList": ["actor_id", "peertrustees"],
    "DbSubscriptionList": ["actor_id", "subscriptions"],
    "DbSubscriptionDiffList": ["actor_id", "subid", "diffs"],
}
WITHOUT_HANDLE = ("DbAttribute", "DbAttributeBucketList", "DbSubscriptionSuspension")
STATIC = [
    (cls, method) for cls, method in METHODS if cls in ("DbAttribute", "DbAttributeBucketList") or "token" in method
]
# The only parameters without a default.
REQUIRED = {("DbSubscriptionSuspension", method, "target") for method in ("is_suspended", "suspend", "resume")}


def class_of(backend: Backend, name: str) -> Any:
    return getattr(importlib.import_module(f"actingweb.db.{backend.database}.{MODULES[name]}"), name)


def object_of(backend: Backend, name: str) -> Any:
    arguments = ("a1",) if name == "DbSubscriptionSuspension" else ()
    return class_of(backend, name)(*arguments)


def test_there_are_fifteen_protocols() -> None:
    assert sorted(protocols.__all__) == sorted(protocol.__name__ for protocol in PROTOCOLS.values())
    assert len(PROTOCOLS) == 15


@pytest.mark.parametrize(("cls", "method"), METHODS)
def test_every_parameter_can_be_named_and_has_a_default(cls: str, method: str) -> None:
    parameters = SIGNATURES[cls][method]
    assert {kind for _, _, kind in parameters} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    required = {(cls, method, name) for name, default, _ in parameters if default is inspect.Parameter.empty}
    assert required == {each for each in REQUIRED if each[:2] == (cls, method)}


@pytest.mark.parametrize("cls", PROTOCOLS)
def test_a_protocol_is_documented(cls: str) -> None:
    assert inspect.getdoc(PROTOCOLS[cls])


@pytest.mark.parametrize(("cls", "method"), METHODS)
def test_a_backend_has_the_method_with_its_signature(cls: str, method: str, backend: Backend) -> None:
    found = getattr(object_of(backend, cls), method)
    assert parameters_of(found) == SIGNATURES[cls][method]


@pytest.mark.parametrize("cls", PROTOCOLS)
def test_a_backends_object_fits_its_protocol_at_run_time(cls: str, backend: Backend) -> None:
    assert isinstance(object_of(backend, cls), PROTOCOLS[cls])


@pytest.mark.parametrize("cls", PROTOCOLS)
def test_something_else_does_not_fit_a_protocol(cls: str) -> None:
    assert not isinstance(object(), PROTOCOLS[cls])


@pytest.mark.parametrize("cls", [cls for cls in SIGNATURES if cls not in WITHOUT_HANDLE])
def test_handle_exists_from_construction(cls: str, backend: Backend) -> None:
    assert vars(object_of(backend, cls))["handle"] is None


@pytest.mark.parametrize(("cls", "attribute"), [(cls, each) for cls, names in LISTS.items() for each in names])
def test_the_attributes_of_lists_exist_from_construction(cls: str, attribute: str, backend: Backend) -> None:
    assert vars(object_of(backend, cls))[attribute] is None


@pytest.mark.parametrize(("cls", "attribute"), [(cls, each) for cls, names in LISTS.items() for each in names])
def test_a_protocol_declares_the_attributes_of_lists(cls: str, attribute: str) -> None:
    protocol = PROTOCOLS[cls]
    assert {"handle", attribute} <= set(protocol.__annotations__)


@pytest.mark.parametrize(("cls", "method"), STATIC)
def test_a_static_method_can_be_called_on_class_and_object(cls: str, method: str, backend: Backend) -> None:
    for owner in (class_of(backend, cls), object_of(backend, cls)):
        found = getattr(owner, method)
        assert parameters_of(found) == SIGNATURES[cls][method]
        assert found() in (None, False, 0)


def test_a_suspension_remembers_its_actor(backend: Backend) -> None:
    assert object_of(backend, "DbSubscriptionSuspension")._actor_id == "a1"
    assert class_of(backend, "DbSubscriptionSuspension")(actor_id="a2")._actor_id == "a2"


@pytest.mark.parametrize("cls", ["DbProperty", "DbPropertyList"])
def test_the_arguments_of_property_constructors(cls: str, backend: Backend) -> None:
    expected = [("use_lookup_table", None), ("indexed_properties", None)]
    assert [(name, default) for name, default, _ in parameters_of(class_of(backend, cls))] == expected


def test_the_attribute_module_has_the_time_to_live(backend: Backend) -> None:
    assert backend.DbAttribute.TTL_CLOCK_SKEW_BUFFER == 3600
    assert list(inspect.signature(backend.DbAttribute.ttl_deadline).parameters) == ["ttl_seconds"]


@pytest.mark.backends("dynamodb")
def test_the_attribute_module_of_dynamodb_has_the_warning_limit(backend: Backend) -> None:
    assert backend.DbAttribute.CHAIN_SCAN_WARN_ROWS == 1000
