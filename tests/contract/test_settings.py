"""Settings: variables, defaults, refusals (2.3)."""

from operator import attrgetter
from typing import Any

import pytest

from actingweb.db import ConfigurationError, get_settings, reset_settings
from actingweb.db.registry import Backend
from actingweb.db.settings import Settings, parse_bool
from tests.conftest import SetEnv

# variable, attribute, default, text, value
VARIABLES: list[tuple[str, str, Any, str, Any]] = [
    ("DATABASE_BACKEND", "database_backend", "dynamodb", "postgresql", "postgresql"),
    ("AWS_DB_PREFIX", "aws_db_prefix", "demo_actingweb", "prod_", "prod_"),
    ("AWS_DB_HOST", "aws_db_host", None, "http://localhost:8000", "http://localhost:8000"),
    ("AWS_DEFAULT_REGION", "aws_default_region", "us-west-1", "eu-north-1", "eu-north-1"),
    ("AWS_REGION", "aws_default_region", "us-west-1", "eu-west-3", "eu-west-3"),
    ("AWS_DB_AUTO_CREATE_TABLES", "aws_db_auto_create_tables", True, "no", False),
    ("USE_PROPERTY_LOOKUP_TABLE", "use_property_lookup_table", True, "off", False),
    ("INDEXED_PROPERTIES", "indexed_properties", ("oauthId", "email", "externalUserId"), " a , b,,", ("a", "b")),
    ("DB_SLOW_CALL_SECONDS", "slow_call_seconds", 1.0, "0", 0),
    ("AWS_DB_TIMEOUT", "aws_db_timeout", 10.0, "2.5", 2.5),
    ("AWS_DB_MAX_ATTEMPTS", "aws_db_max_attempts", 4, "1", 1),
    ("AWS_DB_TRANSPORT", "aws_db_transport", "wire", "botocore", "botocore"),
    ("PG_DB_URL", "postgresql.url", None, "postgresql://h/d", "postgresql://h/d"),
    ("DATABASE_URL", "postgresql.url", None, "host=h dbname=d", "host=h dbname=d"),
    ("PG_DB_HOST", "postgresql.host", "localhost", "db.example.com", "db.example.com"),
    ("PG_DB_PORT", "postgresql.port", "5432", "6432", "6432"),
    ("PG_DB_NAME", "postgresql.name", "actingweb", "it's", "it's"),
    ("PG_DB_USER", "postgresql.user", "actingweb", "joe", "joe"),
    ("PG_DB_PASSWORD", "postgresql.password", "", " a b%'\\ ", " a b%'\\ "),
    ("PG_DB_PASSWORD_COMMAND", "postgresql.password_command", None, "get token 'a b'", ("get", "token", "a b")),
    ("PG_DB_SSLMODE", "postgresql.sslmode", None, "verify-full", "verify-full"),
    ("PG_DB_SSLROOTCERT", "postgresql.sslrootcert", None, "/ca.pem", "/ca.pem"),
    ("PG_DB_PREFIX", "postgresql.schema", "public", "Test-", "Test-public"),
    ("PG_DB_SCHEMA", "postgresql.schema", "public", "My Schema", "My Schema"),
    ("PG_POOL_MIN_SIZE", "postgresql.pool_min_size", 2, "0", 0),
    ("PG_POOL_MAX_SIZE", "postgresql.pool_max_size", 10, "2", 2),
    ("PG_POOL_TIMEOUT", "postgresql.pool_timeout", 30.0, "0.5", 0.5),
    ("PG_POOLER", "postgresql.pooler", "auto", "on", "on"),
    ("PG_EXPLICIT_TRANSACTIONS", "postgresql.explicit_transactions", "auto", "on", "on"),
    ("PG_CONNECT_TIMEOUT", "postgresql.connect_timeout", 5, "7", 7),
    ("PG_TCP_USER_TIMEOUT", "postgresql.tcp_user_timeout", 10, "3", 3),
    ("PG_DB_TIMEOUT", "postgresql.timeout", 30, "2.5", 2.5),
    ("PG_MIGRATION_URL", "postgresql.migration_url", None, "postgresql://o@h/d", "postgresql://o@h/d"),
]
SECRET = "canary-secret"
BAD_VALUES = [
    ("INDEXED_PROPERTIES", '["email"]'),
    ("INDEXED_PROPERTIES", '["email", "oauthId"]'),
    ("INDEXED_PROPERTIES", "['email']"),
    ("INDEXED_PROPERTIES", '"email","oauthId"'),
    ("INDEXED_PROPERTIES", "{email}"),
    ("AWS_DB_HOST", "localhost:8000"),
    ("AWS_DB_HOST", f"ftp://user:{SECRET}@host"),
    ("AWS_DB_AUTO_CREATE_TABLES", "maybe"),
    ("USE_PROPERTY_LOOKUP_TABLE", "2"),
    ("AWS_DB_TIMEOUT", "0"),
    ("AWS_DB_TIMEOUT", "nan"),
    ("AWS_DB_TIMEOUT", "inf"),
    ("AWS_DB_TIMEOUT", "soon"),
    ("AWS_DB_MAX_ATTEMPTS", "0"),
    ("AWS_DB_MAX_ATTEMPTS", "1.5"),
    ("AWS_DB_TRANSPORT", "http"),
    ("DB_SLOW_CALL_SECONDS", "-1"),
]
BAD_POSTGRESQL_VALUES = [
    ("PG_DB_URL", f"mysql://user:{SECRET}@host/db"),
    ("DATABASE_URL", f"sqlite://user:{SECRET}@host/db"),
    ("PG_MIGRATION_URL", f"http://user:{SECRET}@host/db"),
    ("PG_DB_PASSWORD_COMMAND", f"get '{SECRET}"),
    ("PG_DB_PASSWORD_COMMAND", " "),
    ("PG_DB_PORT", "port"),
    ("PG_DB_PORT", "0"),
    ("PG_DB_PORT", "65536"),
    ("PG_DB_SSLMODE", "sometimes"),
    ("PG_POOL_MIN_SIZE", "-1"),
    ("PG_POOL_MIN_SIZE", "11"),
    ("PG_POOL_MAX_SIZE", "0"),
    ("PG_POOL_MAX_SIZE", "many"),
    ("PG_POOL_TIMEOUT", "-1"),
    ("PG_POOL_TIMEOUT", "inf"),
    ("PG_POOLER", "maybe"),
    ("PG_EXPLICIT_TRANSACTIONS", "always"),
    ("PG_CONNECT_TIMEOUT", "never"),
    ("PG_TCP_USER_TIMEOUT", "-1"),
    ("PG_DB_TIMEOUT", "0"),
    ("PG_DB_SCHEMA", "s" * 64),
    ("PG_DB_PREFIX", "ü" * 30),
    ("PG_DB_URL", f"jdbc:postgresql://host/db?user=u&password={SECRET}"),
    ("PG_DB_HOST", f"user:{SECRET}@host"),
]
NAMES = ["DATABASE_BACKEND", "AWS_DB_PREFIX", "AWS_DB_HOST", "AWS_DEFAULT_REGION", "AWS_REGION", "INDEXED_PROPERTIES"]
POSTGRESQL_NAMES = ["PG_DB_HOST", "PG_DB_NAME", "PG_DB_USER", "PG_DB_SSLROOTCERT", "PG_DB_PREFIX", "PG_DB_SCHEMA"]


def value_of(attribute: str) -> Any:
    return attrgetter(attribute)(get_settings())


@pytest.mark.parametrize(("variable", "attribute", "default", "text", "value"), VARIABLES)
def test_a_variable_has_its_default_and_its_meaning(
    variable: str, attribute: str, default: Any, text: str, value: Any, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv(variable, raising=False)
    reset_settings()
    assert value_of(attribute) == default
    environment.setenv(variable, text)
    reset_settings()
    assert value_of(attribute) == value


def test_a_pool_of_one_connection_has_a_minimum_of_one(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PG_POOL_MAX_SIZE", "1")
    assert value_of("postgresql.pool_min_size") == 1


@pytest.mark.parametrize(("variable", "attribute", "default"), [row[:3] for row in VARIABLES])
def test_an_empty_variable_counts_as_unset(
    variable: str, attribute: str, default: Any, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(variable, "")
    assert value_of(attribute) == default


@pytest.mark.parametrize(("variable", "attribute", "text", "value"), [(*row[:2], *row[3:]) for row in VARIABLES])
@pytest.mark.parametrize("surrounded", ["{}\n", "{}\r\n", " \t{} \n\n", "\n{}"])
def test_white_space_around_a_value_is_no_part_of_it(
    variable: str, attribute: str, text: str, value: Any, surrounded: str, environment: pytest.MonkeyPatch
) -> None:
    """Files that Kubernetes mounts end with a line end."""
    if variable != "PG_DB_PASSWORD":
        environment.setenv(variable, surrounded.format(text))
        assert value_of(attribute) == value


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("secret\n", "secret"),
        ("secret\r\n", "secret"),
        (" secret \n", " secret "),
        ("secret\n\n", "secret\n"),
        ("secret\r\n\r\n", "secret\r\n"),
        ("secret\r", "secret\r"),
        ("\tsecret", "\tsecret"),
        ("\n", ""),
        (" ", " "),
    ],
)
def test_of_a_password_one_line_end_is_removed(text: str, password: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PG_DB_PASSWORD", text)
    assert value_of("postgresql.password") == password


@pytest.mark.parametrize("character", ["\n", "\t", "\x1b", "\x7f", "\x85", "\u2028"])
@pytest.mark.parametrize("variable", [*NAMES, *POSTGRESQL_NAMES])
def test_a_name_has_no_control_character(variable: str, character: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(variable, f"one{character}two")
    with pytest.raises(ConfigurationError, match=variable) as caught:
        _ = get_settings().postgresql
    assert character not in str(caught.value)


def test_white_space_counts_as_unset(environment: pytest.MonkeyPatch) -> None:
    for variable, attribute, default, *_ in VARIABLES:
        if not variable.startswith("PG_DB_PASSWORD"):
            environment.setenv(variable, " \n")
            reset_settings()
            assert value_of(attribute) == default


@pytest.mark.parametrize(("variable", "text"), BAD_VALUES)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(
    variable: str, text: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(variable, text)
    with pytest.raises(ConfigurationError, match=variable) as caught:
        get_settings()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("variable", "text"), BAD_POSTGRESQL_VALUES)
def test_a_bad_value_for_postgresql_is_refused_when_postgresql_is_in_use(
    variable: str, text: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(variable, text)
    settings = get_settings()
    with pytest.raises(ConfigurationError, match=variable) as caught:
        _ = settings.postgresql
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PG_DB_PASSWORD", SECRET),
        ("PG_DB_PASSWORD_COMMAND", f"get {SECRET}"),
        ("PG_DB_URL", f"postgresql://user:{SECRET}@host/db"),
        ("DATABASE_URL", f"host=h password={SECRET}"),
        ("PG_MIGRATION_URL", f"postgresql://user:{SECRET}@host/db"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ],
)
def test_a_repr_shows_no_secret(variable: str, text: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(variable, text)
    assert SECRET not in repr(get_settings()) + repr(get_settings().postgresql)


def test_a_conninfo_whose_password_looks_like_a_url_is_a_conninfo(environment: pytest.MonkeyPatch) -> None:
    conninfo = f"host=h password={SECRET}://x"
    environment.setenv("PG_DB_URL", conninfo)
    assert value_of("postgresql.url") == conninfo


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_these_url_schemes_are_taken(scheme: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PG_DB_URL", f"{scheme}://joe@h:1/d?sslmode=require")
    assert value_of("postgresql.url") == "postgresql://joe@h:1/d?sslmode=require"


def test_pg_db_url_comes_before_database_url(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", "postgresql://second/d")
    environment.setenv("PG_DB_URL", "postgresql://first/d")
    assert value_of("postgresql.url") == "postgresql://first/d"


@pytest.mark.parametrize(("prefix", "schema"), [("p" * 31, "s" * 32), ("ü" * 31, "s"), ("", "a\"b'c %")])
def test_the_schema_is_any_name_of_up_to_63_bytes(prefix: str, schema: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PG_DB_PREFIX", prefix)
    environment.setenv("PG_DB_SCHEMA", schema)
    assert value_of("postgresql.schema") == prefix + schema


@pytest.mark.parametrize("text", ["1", "true", "yes", "on", "TRUE", " Yes ", "On\n"])
def test_parse_bool_true(text: str) -> None:
    assert parse_bool(text) is True


@pytest.mark.parametrize("text", ["0", "false", "no", "off", "FALSE", " No ", "Off\n"])
def test_parse_bool_false(text: str) -> None:
    assert parse_bool(text) is False


@pytest.mark.parametrize("text", ["", " ", "2", "t", "enabled", "yes please"])
def test_parse_bool_refuses_anything_else(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_bool(text)


@pytest.mark.parametrize("variable", ["AWS_DB_AUTO_CREATE_TABLES", "USE_PROPERTY_LOOKUP_TABLE"])
@pytest.mark.parametrize(("text", "value"), [(" TRUE ", True), ("on", True), ("1", True), ("No", False), ("0", False)])
def test_every_boolean_variable_is_read_by_the_one_parser(
    variable: str, text: str, value: bool, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(variable, text)
    assert value_of(variable.lower()) is value


def test_the_environment_is_read_once_until_it_is_reset(environment: pytest.MonkeyPatch) -> None:
    settings = get_settings()
    environment.setenv("AWS_DB_PREFIX", "later")
    environment.setenv("PG_DB_SCHEMA", "later")
    assert get_settings() is settings
    assert settings.postgresql.schema == "public"
    reset_settings()
    assert get_settings().aws_db_prefix == "later"
    assert get_settings().postgresql.schema == "later"


def test_settings_cannot_be_changed() -> None:
    for settings, name in ((get_settings(), "aws_db_prefix"), (get_settings().postgresql, "schema")):
        with pytest.raises(AttributeError, match="read-only"):
            setattr(settings, name, "x")


def test_from_environment_takes_another_environment() -> None:
    assert Settings.from_environment({"AWS_DB_PREFIX": "p"}).aws_db_prefix == "p"


@pytest.mark.backends("postgresql")
def test_close_pool_forgets_settings(backend: Backend, environment: pytest.MonkeyPatch) -> None:
    from actingweb.db.postgresql.connection import close_pool, get_schema_name

    assert get_schema_name() != "elsewhere"
    environment.setenv("PG_DB_PREFIX", "else")
    environment.setenv("PG_DB_SCHEMA", "where")
    close_pool()
    assert get_schema_name() == "elsewhere"


@pytest.mark.backends("dynamodb")
def test_reset_ensure_cache_forgets_settings(backend: Backend, environment: pytest.MonkeyPatch) -> None:
    from actingweb.db.dynamodb._ensure import reset_ensure_cache

    before = get_settings()
    environment.setenv("AWS_DB_PREFIX", before.aws_db_prefix + "x")
    reset_ensure_cache()
    assert get_settings().aws_db_prefix == before.aws_db_prefix + "x"
    environment.setenv("AWS_DB_PREFIX", before.aws_db_prefix)
    reset_ensure_cache()


def test_constructor_arguments_beat_the_environment(backend: Backend, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("USE_PROPERTY_LOOKUP_TABLE", "1")
    environment.setenv("INDEXED_PROPERTIES", "email")
    reset_settings()
    for cls in (backend.DbProperty.DbProperty, backend.DbProperty.DbPropertyList):
        given = cls(use_lookup_table=False, indexed_properties=["color"])
        assert (given._use_lookup_table, list(given._indexed_properties)) == (False, ["color"])
        default = cls()
        assert (default._use_lookup_table, list(default._indexed_properties)) == (True, ["email"])


@pytest.mark.parametrize(("text", "count"), [("0", 8), ("1", 9)])
def test_the_command_line_tool_reads_the_environment_afresh(
    text: str,
    count: int,
    set_env: SetEnv,
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from actingweb.db.verify_tables import main

    set_env(USE_PROPERTY_LOOKUP_TABLE="1" if text == "0" else "0")
    get_settings()
    environment.setenv("USE_PROPERTY_LOOKUP_TABLE", text)
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == count
