"""Invalid URLs and conninfo strings: the error names what is wrong and shows no password."""

from __future__ import annotations

import traceback

import pytest

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.conninfo import connection_string
from actingweb.db.settings import Settings

VARIABLES = ["PG_DB_URL", "DATABASE_URL", "PG_MIGRATION_URL"]
FOREIGN = [
    ("schema", "postgresql://u:p@h/d?schema=public"),
    ("pgbouncer", "postgresql://u:p@h/d?pgbouncer=true"),
    ("connection_limit", "postgresql://u:p@h/d?sslmode=require&connection_limit=5"),
    ("ssl", "postgresql://u:p@h/d?ssl=1"),
    ("currentSchema", "postgres://u:p@h:5432/d?currentSchema=x"),
    ("made_up", "postgresql+psycopg://u:p@h/d?made_up=1"),
    ("schema", "host=h user=u schema=public"),
    ("sslmode", "postgresql://u:p@h/d?sslmode=sometimes"),
    ("sslmode", "host=h sslmode=REQUIRED"),
    ("target_session_attrs", "postgresql://u:p@h/d?target_session_attrs=master"),
    ("connect_timeout", "postgresql://u:p@h/d?connect_timeout=soon"),
    ("port", "postgresql://u:p@h:99999/d"),
    ("port", "host=h port=five"),
    ("dbname", "postgresql://u:p@h/d%0Ae"),
    ("host", "host='a\tb'"),
]
# Each part of a password that stands between the places where URLs end their parts.
PARTS = ("1one", "2two", "3three")
SEPARATORS = [
    "/",
    "@",
    ":",
    "?",
    "#",
    "%zz",
    "%",
    "[",
    "]",
    "\\",
    " ",
    "&",
    "=",
    "'",
    '"',
    "/@",
    "@/",
    "?@",
    "@?",
    ":@",
]


def refusal(variable: str, url: str) -> ConfigurationError | None:
    """Return why a URL is rejected, None if it is accepted."""
    try:
        settings = Settings.from_environment({variable: url}).postgresql
        connection_string(settings, migration=variable == "PG_MIGRATION_URL")
    except ConfigurationError as error:
        return error
    return None


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(("parameter", "url"), FOREIGN)
def test_parameter_and_variable_are_named(variable: str, parameter: str, url: str) -> None:
    error = refusal(variable, url)
    assert error is not None
    assert str(error).startswith(f"{variable}: {parameter}")


def test_a_url_of_java_is_named() -> None:
    error = refusal("DATABASE_URL", "jdbc:postgresql://h/d?user=u&password=canary")
    assert "DATABASE_URL" in str(error)
    assert "jdbc" in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize("host", ["postgresql://u:pass@word@h/d", "postgresql://u:p@12@h:5/d", "host=u:pass@h"])
def test_an_at_in_the_host_is_no_host(host: str) -> None:
    assert "percent-encode the password" in str(refusal("PG_DB_URL", host))


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(
    "form", ["postgresql://u:{}@h:5432/d?sslmode=require", "postgresql://h/d?user=u&password={}", "host=h password={}"]
)
def test_no_part_of_a_password_gets_into_an_error(separator: str, form: str) -> None:
    """Nor is a part of it that looks like a port or a parameter because the URL is split in the wrong place."""
    for before in ("", "12"):
        password = separator.join((before or PARTS[0], *PARTS[1:]))
        for text in (password, f"{password}=x", f"{password}&{PARTS[1]}=x"):
            error = refusal("PG_DB_URL", form.format(text))
            if error is not None:
                shown = "".join(traceback.format_exception(error))
                assert not any(part in shown for part in PARTS)
                assert "PG_DB_URL" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40%2F%3A%3F%23@h:5432/d",
        "postgresql://h/d?user=joe@azure&password=x",
        "postgresql://u:p@h/d?ssl=true",
        "postgresql://u:p@h/d?application_name=a%20b&connect_timeout=3&keepalives=1",
        "postgresql://u:p@[::1]:5432/d",
        "postgresql://%2Frun%2Fpostgresql/d",
        "postgresql://a:1,b:2/d?target_session_attrs=read-write",
        "host=/run/postgresql dbname=d",
        "service=mine",
    ],
)
def test_what_libpq_takes_is_taken(url: str) -> None:
    assert refusal("PG_DB_URL", url) is None


@pytest.mark.parametrize("host", ["postgresql://u:canary@h/d", "user@h", "a\nb", "a\x7fb"])
def test_a_url_is_no_host(host: str) -> None:
    error = refusal("PG_DB_HOST", host)
    assert "PG_DB_HOST" in str(error)
    assert "canary" not in str(error)
