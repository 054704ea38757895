"""Checks of the server and of the application's session."""

import ipaddress
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, LiteralString

import psycopg

from actingweb.db.postgresql.pooled_connection import PooledConnection
from actingweb.db.postgresql.schema_state import SchemaState, schema_state
from actingweb.db.settings import PostgresSettings
from actingweb.migration.findings import Finding, good, stopper, warning

__all__ = ["SERVER_CHECKS", "Check", "Inspection"]

_SIDE = "postgresql"
_OLDEST, _NEWEST = 12, 18
_TRIPS = 5
_SLOW = 0.02
_CLOCK_SECONDS = 5.0
_ISOLATION = "read committed"
_LIMITS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)
_SESSION: LiteralString = """
    SELECT name, setting::bigint, source FROM pg_catalog.pg_settings
    WHERE name = ANY (%s) AND setting <> '0' ORDER BY name
"""
_CONNECTIONS: LiteralString = """
    SELECT pg_catalog.current_setting('max_connections')::int, r.rolconnlimit, d.datconnlimit
    FROM pg_catalog.pg_roles AS r CROSS JOIN pg_catalog.pg_database AS d
    WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()
"""


@dataclass
class Inspection:
    """A connection to the server, with the application's settings."""

    connection: PooledConnection
    settings: PostgresSettings

    def row(self, query: LiteralString, *parameters: Any) -> tuple[Any, ...]:
        """Return the first row of a query. Raise `psycopg.Error`."""
        row = self.connection.execute(query, parameters or None).fetchone()
        if row is None:
            raise psycopg.DataError("no row")
        return row

    @cached_property
    def state(self) -> SchemaState:
        """The state of the schema. Raise `psycopg.Error`."""
        return schema_state(self.connection, self.settings.schema)

    @cached_property
    def is_pooled(self) -> bool:
        """Whether there is a pooler between this process and the server. Raise `psycopg.Error`."""
        return self.row("SELECT pg_catalog.pg_backend_pid()") != (self.connection.info.backend_pid,)


Check = Callable[[Inspection], Iterator[Finding]]


def _version(inspection: Inspection) -> Iterator[Finding]:
    number, text = inspection.row("SELECT pg_catalog.current_setting('server_version_num')::int, pg_catalog.version()")
    major, shown = number // 10000, text.partition(" on ")[0].partition(" (")[0]
    if major < _OLDEST:
        yield stopper(_SIDE, "version", shown, f"upgrade the server: PostgreSQL {_OLDEST} to {_NEWEST} are supported")
    elif major > _NEWEST:
        yield warning(_SIDE, "version", shown, f"PostgreSQL {_OLDEST} to {_NEWEST} are tested")
    else:
        yield good(_SIDE, "version", shown)


def _latency(inspection: Inspection) -> Iterator[Finding]:
    seconds = []
    for _ in range(_TRIPS):
        began = time.perf_counter()
        inspection.connection.command(b"SELECT 1")
        seconds.append(time.perf_counter() - began)
    found = median(seconds)
    text = f"{found * 1000:.2f} ms for a round trip, the median of {_TRIPS}"
    if found > _SLOW:
        yield warning(_SIDE, "latency", text, "each operation takes one: run the application closer to the server")
    else:
        yield good(_SIDE, "latency", text)


def _tls(inspection: Inspection) -> Iterator[Finding]:
    if not inspection.connection.pgconn.ssl_in_use:
        if _is_local(inspection.connection):
            yield good(_SIDE, "tls", "off, and the server is on this machine")
        else:
            advice = "set PG_DB_SSLMODE=verify-full, and PG_DB_SSLROOTCERT if the certificate is not a public one"
            yield warning(_SIDE, "tls", "off: passwords and data are readable on the network", advice)
        return
    tls = inspection.row("SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()")
    # Behind a pooler, the server describes the pooler's connection.
    yield good(_SIDE, "tls", "on, to the pooler" if inspection.is_pooled else f"on, {tls[0]}")


def _is_local(connection: PooledConnection) -> bool:
    info = connection.info
    if info.host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(info.hostaddr or info.host).is_loopback
    except ValueError:
        return False


def _pooler(inspection: Inspection) -> Iterator[Finding]:
    setting = inspection.settings.pooler
    if inspection.is_pooled and setting == "off":
        advice = "set PG_POOLER=auto: prepared statements would run other clients' statements"
        yield stopper(_SIDE, "pooler", "there is one, although PG_POOLER is off", advice)
    else:
        yield good(_SIDE, "pooler", f"{'there is one' if inspection.is_pooled else 'none'} (PG_POOLER={setting})")


def _encoding(inspection: Inspection) -> Iterator[Finding]:
    found = inspection.state.facts.encoding
    if found == "UTF8":
        yield good(_SIDE, "encoding", found)
    elif found is not None:
        yield stopper(_SIDE, "encoding", inspection.state.problem)


def _writes(inspection: Inspection) -> Iterator[Finding]:
    standby, read_only = inspection.row(
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on'"
    )
    if standby:
        advice = "name the primary in PG_DB_HOST, or all hosts, separated by commas: one that accepts writes is used"
        yield stopper(_SIDE, "writes", "the server is a standby and accepts none", advice)
    elif read_only:
        advice = "end the maintenance, or ALTER ROLE, DATABASE or SYSTEM ... RESET default_transaction_read_only"
        yield stopper(_SIDE, "writes", "default_transaction_read_only is on, so that all writes fail", advice)
    else:
        yield good(_SIDE, "writes", "the server accepts them")


def _session(inspection: Inspection) -> Iterator[Finding]:
    found = inspection.connection.execute(_SESSION, [list(_LIMITS)]).fetchall()
    limits = ", ".join(f"{name} is {value:,} ms ({source})" for name, value, source in found)
    yield good(_SIDE, "session", limits or "no time limit")
    (isolation,) = inspection.row("SELECT pg_catalog.current_setting('default_transaction_isolation')")
    if isolation != _ISOLATION:
        advice = f"ALTER ROLE ... SET default_transaction_isolation = '{_ISOLATION}' avoids retries"
        yield warning(_SIDE, "session", f"default_transaction_isolation is {isolation}", advice)


def _connections(inspection: Inspection) -> Iterator[Finding]:
    size = inspection.settings.pool_max_size
    server, role, database = inspection.row(_CONNECTIONS)
    least = min(limit for limit in (server, role, database) if limit >= 0)
    text = f"each process opens at most {size} (PG_POOL_MAX_SIZE), the server accepts {least}"
    if inspection.is_pooled or size <= least:
        yield good(_SIDE, "connections", text)
    else:
        advice = "lower PG_POOL_MAX_SIZE, or raise max_connections or the limit of the role or database"
        yield warning(_SIDE, "connections", text, advice)


def _clock(inspection: Inspection) -> Iterator[Finding]:
    began = time.time()
    (server,) = inspection.row("SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8")
    ended = time.time()
    # The server read its clock at some moment between the two.
    difference = max(began - server, server - ended, 0.0)
    text = f"differs by {difference:.1f} s from this machine's"
    if difference > _CLOCK_SECONDS:
        yield warning(_SIDE, "clock", text, "synchronise both by NTP: expiry times are compared with the clock")
    else:
        yield good(_SIDE, "clock", text)


def _engine(inspection: Inspection) -> Iterator[Finding]:
    distributed, setting = inspection.state.facts.distributed, inspection.settings.explicit_transactions
    kind = "distributed, or not plain PostgreSQL" if distributed else "plain PostgreSQL"
    text = f"{kind} (PG_EXPLICIT_TRANSACTIONS={setting})"
    if distributed and setting == "off":
        advice = "set PG_EXPLICIT_TRANSACTIONS=auto: a property could change without its look-up row"
        yield stopper(_SIDE, "engine", text, advice)
    else:
        yield good(_SIDE, "engine", text)


SERVER_CHECKS: dict[str, Check] = {
    "version": _version,
    "latency": _latency,
    "tls": _tls,
    "pooler": _pooler,
    "writes": _writes,
    "session": _session,
    "connections": _connections,
    "clock": _clock,
    "engine": _engine,
    "encoding": _encoding,
}
