"""The command line tool, in processes of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.postgresql.revision import EARLIER, HEAD
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.support import new_id, require_superuser, wait_until

from .alembic_process import DIRECTORY, finish, start
from .conftest import BASELINE, Place

PASSWORD = r"""p%40 '"\x :/@?#é"""


def _revision(place: Place) -> str:
    ((revision,),) = place.rows("SELECT version_num FROM alembic_version")
    return str(revision)


@pytest.fixture
def role(postgres_server: PostgresTarget) -> Iterator[str]:
    """Return a role with an awkward password that may create schemas."""
    name = f'role %s " {new_id()[:12]}'
    with postgres_server.connect() as connection:
        require_superuser(connection)
        quoted, database = Identifier(name), Identifier(connection.info.dbname)
        create = SQL("CREATE ROLE {} LOGIN PASSWORD {}; GRANT CREATE ON DATABASE {} TO {}")
        connection.execute(create.format(quoted, Literal(PASSWORD), database, quoted))
        yield name
        connection.execute(SQL("DROP OWNED BY {} CASCADE").format(quoted))
        connection.execute(SQL("DROP ROLE {}").format(quoted))


def test_it_works_in_the_package_s_directory(place: Place) -> None:
    code, output = finish(start("upgrade", "head"))
    assert code == 0, output
    assert _revision(place) == HEAD
    assert finish(start("check"))[0] == 0


def test_it_works_from_python(place: Place) -> None:
    upgrade(BASELINE)
    assert _revision(place) == BASELINE
    upgrade()
    assert _revision(place) == HEAD


def test_it_works_from_anywhere(place: Place, tmp_path: Path) -> None:
    code, output = finish(start("-c", str(DIRECTORY / "alembic.ini"), "upgrade", "head", directory=tmp_path))
    assert code == 0, output
    assert _revision(place) == HEAD


@pytest.mark.parametrize(
    ("prefix", "schema"), [("", "Upper-Case"), ("pre-", ""), ("100% :x '\\", 'quote"s'), ("", "select")]
)
def test_any_schema_name_and_password(place: Place, role: str, set_env: SetEnv, prefix: str, schema: str) -> None:
    wanted = f"{prefix}{place.schema[:12]}{schema or 'public'}"
    set_env(PG_DB_USER=role, PG_DB_PASSWORD=PASSWORD, PG_DB_PREFIX=f"{prefix}{place.schema[:12]}", PG_DB_SCHEMA=schema)
    code, output = finish(start("upgrade", "head"))
    assert code == 0, output
    found = place.rows("SELECT tablename FROM pg_tables WHERE schemaname::text = %s AND tableowner = %s", wanted, role)
    assert len(found) == 10


def test_a_schema_that_exists_needs_no_right_to_create_one(place: Place, role: str, set_env: SetEnv) -> None:
    schema, owner, database = (Identifier(name) for name in (place.schema, role, place.connection.info.dbname))
    place.connection.execute(SQL("CREATE SCHEMA {}").format(schema))
    place.connection.execute(SQL("GRANT ALL ON SCHEMA {} TO {}").format(schema, owner))
    place.connection.execute(SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, owner))
    set_env(PG_DB_USER=role, PG_DB_PASSWORD=PASSWORD)
    code, output = finish(start("upgrade", "head"))
    assert code == 0, output
    assert _revision(place) == HEAD


def test_the_migration_url_wins(place: Place, role: str, set_env: SetEnv) -> None:
    info = place.connection.info
    url = psycopg.conninfo.make_conninfo(
        host=info.host, port=info.port, dbname=info.dbname, user=role, password=PASSWORD
    )
    set_env(PG_MIGRATION_URL=url, PG_DB_PASSWORD="wrong")
    code, output = finish(start("upgrade", "head"))
    assert code == 0, output
    assert place.rows("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname::text = %s", place.schema) == [
        (role,)
    ]


def test_two_upgrades_at_once_both_succeed(old_place: Place) -> None:
    processes = [start("upgrade", "head") for _ in range(2)]
    results = [finish(process) for process in processes]
    assert [code for code, _ in results] == [0, 0], results
    assert sorted(output.count("Running upgrade") for _, output in results) == [0, len(EARLIER)]
    old_place.check()


def test_an_upgrade_killed_half_way_leaves_the_old_layout_whole(filled_place: Place) -> None:
    rows, layout = filled_place.contents(), filled_place.layout()
    with filled_place.connection.transaction():
        filled_place.execute("LOCK TABLE trusts IN ACCESS SHARE MODE")
        process = start("upgrade", "head")
        _wait_until_blocked(filled_place)
        process.kill()
        finish(process)
    _wait_until_gone(filled_place)
    assert (filled_place.contents(), filled_place.layout()) == (rows, layout)
    assert _revision(filled_place) == BASELINE
    filled_place.upgrade()
    filled_place.check()


def test_a_step_that_fails_leaves_the_old_layout_whole(filled_place: Place) -> None:
    filled_place.execute("CREATE VIEW in_the_way AS SELECT client_name FROM trusts")
    rows, layout = filled_place.contents(), filled_place.layout()
    code, output = finish(start("upgrade", "head"))
    assert code != 0
    assert "in_the_way" in output
    assert (filled_place.contents(), filled_place.layout()) == (rows, layout)
    assert _revision(filled_place) == BASELINE


def test_an_unknown_revision_is_one_line(old_place: Place) -> None:
    old_place.execute("UPDATE alembic_version SET version_num = 'aaaabbbbcccc'")
    code, output = finish(start("upgrade", "head"))
    assert code != 0
    assert "upgrade it with ActingWeb 3.15 first" in output
    assert "Traceback" not in output


def test_scripts_for_later_are_refused(place: Place) -> None:
    code, output = finish(start("upgrade", "head", "--sql"))
    assert code != 0
    assert "--sql is not supported" in output


def test_a_refused_connection_does_not_show_the_password(place: Place, set_env: SetEnv) -> None:
    set_env(PG_DB_USER="nobody at all", PG_DB_PASSWORD="very secret")
    code, output = finish(start("upgrade", "head"))
    assert code != 0
    assert "very secret" not in output


def _wait_until_blocked(place: Place) -> None:
    _wait_for(place, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'trusts'::regclass")


def _wait_until_gone(place: Place) -> None:
    _wait_for(place, "SELECT count(*) = 0 FROM pg_locks WHERE relation = 'actors'::regclass")


def _wait_for(place: Place, condition: LiteralString) -> None:
    wait_until(lambda: place.rows(condition) == [(True,)])
