"""A password is sent only to the server and for the user that its source names: the table in docs/settings.md."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.conninfo import connection_string, pool_string
from actingweb.db.postgresql.login import with_options
from actingweb.db.postgresql.password import fresh_password, set_password_source
from actingweb.db.settings import PostgresSettings, Settings
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.support import new_id

COMMAND = shlex.join(["printf", "asked"])
PARTS = {"PG_DB_HOST": "h", "PG_DB_PORT": "5433", "PG_DB_USER": "u", "PG_DB_PASSWORD": "set"}
SAME = "postgresql://u@h:5433/d"
WITH = "postgresql://u:own@h:5433/d"
OTHERS = ["postgresql://u@other:5433/d", "postgresql://other@h:5433/d", "postgresql://u@h/d", "postgresql:///d"]


def settings(environment: Mapping[str, str]) -> PostgresSettings:
    return Settings.from_environment(environment).postgresql


def password_of(conninfo: str) -> object:
    return conninfo_to_dict(conninfo).get("password") or None


def sent(environment: Mapping[str, str], *, migration: bool = False) -> object:
    """Return the password that the application, or Alembic, sends."""
    found = settings(environment)
    password = password_of(connection_string(found, migration=migration))
    if not migration:
        # The pool puts the two together itself.
        assert (fresh_password(found) or password_of(pool_string(found))) == password
    return password


@pytest.mark.parametrize(
    ("environment", "password"),
    [
        (PARTS, "set"),
        (PARTS | {"PG_DB_PASSWORD_COMMAND": COMMAND}, "asked"),
        # A URL without a password
        ({"PG_DB_URL": SAME, "PG_DB_PASSWORD": "set"}, "set"),
        ({"DATABASE_URL": SAME, "PG_DB_PASSWORD": "set"}, "set"),
        ({"DATABASE_URL": "host=h port=5433 user=u", "PG_DB_PASSWORD": "set"}, "set"),
        ({"PG_DB_URL": SAME, "PG_DB_PASSWORD_COMMAND": COMMAND}, "asked"),
        (PARTS | {"PG_DB_URL": SAME}, "set"),
        *((PARTS | {"PG_DB_URL": url}, None) for url in OTHERS),
        *((PARTS | {"DATABASE_URL": url, "PG_DB_PASSWORD_COMMAND": COMMAND}, None) for url in OTHERS),
        ({"PG_DB_URL": "postgresql://u@h/d?passfile=/f", "PG_DB_PASSWORD": "set"}, None),
        ({"PG_DB_URL": "service=s", "PG_DB_PASSWORD": "set"}, None),
        # A URL with one
        (PARTS | {"PG_DB_URL": WITH}, "own"),
        (PARTS | {"DATABASE_URL": "postgresql://o:own@other/d", "PG_DB_PASSWORD_COMMAND": COMMAND}, "own"),
        # One of two URLs
        ({"PG_DB_URL": SAME, "DATABASE_URL": WITH}, None),
        ({"PG_DB_URL": WITH, "DATABASE_URL": "postgresql://o:other@other/d"}, "own"),
    ],
)
def test_the_application(environment: dict[str, str], password: str | None) -> None:
    assert sent(environment) == password
    assert sent(environment, migration=True) == password


@pytest.mark.parametrize(
    ("environment", "password"),
    [
        (PARTS | {"PG_MIGRATION_URL": WITH}, "own"),
        (PARTS | {"PG_MIGRATION_URL": SAME}, "set"),
        (PARTS | {"PG_MIGRATION_URL": SAME, "PG_DB_PASSWORD_COMMAND": COMMAND}, "asked"),
        *((PARTS | {"PG_MIGRATION_URL": url}, None) for url in OTHERS),
        *((PARTS | {"PG_MIGRATION_URL": url, "PG_DB_PASSWORD_COMMAND": COMMAND}, None) for url in OTHERS),
        ({"PG_DB_URL": WITH, "PG_MIGRATION_URL": SAME}, "own"),
        ({"PG_DB_URL": WITH, "PG_MIGRATION_URL": OTHERS[0]}, None),
        ({"PG_DB_PASSWORD": "set", "PG_MIGRATION_URL": SAME}, None),
    ],
)
def test_changes_of_the_schema(environment: dict[str, str], password: str | None) -> None:
    assert sent(environment, migration=True) == password


def test_a_password_source_is_for_the_application_and_its_own_log_in() -> None:
    set_password_source(lambda: "given")
    try:
        assert sent(PARTS | {"PG_DB_URL": WITH}) == "given"
        assert sent(PARTS | {"PG_MIGRATION_URL": SAME}, migration=True) == "given"
        assert sent(PARTS | {"PG_MIGRATION_URL": WITH}, migration=True) == "own"
        assert sent(PARTS | {"PG_MIGRATION_URL": OTHERS[0]}, migration=True) is None
    finally:
        set_password_source(None)


def with_flags(environment: Mapping[str, str], options: dict[str, str], password: str | None = None) -> dict[str, Any]:
    """Return the host, user and password with which the tool logs in."""
    chosen = conninfo_to_dict(pool_string(with_options(settings(environment), options, password), fresh=True))
    assert {name: chosen[name] for name in options} == options
    return chosen


@pytest.mark.parametrize("option", [{"host": "other"}, {"port": "6000"}, {"user": "other"}])
@pytest.mark.parametrize(
    "environment",
    [
        PARTS,
        PARTS | {"PG_DB_PASSWORD_COMMAND": COMMAND},
        {"PG_DB_URL": WITH},
        {"DATABASE_URL": WITH},
        {"PG_DB_URL": "postgresql://u:own@h/d?hostaddr=127.0.0.1"},
        {"PG_DB_URL": SAME, "PG_DB_PASSWORD": "set"},
        {"PG_DB_URL": SAME, "PG_DB_PASSWORD_COMMAND": COMMAND},
        PARTS | {"PG_DB_URL": OTHERS[0]},
        {"PG_DB_URL": "postgresql://u:own@a:1,b:2/d"},
        {"PG_DB_HOST": "h", "PG_DB_USER": "u", "PG_DB_PASSWORD": "set"},
    ],
)
def test_an_option_that_names_another_leaves_the_password_behind(
    environment: dict[str, str], option: dict[str, str]
) -> None:
    chosen = with_flags(environment, option)
    assert not chosen.get("password")
    assert "host" not in option or "hostaddr" not in chosen
    assert with_flags(environment, option, "typed")["password"] == "typed"


@pytest.mark.parametrize(
    ("environment", "options", "password"),
    [
        (PARTS, {"host": "h", "port": "5433", "user": "u"}, "set"),
        (PARTS, {"dbname": "other"}, "set"),
        ({"PG_DB_URL": WITH}, {"host": "h", "port": "5433", "user": "u", "dbname": "other"}, "own"),
        ({"PG_DB_URL": SAME, "PG_DB_PASSWORD_COMMAND": COMMAND}, {"dbname": "other"}, "asked"),
        # Nothing says whose the password is.
        ({"PG_DB_PASSWORD": "set"}, {"host": "other", "user": "other"}, "set"),
        ({"PG_DB_HOST": "h", "PG_DB_PASSWORD": "set"}, {"user": "other"}, "set"),
    ],
)
def test_an_option_that_names_the_same_or_what_is_left_open_keeps_the_password(
    environment: dict[str, str], options: dict[str, str], password: str
) -> None:
    assert with_flags(environment, options)["password"] == password


def test_a_url_beside_variables_of_another_gets_no_password_by_an_option() -> None:
    assert not with_flags(PARTS | {"PG_DB_URL": OTHERS[0]}, {"dbname": "x"}).get("password")


def test_an_option_for_the_host_is_for_one_host() -> None:
    assert with_flags({"PG_DB_URL": "postgresql://u@a:1,b:2/d"}, {"host": "c"}).get("port", "5432") == "5432"
    assert with_flags({"PG_DB_HOST": "a,b", "PG_DB_PORT": "1,2"}, {"host": "c"})["port"] == "5432"


# libpq's own variables


def outcome(environment: Mapping[str, str]) -> str:
    """Return the user of a connection, or libpq's reason why there is none."""
    theirs = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    try:
        with psycopg.connect(pool_string(settings({**theirs, **environment}), fresh=True)) as connection:
            return connection.info.user
    except psycopg.OperationalError as error:
        return str(error)


@pytest.fixture
def server(postgres_server: PostgresTarget) -> dict[str, str]:
    """Return a log-in that the server accepts only with its password."""
    with postgres_server.connect() as connection:
        info = connection.info
        names = {"host": info.host, "port": str(info.port), "user": info.user, "password": info.password}
        return names | {"name": info.dbname}


def parts(server: Mapping[str, str], *names: str) -> dict[str, str]:
    return {f"PG_DB_{name.upper()}": server[name] for name in ("name", *names)}


def test_a_password_of_libpq_s_does_not_go_to_our_server(server: dict[str, str], set_env: SetEnv) -> None:
    set_env(PGPASSWORD=server["password"])
    assert "no password supplied" in outcome(parts(server, "host", "port", "user"))
    url = make_conninfo(host=server["host"], port=server["port"], user=server["user"])
    assert "no password supplied" in outcome({"PG_DB_URL": url})
    assert outcome(parts(server, "host", "port", "user", "password")) == server["user"]


def test_a_log_in_that_is_libpq_s_as_a_whole_is_left_to_it(server: dict[str, str], set_env: SetEnv) -> None:
    set_env(**{f"PG{name.upper()}": value for name, value in server.items()})
    assert outcome({"PG_DB_URL": f"postgresql:///{server['name']}"}) == server["user"]


@pytest.mark.parametrize("variable", ["PGHOSTADDR", "PGPORT", "PGHOST"])
def test_a_server_of_libpq_s_does_not_get_our_password(server: dict[str, str], set_env: SetEnv, variable: str) -> None:
    set_env(**{variable: {"PGHOSTADDR": "127.0.0.2", "PGPORT": "1", "PGHOST": "127.0.0.2"}[variable]})
    assert outcome(parts(server, "host", "port", "user", "password")) == server["user"]
    assert "port 5432" in outcome({"PG_DB_URL": "postgresql://u:x@127.0.0.1/d"})


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("PGHOST", "postgresql://u:canary@/d"),
        ("PGHOSTADDR", "postgresql://u:canary@/d"),
        ("PGUSER", "postgresql://:canary@h/d"),
        ("PGSERVICE", "postgresql://:canary@h/d"),
    ],
)
@pytest.mark.parametrize("source", ["PG_DB_URL", "PG_MIGRATION_URL"])
def test_a_url_with_a_password_has_to_say_whose_it_is_if_libpq_s_variables_would(
    variable: str, url: str, source: str
) -> None:
    migration = source == "PG_MIGRATION_URL"
    connection_string(settings({source: url}), migration=migration)
    with pytest.raises(ConfigurationError, match=f"{source}.*{variable}") as raised:
        connection_string(settings({source: url, variable: "x"}), migration=migration)
    assert "canary" not in str(raised.value)


def test_a_service_of_libpq_s_adds_nothing_to_our_log_in(
    server: dict[str, str], set_env: SetEnv, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp(new_id()) / "services"
    file.write_text(f"[theirs]\nhostaddr=127.0.0.2\nport=1\npassword={server['password']}\n")
    set_env(PGSERVICEFILE=str(file), PGSERVICE="theirs")
    assert "no password supplied" in outcome(parts(server, "host", "port", "user"))
    assert outcome(parts(server, "host", "port", "user", "password")) == server["user"]
