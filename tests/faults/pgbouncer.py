"""A private PgBouncer in transaction mode, of the system's own package."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg

from actingweb.embedded import postgres
from actingweb.embedded.process import EmbeddedServerError, ServerProcess
from actingweb.embedded.server import EmbeddedServer

HOW_TO_GET_IT = "PgBouncer is not installed: apt-get install pgbouncer, or your system's package of that name"
_PREPARES_FROM = (1, 21)
_ADMINISTRATION = "pgbouncer"


def find_pgbouncer() -> str | None:
    """Return the path of PgBouncer's program, None if it is not installed."""
    return shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


class PgBouncer(EmbeddedServer):
    """A pooler on 127.0.0.1 in front of the server that the settings name, for any of its databases.

    All clients share `sessions` sessions of the server, each for the time of a transaction. Statements that clients
    prepare are mixed up, as PgBouncer before release 1.21 always does.
    """

    def __init__(self, program: str, target: Mapping[str, str], sessions: int) -> None:
        super().__init__()
        self._program = program
        self._target = target
        self._sessions = sessions
        self._account = postgres._server_account()

    def settings(self, **changes: str) -> dict[str, str]:
        """Return the settings of `actingweb.db` that lead through the pooler, but for `changes`."""
        names = ("PG_DB_USER", "PG_DB_PASSWORD", "PG_DB_NAME")
        parts = {name: self._target[name] for name in names}
        return {**parts, "PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(self._port), **changes}

    def connect(self, database: str | None = None) -> psycopg.Connection[tuple[object, ...]]:
        """Return a new autocommit connection through the pooler, without prepared statements."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self._port,
            user=self._target["PG_DB_USER"],
            password=self._target["PG_DB_PASSWORD"],
            dbname=database or self._target["PG_DB_NAME"],
            autocommit=True,
            prepare_threshold=None,
        )

    def transactions(self) -> int:
        """Return how many transactions went through the pooler to the server's databases."""
        # Its administration understands the simple protocol only.
        with self.connect(_ADMINISTRATION) as connection:
            found = connection.pgconn.exec_(b"SHOW STATS_TOTALS")
        columns = [(found.fname(number) or b"").decode() for number in range(found.nfields)]
        at, name_at = columns.index("xact_count"), columns.index("database")
        rows = range(found.ntuples)
        return sum(
            int(found.get_value(row, at) or 0)
            for row in rows
            if found.get_value(row, name_at) != _ADMINISTRATION.encode()
        )

    def _make_directory(self) -> Path:
        directory = Path(tempfile.mkdtemp(prefix="aw-pgbouncer-"))
        postgres._hand_over(directory, self._account)
        return directory

    def _prepare(self) -> None:
        user, password = (self._target[name].replace('"', '""') for name in ("PG_DB_USER", "PG_DB_PASSWORD"))
        self._write("users", f'"{user}" "{password}"\n')

    def _make_process(self) -> ServerProcess:
        host, port = self._target["PG_DB_HOST"], self._target.get("PG_DB_PORT", "5432")
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self._port,
            "unix_socket_dir": "",
            "pool_mode": "transaction",
            "default_pool_size": self._sessions,
            "max_client_conn": 200,
            "auth_type": "scram-sha-256",
            "auth_file": self.directory / "users",
            "admin_users": self._target["PG_DB_USER"],
            **({"max_prepared_statements": 0} if _version(self._program) >= _PREPARES_FROM else {}),
        }
        lines = ["[databases]", f"* = host={host} port={port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        self._write("pgbouncer.ini", "\n".join(lines) + "\n")
        return ServerProcess(
            [self._program, str(self.directory / "pgbouncer.ini")],
            port=self._port,
            directory=self.directory,
            log=self.directory / "server.log",
            stop_signal=signal.SIGTERM,
            account=self._account,
        )

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.touch(0o600)
        path.write_text(text)
        postgres._hand_over(path, self._account)

    def _remove_leftovers(self) -> None:
        """Nothing is left behind: there is neither a socket nor a file with the process id."""

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def _version(program: str) -> tuple[int, int]:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", told)
    if found is None:
        raise EmbeddedServerError(f"{program} does not tell its version")
    return int(found[1]), int(found[2])
