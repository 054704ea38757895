"""Settings of server or role, and places, under which Alembic works all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import pytest
from alembic.util import CommandError

from actingweb.db.postgresql.migrate import ALEMBIC_INI
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.utils import compute_lookup_key
from testbed.tcp_proxy import tcp_proxy
from tests.conftest import SetEnv
from tests.forked import Program

from .alembic_process import finish, start
from .conftest import Place

ODD = {
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "quote_all_identifiers": "on",
    "client_min_messages": "debug1",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "search_path": "nowhere",
}
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
BLOCKED: LiteralString = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'trusts'::regclass"
ALL_ODD = """feature%2F it's "größe" %(here)s $HOME;x"""
LATER_LIMITS = {"idle_session_timeout": 14, "transaction_timeout": 17}


def options(values: dict[str, str]) -> str:
    return " ".join(f"-c {name}={value}" for name, value in values.items())


def limits(server_version: int) -> str:
    """Return the options that set all limits to a second that a server of this version has."""
    later = (name for name, first in LATER_LIMITS.items() if server_version >= first * 10_000)
    return options(dict.fromkeys((*LIMITS, *later), "1000"))


@pytest.fixture
def odd(filled_place: Place, set_env: SetEnv) -> Iterator[Place]:
    """Return a place with the layout of ActingWeb 3.15 and rows, in a session with all odd settings."""
    set_env(PGOPTIONS=options(ODD))
    yield filled_place
    set_env(PGOPTIONS=None)


def test_upgrade_check_and_downgrade_work_with_odd_settings(odd: Place) -> None:
    odd.upgrade()
    odd.check()
    claims = {key for (key,) in odd.rows("SELECT lookup_key FROM property_lookup")}
    indexed = odd.rows(
        "SELECT DISTINCT name, value FROM properties WHERE name IN ('email', 'oauthId', 'externalUserId')"
    )
    assert {compute_lookup_key(name, value) for name, value in indexed if value} <= claims
    # What the old layout cannot hold.
    odd.execute("DELETE FROM properties WHERE octet_length(value) > 2600; DELETE FROM subscriptions")
    odd.downgrade()
    assert odd.rows("SELECT version_num FROM alembic_version") == [("e5f6a7b8c9d0",)]


@pytest.mark.parametrize("name", ODD)
def test_each_odd_setting_alone(place: Place, set_env: SetEnv, name: str) -> None:
    set_env(PGOPTIONS=options({name: ODD[name]}))
    place.upgrade()
    place.check()
    place.downgrade()


def blocked_upgrade(place: Place) -> Program:
    """Start an upgrade; return when it waits for a lock."""
    process = start("upgrade", "head")
    while place.rows(BLOCKED) != [(True,)]:
        assert process.poll() is None, finish(process)
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("pooler", ["off", "on"])
def test_no_limit_ends_an_upgrade(filled_place: Place, set_env: SetEnv, pooler: str) -> None:
    """It waits for a lock longer than any limit allows."""
    set_env(PGOPTIONS=limits(filled_place.connection.info.server_version), PG_POOLER=pooler)
    with filled_place.connection.transaction():
        filled_place.execute("LOCK TABLE trusts IN ACCESS SHARE MODE")
        process = blocked_upgrade(filled_place)
        time.sleep(1.5)
    code, output = finish(process)
    assert code == 0, output
    filled_place.check()


def test_a_server_that_is_read_only_is_said_to_be(place: Place, set_env: SetEnv) -> None:
    set_env(PGOPTIONS="-c default_transaction_read_only=on")
    with pytest.raises(CommandError, match="default_transaction_read_only"):
        place.upgrade()


@pytest.mark.parametrize("fault", ["silent", "mute"])
def test_a_server_that_accepts_and_says_nothing_ends_the_command(place: Place, set_env: SetEnv, fault: str) -> None:
    info = place.connection.info
    with tcp_proxy(info.host, info.port) as proxy:
        setattr(proxy, fault, True)
        set_env(PG_DB_PORT=str(proxy.port), PG_CONNECT_TIMEOUT="2")
        code, output = finish(start("upgrade", "head"))
        proxy.silent = proxy.mute = False
    assert code != 0
    assert "timeout" in output


def test_a_server_that_falls_silent_ends_the_command(filled_place: Place, set_env: SetEnv) -> None:
    info = filled_place.connection.info
    with tcp_proxy(info.host, info.port) as proxy:
        set_env(PG_DB_PORT=str(proxy.port), PG_CONNECT_TIMEOUT="2", PG_DB_TIMEOUT="1", PG_DB_SSLMODE="disable")
        with filled_place.connection.transaction():
            filled_place.execute("LOCK TABLE trusts IN ACCESS SHARE MODE")
            process = blocked_upgrade(filled_place)
            proxy.mute = True
            code, output = finish(process)
        proxy.hang_up()
    assert code != 0
    assert "PG_DB_TIMEOUT" in output


def test_the_host_that_takes_writes_is_used(place: Place, set_env: SetEnv) -> None:
    info = place.connection.info
    set_env(PG_DB_HOST=f"127.0.0.1,{info.host}", PG_DB_PORT=f"1,{info.port}")
    place.upgrade()
    assert place.rows("SELECT version_num FROM alembic_version") == [(HEAD,)]


@pytest.mark.parametrize("name", ["feature%2Fx", "a b", "it's", 'say "x"', "größe", "%(here)s", "$HOME;x", ALL_ODD])
def test_the_package_may_lie_anywhere(place: Place, set_env: SetEnv, tmp_path: Path, name: str) -> None:
    """As with Jenkins, whose working directories are named by branches."""
    package = Path(ALEMBIC_INI).parents[2]
    shutil.copytree(package, tmp_path / name / "actingweb")
    # The console script would find the installed package.
    (tmp_path / "alembic").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m alembic "$@"\n')
    (tmp_path / "alembic").chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / name), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    told = "from actingweb.db.postgresql.schema_state import COMMAND; print(COMMAND)"
    shown = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    for words in ("upgrade head", *(("check", "downgrade e5f6a7b8c9d0") if name == ALL_ODD else ())):
        line = shown.stdout.strip().replace("upgrade head", words)
        done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
