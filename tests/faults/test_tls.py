"""TLS: the right server is accepted, and no other (issue 5, item 6)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from actingweb.db import get_actor
from actingweb.db.exceptions import DbConnectionError
from actingweb.db.postgresql.connection import get_connection
from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.registry import Backend
from actingweb.embedded import postgres
from actingweb.embedded.postgres import PostgresServer
from tests.conftest import SetEnv

from .certificates import HOW_TO_GET_IT, Authority, find_openssl
from .private_postgres import connect, use, wait_until

HOST, ADDRESS = "localhost", "127.0.0.1"
WITHOUT_TLS = "no PostgreSQL with TLS is installed: apt-get install postgresql, or your system's package of that name"


class ServerOf(PostgresServer):
    """A server of certain binaries."""

    def __init__(self, binaries: Path) -> None:
        super().__init__(fsync=False)
        self._chosen = binaries

    def _prepare(self) -> None:
        self._binaries = self._chosen
        self._create_cluster()

    def can_tls(self) -> bool:
        """Tell whether it was built with TLS."""
        with connect(self) as admin:
            return admin.execute("SELECT current_setting('ssl_library', true) <> ''").fetchone() == (True,)

    def show(self, certificate: Path, key: Path) -> None:
        """Have TLS, with this certificate."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self.directory / "data" / name
            shutil.copyfile(source, target)
            target.chmod(0o600)
            postgres._hand_over(target, self._account)
        self.have_tls(True)

    def have_tls(self, on: bool) -> None:
        """Have TLS or not."""
        with connect(self) as admin:
            before = admin.execute("SELECT pg_conf_load_time()").fetchone()
            admin.execute(b"ALTER SYSTEM SET ssl = on" if on else b"ALTER SYSTEM SET ssl = off")
            admin.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self._loaded() != before)

    def _loaded(self) -> object:
        with connect(self) as admin:
            return admin.execute("SELECT pg_conf_load_time()").fetchone()


@pytest.fixture(scope="module")
def server() -> Iterator[ServerOf]:
    """Start a server that can have TLS."""
    for binaries in [*postgres._system_directories()]:
        with ServerOf(binaries) as running:
            if running.can_tls():
                yield running
                return
    pytest.skip(WITHOUT_TLS)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make the authority that clients trust."""
    return authority(tmp_path_factory, "right")


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make another one."""
    return authority(tmp_path_factory, "wrong")


def authority(directories: pytest.TempPathFactory, name: str) -> Authority:
    if find_openssl() is None:
        pytest.skip(HOW_TO_GET_IT)
    return Authority(directories.mktemp("certificates"), name)


@pytest.fixture
def own(server: ServerOf, right: Authority, set_env: SetEnv) -> Backend:
    """Use that server, which shows the right certificate, and trust the right authority."""
    server.show(*right.issue(HOST))
    return use(server, set_env, PG_DB_HOST=HOST, PG_DB_SSLMODE="verify-full", PG_DB_SSLROOTCERT=str(right.certificate))


def read(backend: Backend) -> object:
    return get_actor(backend).get("a")


def refused(backend: Backend) -> None:
    """Check that the server is refused, by the application and by Alembic."""
    with pytest.raises(DbConnectionError, match="no connection to the server: TLS failed"):
        read(backend)
    with pytest.raises(Exception, match=r"certificate|SSL"):
        upgrade()


def test_the_right_server_is_accepted(own: Backend) -> None:
    assert read(own) is None
    upgrade()
    with get_connection() as connection:
        used = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert used == (True,)


def test_a_server_of_another_name_is_refused(own: Backend, set_env: SetEnv) -> None:
    set_env(PG_DB_HOST=ADDRESS)
    refused(own)
    set_env(PG_DB_SSLMODE="verify-ca")
    assert read(own) is None


def test_a_server_with_a_certificate_for_another_name_is_refused(
    own: Backend, server: ServerOf, right: Authority, set_env: SetEnv
) -> None:
    server.show(*right.issue(ADDRESS))
    refused(own)
    set_env(PG_DB_HOST=ADDRESS)
    assert read(own) is None


def test_a_server_of_another_authority_is_refused(
    own: Backend, server: ServerOf, wrong: Authority, set_env: SetEnv
) -> None:
    server.show(*wrong.issue(HOST))
    refused(own)
    set_env(PG_DB_SSLROOTCERT=str(wrong.certificate))
    assert read(own) is None


def test_a_server_without_tls_is_refused(own: Backend, server: ServerOf, set_env: SetEnv) -> None:
    server.have_tls(False)
    refused(own)
    set_env(PG_DB_SSLMODE="disable")
    assert read(own) is None


def test_without_the_authoritys_certificate_every_server_is_refused(
    own: Backend, set_env: SetEnv, tmp_path: Path
) -> None:
    set_env(PG_DB_SSLROOTCERT=str(tmp_path / "missing.crt"))
    refused(own)


def test_a_url_says_it_too(own: Backend, server: ServerOf, right: Authority, set_env: SetEnv) -> None:
    facts = server.connection
    url = f"postgresql://{facts.user}:{facts.password}@{{}}:{facts.port}/{facts.dbname}?sslmode=verify-full"
    set_env(PG_DB_SSLMODE="disable", PG_DB_URL=url.format(HOST))
    assert read(own) is None
    set_env(PG_DB_URL=url.format(ADDRESS))
    refused(own)
