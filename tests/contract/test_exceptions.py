"""The error classes, their texts, and what is chained to them (1.1)."""

import copy
import pickle
from typing import Any

import pytest

import actingweb.db
from actingweb.db import exceptions
from actingweb.db.exceptions import (
    ConfigurationError,
    DbConflictError,
    DbConnectionError,
    DbError,
    DbInputError,
    DbNotSupportedError,
    DbOutcomeUnknownError,
    DbSchemaError,
    DbThrottledError,
    DbTimeoutError,
    DbUnknownActorError,
)
from actingweb.db.registry import Backend
from tests.support import new_id

from .support.chain import error_chain, shown_text

BASES: dict[type[Exception], tuple[type[Exception], ...]] = {
    DbError: (Exception,),
    DbConnectionError: (DbError,),
    DbTimeoutError: (DbError,),
    DbThrottledError: (DbError,),
    DbConflictError: (DbError,),
    DbOutcomeUnknownError: (DbError,),
    DbNotSupportedError: (DbError,),
    DbSchemaError: (DbError, RuntimeError),
    DbInputError: (DbError, ValueError),
    DbUnknownActorError: (DbInputError,),
    ConfigurationError: (Exception,),
}
DB_ERRORS = [error for error in BASES if issubclass(error, DbError)]


@pytest.mark.parametrize("error", BASES)
def test_each_error_has_its_place_in_the_hierarchy(error: type[Exception]) -> None:
    assert error.__bases__ == BASES[error]


def test_the_module_exports_exactly_the_errors() -> None:
    assert set(exceptions.__all__) == {error.__name__ for error in BASES}


@pytest.mark.parametrize("error", BASES)
def test_the_package_reexports_each_error(error: type[Exception]) -> None:
    assert getattr(actingweb.db, error.__name__) is error is getattr(exceptions, error.__name__)


@pytest.mark.parametrize("error", DB_ERRORS)
@pytest.mark.parametrize(
    ("actor_id", "reason", "text"),
    [
        (None, None, "database error during trust read"),
        ("a1", None, "database error during trust read for actor a1"),
        (None, "too long", "database error during trust read: too long"),
        ("a1", "too long", "database error during trust read for actor a1: too long"),
    ],
)
def test_the_text_names_operation_actor_and_reason(
    error: type[DbError], actor_id: str | None, reason: str | None, text: str
) -> None:
    made = error("trust read", actor_id, reason=reason)
    assert str(made) == text
    assert (made.op, made.actor_id, made.reason) == ("trust read", actor_id, reason)


def test_reason_can_only_be_passed_by_name() -> None:
    positional: Any = ("trust read", "a1", "reason")
    with pytest.raises(TypeError):
        DbError(*positional)


@pytest.mark.parametrize("error", DB_ERRORS)
@pytest.mark.parametrize("duplicate", [lambda made: pickle.loads(pickle.dumps(made)), copy.copy])
def test_instances_pickle_and_copy(error: type[DbError], duplicate: Any) -> None:
    made = duplicate(error("trust read", "a1", reason="too long"))
    assert type(made) is error
    assert (made.op, made.actor_id, made.reason) == ("trust read", "a1", "too long")
    assert str(made) == "database error during trust read for actor a1: too long"


def test_a_refused_argument_is_a_value_error_with_operation_and_actor(backend: Backend, actor_id: str) -> None:
    with pytest.raises(ValueError, match=r"^database error during property write for actor ") as caught:
        backend.DbProperty.DbProperty().set(actor_id=actor_id, name="color", value="a\x00b")
    assert isinstance(caught.value, DbInputError)
    assert caught.value.op == "property write"
    assert caught.value.actor_id == actor_id
    assert caught.value.reason is not None
    assert error_chain(caught.value) == [caught.value]


@pytest.mark.backends("postgresql")
def test_a_driver_text_that_quotes_the_row_is_replaced_by_class_code_and_constraint(backend: Backend) -> None:
    peer, token = new_id("peer"), new_id("token")
    with pytest.raises(DbUnknownActorError) as caught:
        backend.DbTrust.DbTrust().create(actor_id=new_id(), peerid=peer, secret=token)
    assert caught.value.reason == "unknown actor"
    chain = error_chain(caught.value)
    assert len(chain) == 2
    assert str(chain[1]) == "ForeignKeyViolation 23503 fk_trusts_actor"
    assert not any(type(error).__module__.startswith("psycopg") for error in chain)
    assert peer not in shown_text(caught.value)
    assert token not in shown_text(caught.value)


@pytest.mark.backends("dynamodb", "postgresql")
def test_a_fault_chains_its_cause_and_nothing_as_context(backend: Backend, set_env: Any) -> None:
    """A port on which nobody listens."""
    set_env(PG_DB_HOST="127.0.0.1", PG_DB_PORT="1", AWS_DB_HOST="http://127.0.0.1:1", AWS_DB_AUTO_CREATE_TABLES="0")
    set_env(PG_DB_URL=None, DATABASE_URL=None)
    with pytest.raises(DbConnectionError) as caught:
        backend.DbActor.DbActor().get(actor_id="a1")
    assert caught.value.__cause__ is not None
    assert caught.value.__context__ is None
