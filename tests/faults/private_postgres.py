"""PostgreSQL servers that a test may kill, fill up or replace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg

from actingweb.db.postgresql.connection import get_pool
from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.registry import Backend, load_backend
from actingweb.embedded.postgres import PostgresConnection, PostgresServer
from actingweb.embedded.process import EmbeddedServerError, run_as
from tests.conftest import SetEnv
from tests.support import wait_until as wait_until

PgConnection = psycopg.Connection[tuple[Any, ...]]


def use(server: PostgresServer, set_env: SetEnv, **settings: str | None) -> Backend:
    """Make a server the one of the settings, with its schema at the latest revision; return the backend."""
    set_env(DATABASE_BACKEND="postgresql", **{**server.connection.environment(), **settings})
    upgrade()
    set_env()
    return load_backend("postgresql")


def connect(server: PostgresServer) -> PgConnection:
    """Return a new autocommit connection of the superuser."""
    options = "-c statement_timeout=0 -c lock_timeout=10s"
    return psycopg.connect(_conninfo(server.connection), autocommit=True, application_name="tests", options=options)


def fill_pool(count: int) -> list[int]:
    """Let the pool have so many idle connections; return the process ids of their sessions."""
    pool = get_pool()
    held = [pool.getconn() for _ in range(count)]
    for connection in held:
        pool.putconn(connection)
    return [connection.info.backend_pid for connection in held]


def _conninfo(facts: PostgresConnection) -> str:
    return psycopg.conninfo.make_conninfo(
        host=facts.host, port=facts.port, user=facts.user, password=facts.password, dbname=facts.dbname
    )


class Standby(PostgresServer):
    """A server that follows another one, from the moment when it is started.

    `port` is where it reaches the other one, if not at its own port.
    """

    def __init__(self, primary: PostgresServer, port: int | None = None) -> None:
        super().__init__(password=primary.connection.password, fsync=False)
        self._primary = replace(primary.connection, port=port or primary.connection.port)

    def promote(self) -> None:
        """Make it a primary; return when it takes writes."""
        with connect(self) as connection:
            assert connection.execute("SELECT pg_promote(true, 30)").fetchone() == (True,)

    def _create_cluster(self) -> None:
        facts = self._primary
        command = [
            *(str(self._binaries / "pg_basebackup"), "-D", str(self.directory / "data")),
            *("-d", _conninfo(facts), "-R", "-X", "stream", "-c", "fast", "--no-sync"),
        ]
        result = run_as(self._account, command, self.directory)
        if result.returncode != 0:
            raise EmbeddedServerError(f"pg_basebackup failed: {result.stderr.strip()}")


class MountError(EmbeddedServerError):
    """No file system can be mounted here."""


class ServerOnSmallDisk(PostgresServer):
    """A server whose data are on a file system of their own, of so many megabytes."""

    def __init__(self, megabytes: int, settings: Mapping[str, str]) -> None:
        super().__init__(settings=settings)
        self._megabytes = megabytes
        self._mounted = False

    def fill_disk(self) -> None:
        """Leave no room."""
        step = b"x" * 65536
        try:
            with self._ballast.open("ab", buffering=0) as ballast:
                while ballast.write(step):
                    pass
        except OSError:
            return

    def make_room(self) -> None:
        """Give the room back that `fill_disk` took."""
        self._ballast.unlink()

    def stop(self) -> None:
        """See `EmbeddedServer.stop`; the file system goes too."""
        if self._process is not None:
            self._process.stop()
        if self._mounted:
            subprocess.run(["umount", str(self.directory / "data")], check=True)
            self._mounted = False
        super().stop()

    def _prepare(self) -> None:
        data = self.directory / "data"
        data.mkdir()
        account = self._account
        uid, gid = (os.geteuid(), os.getegid()) if account is None else (account.uid, account.gid)
        options = f"size={self._megabytes}m,mode=0700,uid={uid},gid={gid}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(data)]
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise MountError(str(error)) from error
        if told.returncode != 0:
            raise MountError(told.stderr.strip())
        self._mounted = True
        self._ballast = data / "ballast"
        super()._prepare()
