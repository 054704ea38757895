"""What is logged, at which level and by whom (1.7)."""

import importlib
import logging
from collections.abc import Callable

import pytest

from actingweb.db.exceptions import DbError
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv

from .support.calls import ready, requesting

Records = Callable[[], list[logging.LogRecord]]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, backend: Backend) -> Records:
    """Return a function that returns what the package has logged since the test began.

    Without the lines for those on call, which tests/observability has.
    """
    caplog.set_level(logging.DEBUG, "actingweb")
    caplog.clear()
    return lambda: [
        record
        for record in caplog.records
        if record.name.startswith("actingweb.db") and record.name != "actingweb.db.events"
    ]


def loud(records: list[logging.LogRecord]) -> list[str]:
    """Return the texts at WARNING and above."""
    return [record.getMessage() for record in records if record.levelno >= logging.WARNING]


def test_normal_use_logs_nothing_loud(backend: Backend, actor_id: str, logged: Records) -> None:
    for call in ready(backend, actor_id).values():
        call()
    assert [text for text in loud(logged()) if "DEPRECATED" not in text] == []


def test_absence_is_not_logged(backend: Backend, actor_id: str, logged: Records) -> None:
    lookup = importlib.import_module(f"actingweb.db.{backend.database}.property_lookup").DbPropertyLookup
    prop, attribute = backend.DbProperty.DbProperty(), backend.DbAttribute.DbAttribute
    assert backend.DbActor.DbActor().get("absent") is None
    assert backend.DbActor.DbActor().get_by_creator("absent") == []
    assert prop.get(actor_id, "absent") is None
    assert prop.get_actor_id_from_property("email", "absent") is None
    assert prop.get_prefix(actor_id, "absent") == {}
    assert prop.set_if_value_equals(actor_id, "absent", "a", "b") is False
    assert prop.delete_if_value_equals(actor_id, "absent", "a") is False
    assert prop.set(actor_id, "absent", None) is True
    assert lookup().get("email", "absent") is None
    assert lookup().get_v1("email", "absent") is None
    assert lookup().delete("email", "absent") is False
    assert backend.DbTrust.DbTrust().get(actor_id, "absent") is None
    assert backend.DbTrust.DbTrust().get(actor_id, token="absent") is None
    assert backend.DbPeerTrustee.DbPeerTrustee().get(actor_id, "absent") is None
    assert backend.DbSubscription.DbSubscription().get(actor_id, "absent", "absent") is None
    assert backend.DbSubscriptionDiff.DbSubscriptionDiff().get(actor_id, "absent") is None
    assert backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id).resume("absent") is False
    assert attribute.get_attr(actor_id, "absent", "absent") is None
    assert attribute.delete_attr_conditional(actor_id, "absent", "absent") is False
    assert attribute.conditional_update_attr(actor_id, "absent", "absent", 1, 2) is False
    assert [record.getMessage() for record in logged() if record.levelno > logging.DEBUG] == []
    assert not [record for record in logged() if "absent" in record.getMessage()]


def test_a_vanished_row_is_not_logged(backend: Backend, actor_id: str, logged: Records) -> None:
    trust = backend.DbTrust.DbTrust()
    trust.create(actor_id, "p")
    backend.DbTrust.DbTrust().get(actor_id, "p")
    other = backend.DbTrust.DbTrust()
    other.get(actor_id, "p")
    assert other.delete()
    assert trust.modify(desc="x") is False
    assert loud(logged()) == []


def test_a_fault_is_raised_and_not_logged(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv, logged: Records
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    calls = requesting(backend, actor_id)
    quiet = {name: call for name, call in calls.items() if name != "DbPropertyLookup.create"}
    proxy.stop()
    before = len(logged())
    for call in quiet.values():
        with pytest.raises(DbError):
            call()
    assert loud(logged()[before:]) == []


def test_a_fault_of_a_look_up_row_is_an_error_without_the_value(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv, logged: Records
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    call = requesting(backend, actor_id, "canary")["DbPropertyLookup.create"]
    proxy.stop()
    before = len(logged())
    with pytest.raises(DbError):
        call()
    (text,) = loud(logged()[before:])
    assert "LOOKUP_CREATE_FAILED" in text
    assert "canary" not in text


def test_a_duplicate_actor_is_a_warning(backend: Backend, actor_id: str, logged: Records) -> None:
    assert backend.DbActor.DbActor().create(actor_id, "c") is False
    _only(logged(), logging.WARNING, actor_id)


def test_another_duplicate_is_not_logged(backend: Backend, actor_id: str, logged: Records) -> None:
    for _ in range(2):
        backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, "p", "t")
        backend.DbSubscription.DbSubscription().create(actor_id, "p", "s")
        backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, "s")
        backend.DbProperty.DbProperty().create_if_not_exists(actor_id, "n", "v")
    assert loud(logged()) == []


def test_several_peer_trustees_of_a_type_are_an_error(backend: Backend, actor_id: str, logged: Records) -> None:
    for peer in ("p1", "p2"):
        backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, peer, "t")
    assert backend.DbPeerTrustee.DbPeerTrustee().get(actor_id, "t") is False
    _only(logged(), logging.ERROR, actor_id)


def test_a_collision_is_an_error_with_name_and_ids(
    backend: Backend, new_actor: Callable[..., str], logged: Records
) -> None:
    first, second = new_actor(), new_actor()
    for actor in (first, second):
        backend.DbProperty.DbProperty().set(actor, "email", "joe@example.com")
    _only(logged(), logging.ERROR, "LOOKUP_COLLISION", "email", first, second)


def test_the_look_up_of_a_name_without_index_is_a_warning(backend: Backend, logged: Records) -> None:
    backend.DbProperty.DbProperty().get_actor_id_from_property("color", "red")
    _only(logged(), logging.WARNING, "non-indexed", "color")


def test_a_stale_look_up_row_is_a_warning(backend: Backend, actor_id: str, logged: Records) -> None:
    lookup = importlib.import_module(f"actingweb.db.{backend.database}.property_lookup").DbPropertyLookup
    lookup().create("email", "joe@example.com", actor_id)
    assert backend.DbProperty.DbProperty().get_actor_id_from_property("email", "joe@example.com") is None
    _only(logged(), logging.WARNING, actor_id)


def _only(records: list[logging.LogRecord], level: int, *parts: str) -> None:
    """Check that there is one loud line, of this level, with these parts, of a logger named by its module."""
    (record,) = (record for record in records if record.levelno >= logging.WARNING)
    assert record.levelno == level
    assert [part for part in parts if part not in record.getMessage()] == []
    assert "joe@example.com" not in record.getMessage()


@pytest.mark.backends("dynamodb", "postgresql")
def test_a_logger_has_the_name_of_its_module(backend: Backend, actor_id: str, logged: Records) -> None:
    backend.DbActor.DbActor().create(actor_id, "c")
    (record,) = (record for record in logged() if record.levelno >= logging.WARNING)
    assert record.name == f"actingweb.db.{backend.database}.actor"
