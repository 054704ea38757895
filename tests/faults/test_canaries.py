"""What is secret is planted everywhere and shows nowhere: not in logs, errors, crash reports or lists of processes."""

from __future__ import annotations

import ast
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

import actingweb.db
from actingweb.db import DbError, get_settings
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import Spoiler, damaged, failing, lost, spoiling_proxy
from tests.conftest import SetEnv
from tests.contract.support.calls import Call, ready, requesting
from tests.contract.support.chain import error_chain, shown_text
from tests.contract.test_secrets import CANARY, refused_calls
from tests.support import PATIENCE, new_id

real_backends = pytest.mark.backends("dynamodb", "postgresql")

PACKAGE = Path(actingweb.db.__file__).parent
NOWHERE = "http://127.0.0.1:1"
NO_SERVER = {
    "AWS_DB_HOST": NOWHERE,
    "AWS_DB_MAX_ATTEMPTS": "1",
    "PG_DB_HOST": "127.0.0.1",
    "PG_DB_PORT": "1",
    "PG_DB_URL": None,
    "DATABASE_URL": None,
}
SPOILERS: dict[str, Spoiler] = {
    "lost": lost,
    "damaged": damaged,
    "refused": failing("ValidationException", message=f"the value {CANARY} is wrong"),
    "expired": failing("ExpiredTokenException", message=CANARY),
    "cancelled": failing(
        "TransactionCanceledException",
        message=CANARY,
        CancellationReasons=[{"Code": "ValidationError", "Message": CANARY, "Item": {"value": {"S": CANARY}}}],
    ),
}


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Let every logger that there is speak of everything."""
    names = [name for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)]
    for name in (None, *names):
        caplog.set_level(1, name)


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> Callable[[dict[str, Call]], str]:
    """Return a function that makes calls and returns what logs and reports of their errors show."""

    def make(calls: dict[str, Call]) -> str:
        parts = []
        for call in calls.values():
            try:
                call()
            except DbError as error:
                parts.append(crash_report(error))
        return "\n".join([*parts, *(f"{record.getMessage()} {record.args!r}" for record in caplog.records)])

    return make


def crash_report(error: BaseException) -> str:
    """Return what a report of this error can show, with the variables of our own frames."""
    parts = [shown_text(error)]
    for link in error_chain(error):
        for frame in traceback.TracebackException.from_exception(link, capture_locals=True).stack:
            if Path(frame.filename).is_relative_to(PACKAGE.parent):
                parts.append(repr(frame.locals))
    return "\n".join(parts)


class TestCrashReports:
    def test_a_report_would_show_a_variable_of_ours(self) -> None:
        """So that the tests below can fail."""
        with pytest.raises(ValueError, match="in a frame of ours") as caught:
            _fail_in(PACKAGE, CANARY)
        assert CANARY in crash_report(caught.value)

    @real_backends
    def test_no_server(
        self, backend: Backend, actor_id: str, set_env: SetEnv, shown: Callable[[dict[str, Call]], str]
    ) -> None:
        calls = requesting(backend, actor_id, CANARY)
        set_env(**NO_SERVER)
        text = shown(calls)
        assert text.count("DbConnectionError") > len(calls)
        assert CANARY not in text

    def test_refused_arguments(self, backend: Backend, actor_id: str, shown: Callable[[dict[str, Call]], str]) -> None:
        text = shown(refused_calls(backend, actor_id))
        assert "DbInputError" in text
        assert CANARY not in text

    @pytest.mark.backends("dynamodb")
    @pytest.mark.parametrize("name", SPOILERS)
    def test_faults_of_dynamodb(
        self, name: str, backend: Backend, actor_id: str, set_env: SetEnv, shown: Callable[[dict[str, Call]], str]
    ) -> None:
        with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
            set_env(AWS_DB_HOST=proxy.url, AWS_DB_MAX_ATTEMPTS="1", AWS_SECRET_ACCESS_KEY=f"{CANARY}key")
            calls = requesting(backend, actor_id, CANARY)
            proxy.always = SPOILERS[name]
            text = shown(calls)
        assert "DriverError" in text
        assert CANARY not in text

    @pytest.mark.backends("postgresql")
    def test_a_row_that_the_server_refuses_and_quotes(
        self,
        backend: Backend,
        actor_id: str,
        pg: psycopg.Connection[Any],
        shown: Callable[[dict[str, Call]], str],
    ) -> None:
        calls = requesting(backend, actor_id, CANARY)
        tables = [sql.Identifier(name) for name in ("actors", "properties", "trusts", "attributes", "subscriptions")]
        for table in tables:
            pg.execute(sql.SQL("ALTER TABLE {} ADD CONSTRAINT never CHECK (false) NOT VALID").format(table))
        try:
            text = shown(calls)
        finally:
            for table in tables:
                pg.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT never").format(table))
        assert "CheckViolation" in text
        assert CANARY not in text

    def test_a_call_with_an_argument_too_many(self, backend: Backend, actor_id: str) -> None:
        prop: Any = backend.DbProperty.DbProperty()
        with pytest.raises(TypeError) as caught:
            prop.get(actor_id, "name", CANARY)
        assert CANARY not in crash_report(caught.value)


def _fail_in(package: Path, value: str) -> None:
    """Raise an error in what looks like a function of the package."""
    place: dict[str, Any] = {}
    source = "def fail(value):\n    raise ValueError('in a frame of ours')\n"
    exec(compile(source, str(package / "x.py"), "exec"), place)
    place["fail"](value)


class TestLogs:
    """All loggers are at their lowest level. The drivers speak, but for those that would show requests and answers."""

    @real_backends
    def test_all_calls(
        self,
        backend: Backend,
        actor_id: str,
        set_env: SetEnv,
        caplog: pytest.LogCaptureFixture,
        shown: Callable[[dict[str, Call]], str],
    ) -> None:
        # Makes a new client and a new pool, whose making is logged as well.
        # Without the second variable, botocore would not be asked.
        set_env(AWS_SESSION_TOKEN=CANARY, AWS_CONFIG_FILE="/nowhere")
        text = shown(ready(backend, actor_id, CANARY))
        drivers = {"dynamodb": ("botocore", "urllib3"), "postgresql": ("psycopg",)}[backend.database]
        assert any(record.name.startswith(drivers) for record in caplog.records)
        assert CANARY not in text

    @pytest.mark.backends("dynamodb")
    @pytest.mark.parametrize("transport", ["wire", "botocore"])
    def test_all_calls_over_each_transport(
        self,
        transport: str,
        backend: Backend,
        actor_id: str,
        set_env: SetEnv,
        shown: Callable[[dict[str, Call]], str],
    ) -> None:
        set_env(AWS_DB_TRANSPORT=transport, AWS_SESSION_TOKEN=CANARY)
        assert CANARY not in shown(ready(backend, actor_id, CANARY))

    @pytest.mark.backends("dynamodb")
    @pytest.mark.parametrize(("transport", "would_show"), [("wire", False), ("botocore", True)])
    def test_what_is_kept_quiet_would_show_it(
        self,
        transport: str,
        would_show: bool,
        backend: Backend,
        actor_id: str,
        set_env: SetEnv,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """botocore's signer logs each header, the session token among them; the wire client logs nothing."""
        from actingweb.db.dynamodb import driver_logging

        set_env(AWS_DB_TRANSPORT=transport, AWS_SESSION_TOKEN=CANARY)
        backend.DbProperty.DbProperty().set(actor_id, "name", "quiet")
        assert CANARY not in caplog.text
        monkeypatch.setattr(driver_logging._filter, "filter", lambda _: True)
        backend.DbProperty.DbProperty().set(actor_id, "name", "shown")
        assert (CANARY in caplog.text) == would_show


class TestReprs:
    @real_backends
    def test_what_holds_settings_does_not_show_them(self, backend: Backend, set_env: SetEnv) -> None:
        set_env(
            PG_DB_PASSWORD=CANARY,
            PG_DB_URL=f"postgresql://joe:{CANARY}@127.0.0.1:1/x",
            PG_MIGRATION_URL=f"postgresql://joe:{CANARY}@127.0.0.1:1/x",
            PG_DB_PASSWORD_COMMAND=f"echo {CANARY}",
            AWS_SECRET_ACCESS_KEY=CANARY,
        )
        from actingweb.db.dynamodb.transport import transport_to
        from actingweb.db.postgresql.connection import get_pool
        from actingweb.migration.cli.options import PostgresFlags
        from actingweb.migration.target.connection import Target

        settings = get_settings()
        holders = [settings, settings.postgresql, vars(settings)["environment"], Target(settings.postgresql)]
        holders += [
            PostgresFlags(password=CANARY),
            get_pool(),
            transport_to("us-west-1", "http://127.0.0.1:1"),
            backend,
        ]
        for holder in holders:
            assert CANARY not in f"{holder!r} {holder}"


APPLICATION = """
import faulthandler, logging, os, sys
logging.basicConfig(level=1, stream=sys.stderr)
faulthandler.enable()
logging.getLogger("application").debug("begun")
from actingweb.db import get_settings, load_backend, reset_settings
from tests.contract.support.calls import ready
backend = load_backend()
actor = backend.DbActor.DbActor()
assert actor.create(sys.argv[1], "someone", os.environ["CANARY"])
for call in ready(backend, sys.argv[1], os.environ["CANARY"]).values():
    call()
os.environ.update(AWS_DB_HOST="http://127.0.0.1:1", PG_DB_HOST="127.0.0.1", PG_DB_PORT="1")
os.environ.pop("PG_DB_URL", None), os.environ.pop("DATABASE_URL", None)
faulthandler.dump_traceback()
if backend.database == "dynamodb":
    from actingweb.db.dynamodb._ensure import reset_ensure_cache as forget
else:
    from actingweb.db.postgresql.connection import close_pool as forget
forget()
backend.DbProperty.DbProperty().set(sys.argv[1], "name", os.environ["CANARY"])
"""


@real_backends
def test_an_application_that_crashes(backend: Backend) -> None:
    """All it writes: its log at the lowest level, the unhandled error, what the fault handler shows."""
    environment = os.environ | {"CANARY": CANARY, "AWS_SECRET_ACCESS_KEY": f"{CANARY}key"}
    command = [sys.executable, "-X", "dev", "-c", APPLICATION, new_id()]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    written = result.stdout + result.stderr
    assert "DbConnectionError: database error during" in written
    assert "Current thread" in written
    assert "DEBUG:application:" in written
    for secret in (CANARY, environment.get("PG_DB_PASSWORD")):
        assert not secret or secret not in written


SECRETS = frozenset({"secret", "token", "passphrase", "password", "verification_token"})


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_secret_is_compared_in_a_time_that_tells_of_it(path: Path) -> None:
    """`hmac.compare_digest` is for that; whether a secret is there at all may be seen."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare) and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops):
            assert not SECRETS & set(map(_name, [node.left, *node.comparators])), f"line {node.lineno}"


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return str(getattr(node.slice, "value", ""))
    return str(getattr(node, "attr", getattr(node, "id", "")))
