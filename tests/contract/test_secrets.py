"""No secret, token, passphrase, property value, attribute name or datum where it could be read by others (1.7)."""

import logging
import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from actingweb.db.exceptions import DbError, DbInputError
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy, failing
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv
from tests.support import conninfo_of

from .support.calls import Call, loaded, ready, requesting
from .support.chain import shown_text

CANARY = "Canary7391"
# Those of `refused_calls` that no backend stores.
REFUSED = (
    *("passphrase", "value", "indexed value", "object value", "secret", "time", "data", "key of data", "no json"),
    *("name", "diff", "trustee"),
)


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Let all loggers speak, those of the drivers too."""
    for name in (None, "actingweb", "botocore", "urllib3", "pynamodb", "psycopg"):
        caplog.set_level(logging.DEBUG, name)


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> Callable[[dict[str, Call]], str]:
    """Return a function that makes calls and returns all that their errors and log lines show."""

    def make(calls: dict[str, Call]) -> str:
        parts = []
        for name, call in calls.items():
            try:
                call()
            except DbError as error:
                logging.getLogger("application").error("call failed", exc_info=error)
                parts.append(f"{name}: {shown_text(error)}")
        return "\n".join([*parts, caplog.text, *(_fields(record) for record in caplog.records)])

    return make


def _fields(record: logging.LogRecord) -> str:
    return f"{record.getMessage()} {record.args!r} {record.exc_text}"


def test_the_capture_sees_a_leak(caplog: pytest.LogCaptureFixture, shown: Callable[[dict[str, Call]], str]) -> None:
    """So that the tests below can fail."""

    def leak() -> None:
        raise DbError("trust read", reason=CANARY)

    assert CANARY in shown({"leak": leak})
    caplog.clear()
    logging.getLogger("actingweb.db.postgresql.trust").debug("secret is %s", CANARY)
    assert CANARY in shown({})


def test_normal_use_shows_nothing(backend: Backend, actor_id: str, shown: Callable[[dict[str, Call]], str]) -> None:
    assert CANARY not in shown(ready(backend, actor_id, CANARY))


def test_a_stopped_server_shows_no_secret(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv, shown: Callable[[dict[str, Call]], str]
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    calls = requesting(backend, actor_id, CANARY)
    proxy.stop()
    text = shown(calls)
    assert text.count("call failed") >= len(calls)
    assert CANARY not in text


def test_lost_answers_show_no_secret(
    backend: Backend, actor_id: str, proxy: TcpProxy, shown: Callable[[dict[str, Call]], str]
) -> None:
    def losing(call: Call) -> Call:
        def lose() -> object:
            backend.DbActor.DbActor().get(actor_id)
            proxy.losses = 1
            return call()

        return lose

    calls = {name: losing(call) for name, call in requesting(backend, actor_id, CANARY).items()}
    text = shown(calls)
    assert "call failed" in text
    assert CANARY not in text


@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize(
    "code", ["ProvisionedThroughputExceededException", "AccessDeniedException", "ResourceNotFoundException"]
)
def test_errors_of_the_service_show_no_secret(
    code: str,
    backend: Backend,
    actor_id: str,
    request_proxy: SpoilingProxy,
    set_env: SetEnv,
    shown: Callable[[dict[str, Call]], str],
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    calls = requesting(backend, actor_id, CANARY)
    request_proxy.always = failing(code)
    text = shown(calls)
    assert "call failed" in text
    assert CANARY not in text


@pytest.mark.backends("postgresql")
def test_a_constraint_violation_that_quotes_the_row_shows_no_secret(
    backend: Backend, actor_id: str, pg: psycopg.Connection[Any], shown: Callable[[dict[str, Call]], str]
) -> None:
    """NOT NULL and CHECK violations quote the whole row in their DETAIL line."""
    calls = requesting(backend, actor_id, CANARY)
    names = [name for (name,) in pg.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")]
    tables = [psycopg.sql.Identifier(name) for name in names if name != "alembic_version"]
    for table in tables:
        pg.execute(psycopg.sql.SQL("ALTER TABLE {} ADD CONSTRAINT never CHECK (false) NOT VALID").format(table))
    try:
        text = shown(calls)
    finally:
        for table in tables:
            pg.execute(psycopg.sql.SQL("ALTER TABLE {} DROP CONSTRAINT never").format(table))
    assert "CheckViolation" in text
    assert "Failing row" not in text
    assert CANARY not in text


@pytest.mark.backends("postgresql")
def test_a_cancelled_statement_shows_no_secret(
    backend: Backend,
    actor_id: str,
    pg: psycopg.Connection[Any],
    set_env: SetEnv,
    shown: Callable[[dict[str, Call]], str],
) -> None:
    """A lock that does not become free in time; the server quotes the statement as context."""
    calls = requesting(backend, actor_id, CANARY)
    set_env(PG_DB_URL=conninfo_of(pg, options="-c lock_timeout=5ms"))
    with pg.transaction():
        pg.execute("LOCK TABLE actors, properties, trusts, attributes IN ACCESS EXCLUSIVE MODE")
        text = shown({name: call for name, call in calls.items() if _locked(name)})
    assert "55P03" in text
    assert CANARY not in text


def _locked(name: str) -> bool:
    return name.startswith(("DbActor", "DbProperty.", "DbTrust", "DbAttribute"))


def refused_calls(backend: Backend, actor_id: str) -> dict[str, Call]:
    """Return calls whose arguments cannot be stored, each with the canary in it."""
    prop, trust, attribute = backend.DbProperty.DbProperty(), backend.DbTrust.DbTrust(), backend.DbAttribute.DbAttribute
    zero, huge = f"{CANARY}\x00", CANARY * 100_000
    return {
        "passphrase": lambda: backend.DbActor.DbActor().create("new", "someone", zero),
        "value": lambda: prop.set(actor_id, "n", zero),
        "indexed value": lambda: prop.set(actor_id, "email", zero),
        "huge value": lambda: prop.set(actor_id, "n", huge),
        "object value": lambda: prop.set(actor_id, "n", {f"{CANARY}{chr(0xD800)}": 1, f"{CANARY}{chr(0xDC00)}": 2}),
        "secret": lambda: trust.create(actor_id, "p", secret=zero),
        "huge secret": lambda: trust.create(actor_id, "p", secret=huge),
        "time": lambda: trust.create(actor_id, "p", created_at=CANARY),
        "data": lambda: attribute.set_attr(actor_id, "b", "n", {"x": zero}),
        "key of data": lambda: attribute.set_attr(actor_id, "b", "n", {zero: 1}),
        "no json": lambda: attribute.set_attr(actor_id, "b", "n", {"x": CANARY.encode()}),
        "name": lambda: attribute.set_attr(actor_id, "b", zero, 1),
        "long name": lambda: attribute.set_attr(actor_id, "b", CANARY * 400, 1),
        "huge data": lambda: attribute.set_attr(actor_id, "b", "n", huge),
        "old data": lambda: attribute.conditional_update_attr(actor_id, "b", "n", {CANARY}, 1),
        "diff": lambda: backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, "s", zero),
        "trustee": lambda: backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, "p", "t", "u", zero),
    }


def test_a_refused_argument_shows_no_secret(
    backend: Backend, actor_id: str, shown: Callable[[dict[str, Call]], str]
) -> None:
    text = shown(refused_calls(backend, actor_id))
    assert text.count("DbInputError") > 10
    assert CANARY not in text


@pytest.mark.parametrize("argument", REFUSED)
def test_the_reason_of_a_refusal_is_a_fixed_phrase(argument: str, backend: Backend, actor_id: str) -> None:
    with pytest.raises(DbInputError) as caught:
        refused_calls(backend, actor_id)[argument]()
    assert caught.value.reason
    assert CANARY not in caught.value.reason


def test_a_key_collision_shows_no_secret(
    backend: Backend, new_actor: Callable[..., str], shown: Callable[[dict[str, Call]], str]
) -> None:
    first, second = new_actor(), new_actor()
    one = backend.DbProperty.DbProperty
    lookup = __import__(f"actingweb.db.{backend.database}.property_lookup", fromlist=["x"]).DbPropertyLookup
    text = shown(
        {
            "claim": lambda: one().set(first, "email", CANARY),
            "collide": lambda: one().set(second, "email", CANARY),
            "stale": lambda: lookup().create("email", f"{CANARY}2", first),
            "stale look-up": lambda: one().get_actor_id_from_property("email", f"{CANARY}2"),
            "collide raw": lambda: lookup().create("email", CANARY, second),
            "not indexed": lambda: one().get_actor_id_from_property("color", CANARY),
        }
    )
    assert "LOOKUP_COLLISION" in text
    assert "non-indexed" in text
    assert CANARY not in text


def test_a_repr_shows_class_and_key_only(backend: Backend, actor_id: str) -> None:
    ready(backend, actor_id, CANARY)
    handles = [
        loaded(backend.DbActor.DbActor(), actor_id).handle,
        loaded(backend.DbProperty.DbProperty(), actor_id, "plain").handle,
        loaded(backend.DbTrust.DbTrust(), actor_id, "peer0").handle,
        loaded(backend.DbPeerTrustee.DbPeerTrustee(), actor_id, None, "peer0").handle,
        loaded(backend.DbSubscription.DbSubscription(), actor_id, "peer", "s0").handle,
        loaded(backend.DbSubscriptionDiff.DbSubscriptionDiff(), actor_id, "s", 1).handle,
    ]
    for handle in handles:
        for text in (repr(handle), str(handle), f"{handle}", f"{[handle]}"):
            assert type(handle).__name__ in text
            assert actor_id in text
            assert CANARY not in text


def test_the_repr_of_an_object_shows_nothing(backend: Backend, actor_id: str) -> None:
    owners = [getattr(call, "__self__", None) for call in ready(backend, actor_id, CANARY).values()]
    assert any(owner is not None for owner in owners)
    assert CANARY not in repr(owners)


@pytest.mark.backends("postgresql")
@pytest.mark.parametrize("url", ["", "postgresql://joe:{}@127.0.0.1:1/db", "host=127.0.0.1 port=1 password={}"])
def test_the_password_of_the_database_is_not_shown(
    url: str, backend: Backend, set_env: SetEnv, shown: Callable[[dict[str, Call]], str]
) -> None:
    from actingweb.db.postgresql.connection import get_pool

    set_env(
        PG_DB_PASSWORD=CANARY, PG_DB_URL=url.format(CANARY), DATABASE_URL=None, PG_DB_HOST="127.0.0.1", PG_DB_PORT="1"
    )
    text = shown({"get": lambda: backend.DbActor.DbActor().get("a1")})
    assert "DbConnectionError" in text
    assert CANARY not in text
    assert CANARY not in repr(get_pool())


@pytest.mark.backends("dynamodb")
def test_the_access_key_is_not_shown(
    backend: Backend, set_env: SetEnv, shown: Callable[[dict[str, Call]], str]
) -> None:
    set_env(AWS_SECRET_ACCESS_KEY=CANARY, AWS_DB_HOST="http://127.0.0.1:1", AWS_DB_MAX_ATTEMPTS="1")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == CANARY
    text = shown({"get": lambda: backend.DbActor.DbActor().get("a1")})
    assert "DbConnectionError" in text
    assert CANARY not in text
