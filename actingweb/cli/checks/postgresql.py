"""Checks of PostgreSQL, on one connection that is opened as the application's are."""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actingweb.cli.checks.postgresql_schema import SCHEMA_CHECKS
from actingweb.cli.checks.postgresql_server import SERVER_CHECKS, Inspection
from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.adapters import ADAPTERS
from actingweb.db.postgresql.conninfo import pool_string
from actingweb.db.postgresql.errors import connect_fault, fault_of
from actingweb.db.postgresql.pooled_connection import PooledConnection
from actingweb.db.settings import PostgresSettings
from actingweb.migration.findings import Finding, good, stopper, unchecked, warning

__all__ = ["findings"]

_SIDE = "postgresql"


def findings(settings: PostgresSettings) -> Iterator[Finding]:
    """Yield findings about server and schema or, if there is no connection, the reason."""
    try:
        conninfo = pool_string(settings, fresh=True)
    except ConfigurationError as error:
        yield stopper("settings", "PostgreSQL", str(error))
        return
    except psycopg.Error as error:
        yield stopper(_SIDE, "connection", connect_fault(error).reason)
        return
    try:
        connection = _connected(conninfo)
    except psycopg.Error as error:
        yield from _refusal(conninfo, error)
        return
    with closing(connection):
        connection.set_up(settings.timeout)
        yield good(_SIDE, "connection", _place(connection, conninfo))
        yield from _answers(Inspection(connection, settings))


def _connected(conninfo: str) -> PooledConnection:
    return PooledConnection.connect(conninfo, autocommit=True, prepare_threshold=None, context=ADAPTERS)


def _answers(inspection: Inspection) -> Iterator[Finding]:
    for name, check in (*SERVER_CHECKS.items(), *SCHEMA_CHECKS.items()):
        try:
            yield from check(inspection)
        except psycopg.Error as error:
            if inspection.connection.closed:
                yield stopper(_SIDE, name, fault_of(error).reason)
                return
            yield unchecked(_SIDE, name, fault_of(error).reason)


def _place(connection: PooledConnection, conninfo: str) -> str:
    info = connection.info
    place = info.host if info.host.startswith("/") else f"{info.host}:{info.port}"
    text = f'as "{info.user}" to database "{info.dbname}" at {place}'
    if info.hostaddr and info.hostaddr != info.host:
        text += f" ({info.hostaddr})"
    hosts = _hosts(conninfo)
    return text if len(hosts) < 2 else f"{text}, one of the hosts {', '.join(hosts)}"


def _hosts(conninfo: str) -> list[str]:
    parameters: dict[str, Any] = conninfo_to_dict(conninfo)
    named = str(parameters.get("hostaddr") or parameters.get("host") or "")
    return [host for host in named.split(",") if host]


def _refusal(conninfo: str, error: psycopg.Error) -> Iterator[Finding]:
    hosts = _hosts(conninfo)
    for host in (host for host in hosts if not _is_known(host)):
        advice = "check PG_DB_HOST or the URL, and the name resolution"
        kind = stopper if len(hosts) == 1 else warning
        yield kind(_SIDE, "name", f"the host name {host} cannot be resolved", advice)
    if len(hosts) > 1 and _is_any_reached(conninfo):
        yield stopper(
            _SIDE,
            "connection",
            f"none of the hosts {', '.join(hosts)} accepts writes: those that respond are standbys or read-only",
            "promote one, or name the host that accepts writes in PG_DB_HOST",
        )
    else:
        yield stopper(_SIDE, "connection", connect_fault(error).reason)


def _is_any_reached(conninfo: str) -> bool:
    try:
        _connected(make_conninfo(conninfo, target_session_attrs="any")).close()
    except psycopg.Error:
        return False
    return True


def _is_known(host: str) -> bool:
    if host.startswith(("/", "@")):
        return True
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True
