"""`actingweb-db schema`, in processes of its own."""

from __future__ import annotations

import subprocess

import pytest
from psycopg.sql import SQL, Identifier

from actingweb.db.postgresql.revision import HEAD
from actingweb.embedded.process import free_port
from tests import forked
from tests.conftest import SetEnv

from .conftest import BASELINE, Place
from .layouts import HEAD_LAYOUT

ALL_WELL, USAGE, DIFFERENCES, TARGET = 0, 2, 4, 7


def schema(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `actingweb-db schema`."""
    return forked.run(["-m", "actingweb_db", "schema", *arguments])


def expect(code: int, answer: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed that ended with this exit code: on stdout if all is well, else on stderr."""
    assert answer.returncode == code, answer.stderr + answer.stdout
    assert "Traceback" not in answer.stderr
    return answer.stdout if code == ALL_WELL else answer.stderr


def sorted_lines(layout: dict[str, list[str]], collate: str = "") -> dict[str, list[str]]:
    """Return the lines of each table in order, with the collation of key columns filled in."""
    return {table: sorted(line.replace("{c}", collate) for line in lines) for table, lines in layout.items()}


def test_from_nothing_to_this_release_and_back(place: Place) -> None:
    name = f'schema "{place.schema}"'
    assert expect(ALL_WELL, schema("current")) == f"{name}: no schema\n"
    assert expect(DIFFERENCES, schema("check")).startswith(f"{name}: the schema is missing: run ")
    assert expect(ALL_WELL, schema("upgrade")) == f"{name}: from no schema to revision {HEAD}\n"
    assert expect(ALL_WELL, schema("upgrade")) == f"{name}: remains at revision {HEAD}\n"
    assert expect(ALL_WELL, schema("current")) == f"{name}: revision {HEAD} (head)\n"
    assert HEAD in expect(ALL_WELL, schema("check"))
    assert expect(ALL_WELL, schema("downgrade", BASELINE)) == f"{name}: from revision {HEAD} to revision {BASELINE}\n"
    assert f"this release needs {HEAD}" in expect(DIFFERENCES, schema("check"))
    assert expect(ALL_WELL, schema("upgrade")) == f"{name}: from revision {BASELINE} to revision {HEAD}\n"


def test_check_names_a_missing_index(place: Place) -> None:
    place.upgrade()
    place.execute("DROP INDEX idx_trusts_secret")
    assert "idx_trusts_secret" in expect(DIFFERENCES, schema("check"))


def test_check_names_a_missing_column(place: Place) -> None:
    place.upgrade()
    place.execute('ALTER TABLE trusts DROP COLUMN "desc"')
    assert "desc" in expect(DIFFERENCES, schema("check"))


def test_what_the_old_layout_cannot_hold_stops_a_downgrade_and_nothing_changes(place: Place) -> None:
    place.upgrade()
    place.execute("INSERT INTO actors VALUES ('a', '', '')")
    place.execute("INSERT INTO subscriptions VALUES ('a', 'p', 's', '', '', '', '', 3000000000, false)")
    before = place.layout()
    assert expect(TARGET, schema("downgrade", BASELINE)).startswith("ERROR: ")
    assert place.layout() == before


def test_a_revision_that_does_not_exist_is_one_line(place: Place) -> None:
    place.upgrade()
    error = expect(TARGET, schema("upgrade", "nonsense"))
    assert error == "ERROR: Can't locate revision identified by 'nonsense'\n"


def test_the_sql_makes_what_the_upgrade_makes(other_order_place: Place) -> None:
    text = expect(ALL_WELL, schema("sql"))
    other_order_place.connection.execute("DROP SCHEMA public")
    other_order_place.connection.execute(text.encode())
    expected = {
        table: sorted(line.replace("{c}", " COLLATE C") for line in lines) for table, lines in HEAD_LAYOUT.items()
    }
    assert {table: sorted(lines) for table, lines in other_order_place.layout().items()} == expected
    assert HEAD in expect(ALL_WELL, schema("check"))


def test_the_sql_names_any_schema(place: Place) -> None:
    place.connection.execute(expect(ALL_WELL, schema("sql")).encode())
    assert HEAD in expect(ALL_WELL, schema("check"))
    place.connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(place.schema)))


def test_a_server_that_cannot_be_reached_is_one_line(place: Place, set_env: SetEnv) -> None:
    set_env(PG_DB_HOST="127.0.0.1", PG_DB_PORT=str(free_port()))
    for command in ("upgrade", "current", "check"):
        error = expect(TARGET, schema(command))
        assert error.startswith("ERROR: ")
        assert error.count("\n") <= 2


def test_a_wrong_password_is_not_shown(place: Place, set_env: SetEnv) -> None:
    set_env(PG_DB_PASSWORD="canary-7c1d")
    error = expect(TARGET, schema("current"))
    assert "canary" not in error


@pytest.mark.parametrize(("name", "value"), [("PG_DB_PORT", "many"), ("PG_DB_URL", "mysql://x/y")])
def test_a_bad_setting_is_named(place: Place, set_env: SetEnv, name: str, value: str) -> None:
    set_env(**{name: value})
    assert name in expect(USAGE, schema("upgrade"))
