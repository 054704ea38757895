"""Settings of psycopg, libpq, the role and the database do not change the results of calls."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format
from psycopg.types.json import set_json_dumps, set_json_loads

from actingweb.db import get_attribute
from actingweb.db.postgresql.adapters import ADAPTERS
from actingweb.db.postgresql.connection import close_pool, get_connection
from actingweb.db.registry import Backend
from actingweb.db.settings import Settings
from actingweb.migration.target.connection import Target
from tests.conftest import SetEnv
from tests.contract.support.calls import requesting
from tests.support import PATIENCE, conninfo_of, new_id

from .conftest import PgConnection

pytestmark = pytest.mark.backends("postgresql")

_TYPES = ("text", "varchar", "name", "bpchar", "int2", "int4", "int8", "bool", "timestamptz", "json", "jsonb")
_DATA = {"n": [1, 1.5, -0.0], "t": "x", "b": [True, None]}


class _Wrong(Loader):
    def load(self, data: Any) -> Any:
        return "wrong"


class _WrongBinary(_Wrong):
    format = Format.BINARY


class _WrongDumper(psycopg.types.string.StrDumper):
    def dump(self, obj: Any) -> bytes:
        return b"wrong"


def spoil_loaders() -> None:
    for name in _TYPES:
        psycopg.adapters.register_loader(name, _Wrong)
        psycopg.adapters.register_loader(name, _WrongBinary)
    for oid in (25, 705, 1009, 1043):
        psycopg.adapters.register_loader(oid, _Wrong)
        psycopg.adapters.register_loader(oid, _WrongBinary)


def spoil_dumpers() -> None:
    for kind in (str, int, bool, float, list, bytes, type(None), psycopg.types.json.Jsonb, psycopg.types.json.Json):
        psycopg.adapters.register_dumper(kind, _WrongDumper)


def spoil_json() -> None:
    set_json_loads(functools.partial(json.loads, parse_float=Decimal, parse_int=Decimal))
    set_json_dumps(lambda _: '"wrong"')


def spoil_types() -> None:
    psycopg.adapters.types.clear()
    for name in ("text", "jsonb"):
        psycopg.adapters.types.add(psycopg.types.TypeInfo(name, 16, 1000))


SPOILERS: dict[str, Callable[[], None]] = {
    "loaders": spoil_loaders,
    "dumpers": spoil_dumpers,
    "json": spoil_json,
    "types": spoil_types,
}


@pytest.fixture(params=SPOILERS)
def spoil(request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """Return a function that changes psycopg's global settings, which are restored afterwards."""
    adapters, copy = psycopg.adapters, AdaptersMap(psycopg.adapters)
    types = psycopg.adapters.types
    before = list(types._registry.items())
    yield SPOILERS[request.param]
    for name in ("_dumpers", "_dumpers_by_oid", "_loaders"):
        setattr(adapters, name, getattr(copy, name))
    for name in ("_own_dumpers", "_own_dumpers_by_oid", "_own_loaders"):
        setattr(adapters, name, [False, False] if name != "_own_dumpers" else dict.fromkeys(copy._own_dumpers, False))
    types._registry.clear()
    types._registry.update(before)
    set_json_loads(json.loads)
    set_json_dumps(json.dumps)


def answers(backend: Backend, actor_id: str) -> str:
    """Return the results of all calls as `repr` shows them, so that types are compared too."""
    calls = requesting(backend, actor_id)
    found = {name: repr(call()) for name, call in calls.items()}
    attribute = get_attribute(backend)
    attribute.set_attr(actor_id, "b", "n", _DATA, timestamp="2024-02-01T10:00:00+02:00")
    found["data"] = repr(attribute.get_attr(actor_id, "b", "n"))
    found["swap"] = repr(attribute.conditional_update_attr(actor_id, "b", "n", _DATA, [0.1]))
    found["bucket"] = repr(attribute.get_bucket(actor_id, "b"))
    with get_connection() as connection, connection.cursor() as cursor:
        found["encoding"] = connection.info.parameter_status("client_encoding") or ""
        query = "SELECT id, bucket, data, %s::text, %s::int, true, ARRAY[id, 'x'], ARRAY[1], %s::bytea FROM attributes"
        cursor.execute(query, ["x", 1, b"x"])
        found["lent"] = repr(cursor.fetchall())
    return json.dumps(found).replace(actor_id, "ACTOR")


def fresh_answers(backend: Backend, pg: PgConnection) -> str:
    pg.execute("DELETE FROM actors")
    pg.execute("DELETE FROM attributes")
    actor_id = new_id()
    assert backend.DbActor.DbActor().create(actor_id, "creator@example.com", "secret")
    return _without_times(answers(backend, actor_id))


def _without_times(text: str) -> str:
    return re.sub(r"datetime\([^()]*|20\d\d-[-0-9T:.+]*", "TIME", text)


def test_the_layers_adapters_are_psycopgs_defaults(backend: Backend) -> None:
    """Except the JSON functions, which psycopg lets every application replace."""

    def named(adapters: AdaptersMap) -> dict[Any, str]:
        loaders = {(oid, form): kind for form, known in enumerate(adapters._loaders) for oid, kind in known.items()}
        # psycopg puts a class in the place of its name when it first needs it.
        dumpers = {
            (kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}", form): made
            for form, known in adapters._dumpers.items()
            for kind, made in known.items()
        }
        by_oid = {
            (oid, form, 0): made for form, known in enumerate(adapters._dumpers_by_oid) for oid, made in known.items()
        }
        found: dict[Any, type] = {**loaders, **dumpers, **by_oid}
        return {key: kind.__name__.removeprefix("Custom") for key, kind in found.items()}

    assert named(ADAPTERS) == named(psycopg.adapters)
    assert {(info.name, info.oid, info.array_oid) for info in ADAPTERS.types} == {
        (info.name, info.oid, info.array_oid) for info in psycopg.adapters.types
    }


@pytest.mark.parametrize("late", [False, True], ids=["before the pool exists", "after it is in use"])
def test_psycopgs_process_wide_settings_change_no_answer(
    backend: Backend, pg: PgConnection, spoil: Callable[[], None], late: bool
) -> None:
    expected = fresh_answers(backend, pg)
    if not late:
        close_pool()
    spoil()
    assert fresh_answers(backend, pg) == expected


def test_the_tools_connections_do_not_change_either(backend: Backend, spoil: Callable[[], None]) -> None:
    spoil()
    with Target(Settings.from_environment().postgresql).connect() as connection:
        query = "SELECT 'a'::text, 1, true, '[1.5]'::jsonb, %s::text, %s::jsonb, ARRAY['x', NULL]::text[]"
        row = connection.execute(query, ["b", psycopg.types.json.Jsonb([1])]).fetchone()
        assert row == ("a", 1, True, [1.5], "b", [1], ["x", None])
        assert type(row[3][0]) is float


_PROGRAM = """
import functools, json
from decimal import Decimal
import psycopg
from psycopg.pq import Format
from psycopg.types.json import set_json_loads
class Wrong(psycopg.adapt.Loader):
    def load(self, data):
        return "wrong"
class WrongBinary(Wrong):
    format = Format.BINARY
for name in ("text", "int4", "int8", "bool", "timestamptz", "jsonb"):
    psycopg.adapters.register_loader(name, Wrong)
    psycopg.adapters.register_loader(name, WrongBinary)
set_json_loads(functools.partial(json.loads, parse_float=Decimal))
psycopg.Connection.row_factory = psycopg.Connection.cursor_factory = None
from actingweb.db import load_backend
attribute = load_backend("postgresql").DbAttribute.DbAttribute()
attribute.set_attr("a", "b", "early", [1.5, "x"])
print(repr(attribute.get_attr("a", "b", "early")), attribute.conditional_update_attr("a", "b", "early", [1.5, "x"], 2))
from actingweb.db.postgresql.migrate import upgrade
upgrade()
print("upgraded")
"""


def test_settings_made_before_the_layer_is_imported_count_as_little(backend: Backend) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=PATIENCE, env=os.environ
    )
    assert done.stdout == "{'data': [1.5, 'x'], 'timestamp': None} True\nupgraded\n", done.stderr


SESSION = {
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kolkata",
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "search_path": "",
    "row_security": "off",
    "xmlbinary": "hex",
    "plan_cache_mode": "force_generic_plan",
    "application_name": "x",
    "default_transaction_isolation": "repeatable read",
    "default_transaction_deferrable": "on",
    "quote_all_identifiers": "on",
    "synchronous_commit": "off",
    "lc_numeric": "C",
}


@pytest.mark.parametrize("where", ["role", "environment", "url"])
def test_settings_of_the_session_change_no_answer(
    backend: Backend, pg: PgConnection, set_env: SetEnv, where: str
) -> None:
    expected = fresh_answers(backend, pg)
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in SESSION.items())
    if where == "environment":
        set_env(PGOPTIONS=options, PGTZ="Asia/Kolkata", PGDATESTYLE="Postgres, DMY", PGCLIENTENCODING="LATIN1")
        assert fresh_answers(backend, pg) == expected
    elif where == "url":
        set_env(PG_DB_URL=conninfo_of(pg, options=options, client_encoding="LATIN1"))
        assert fresh_answers(backend, pg) == expected
    else:
        name = new_id("odd ")
        user = sql.Identifier(name)
        pg.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' SUPERUSER").format(user))
        try:
            for setting, value in SESSION.items():
                change = sql.SQL("ALTER ROLE {} SET {} = {}")
                pg.execute(change.format(user, sql.Identifier(setting), sql.Literal(value)))
            set_env(PG_DB_URL=conninfo_of(pg, user=name, password="x"))
            assert fresh_answers(backend, pg) == expected
        finally:
            close_pool()
            pg.execute(sql.SQL("DROP ROLE {}").format(user))
