"""The conninfo strings."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.conninfo import connection_string, pool_string
from actingweb.db.settings import PostgresSettings, Settings


def settings(**environment: str) -> PostgresSettings:
    return Settings.from_environment(environment).postgresql


@pytest.mark.parametrize("text", ["a b", "it's", 'say "x"', "back\\slash\\", "100%", "%20", "p=q host=evil", "ü€😀"])
def test_any_password_name_and_user_survive(text: str) -> None:
    found = conninfo_to_dict(connection_string(settings(PG_DB_PASSWORD=text, PG_DB_NAME=text, PG_DB_USER=text)))
    assert found == {"host": "localhost", "port": "5432", "dbname": text, "user": text, "password": text}


def test_an_empty_password_is_left_out() -> None:
    assert "password" not in conninfo_to_dict(connection_string(settings()))


def test_a_url_beats_the_parts_and_its_options_beat_the_tls_settings() -> None:
    found = settings(
        PG_DB_URL="postgresql+psycopg://joe:p%25%40@db:5433/x?sslmode=require&connect_timeout=9",
        PG_DB_HOST="other",
        PG_DB_SSLMODE="verify-full",
        PG_DB_SSLROOTCERT="/ca.pem",
    )
    assert conninfo_to_dict(connection_string(found)) == {
        "host": "db",
        "port": "5433",
        "dbname": "x",
        "user": "joe",
        "password": "p%@",
        "sslmode": "require",
        "sslrootcert": "/ca.pem",
        "connect_timeout": "9",
    }
    assert conninfo_to_dict(pool_string(found))["connect_timeout"] == "9"


def test_the_pool_gives_up_a_silent_server_after_the_times_set() -> None:
    found = conninfo_to_dict(pool_string(settings(PG_CONNECT_TIMEOUT="2.5", PG_TCP_USER_TIMEOUT="4")))
    assert found["connect_timeout"] == "3"
    assert found["tcp_user_timeout"] == "4000"
    assert int(found["keepalives_idle"] or 0) + int(found["keepalives_interval"] or 0) in range(2, 5)
    assert "options" not in found


@pytest.mark.parametrize(
    ("variable", "host", "expected"),
    [("PG_DB_HOST", "one", None), ("PG_DB_HOST", "one,two", "read-write"), ("PG_DB_URL", "host=a,b", "read-write")],
)
def test_of_several_hosts_the_one_that_takes_writes_is_used(variable: str, host: str, expected: str | None) -> None:
    found = conninfo_to_dict(pool_string(settings(**{variable: host})))
    assert found.get("target_session_attrs") == expected


def test_a_url_chooses_the_host_itself() -> None:
    found = conninfo_to_dict(pool_string(settings(PG_DB_URL="postgresql://a,b/x?target_session_attrs=primary")))
    assert found["target_session_attrs"] == "primary"


def test_migrations_go_where_they_are_sent() -> None:
    found = settings(
        PG_DB_HOST="pooler", PG_MIGRATION_URL="postgresql://owner@direct,standby/x", PG_DB_SSLMODE="require"
    )
    sent = conninfo_to_dict(connection_string(found, migration=True))
    where = {"host": "direct,standby", "user": "owner", "dbname": "x", "sslmode": "require"}
    assert {name: sent[name] for name in where} == where
    assert "password" not in sent
    assert sent["target_session_attrs"] == "read-write"
    assert "connect_timeout" in sent
    assert conninfo_to_dict(connection_string(found))["host"] == "pooler"


@pytest.mark.parametrize("variable", ["PG_DB_URL", "DATABASE_URL", "PG_MIGRATION_URL"])
@pytest.mark.parametrize(
    "text", ["postgresql://u:secret@[bad/x", "host=x password='secret", "secret", "nonsense=secret"]
)
def test_a_malformed_url_is_refused_by_the_name_of_its_variable(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=variable) as raised:
        connection_string(settings(**{variable: text}), migration=True)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None
