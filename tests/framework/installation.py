"""The framework in a virtual environment of its own, with this tree's wheel beside it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.environments import InstallationError, cached_environment, pip
from tests.supply.wheel import build_wheel

__all__ = ["Environment", "framework_environment"]

FRAMEWORK = "actingweb[fastapi,postgresql]==3.15.1"
_FRAMEWORK_ALONE = "actingweb==3.15.1"
_NAME = "beside-framework-3.15.1"
FRAMEWORK_STORAGE = "actingweb"
OWN_STORAGE = "actingweb_db/lib/actingweb"
"""Where in site-packages the two distributions have their `db`."""
_ORIGINS = (
    "import actingweb, actingweb.interface, actingweb.db; print(actingweb.__file__, actingweb.db.__file__, sep='\\n')"
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the framework's release and this tree's wheel."""

    directory: Path
    wheel: Path

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.directory / "bin" / "python"

    @property
    def alembic_ini(self) -> Path:
        """The configuration of Alembic of the storage layer that is installed: the wheel's, else the framework's."""
        layers = (OWN_STORAGE, FRAMEWORK_STORAGE)
        found = (self._site_packages / layer / "db" / "postgresql" / "alembic.ini" for layer in layers)
        return next(path for path in found if path.exists())

    def install_wheel(self) -> None:
        """Install this tree's wheel with what it needs, also if it is there already. Raise `InstallationError`."""
        self._pip("install", f"{self.wheel}[postgresql]")
        self._pip("install", "--force-reinstall", "--no-deps", str(self.wheel))

    def reinstall_framework(self) -> None:
        """Install the framework's release again, over what is there. Raise `InstallationError`."""
        self._pip("install", "--force-reinstall", "--no-deps", _FRAMEWORK_ALONE)

    def uninstall_wheel(self) -> None:
        """Remove this tree's wheel. Raise `InstallationError`."""
        self._pip("uninstall", "--yes", "actingweb-db")

    def expect_storage(self, package: str) -> None:
        """Raise `InstallationError` unless `actingweb` is the framework's and `actingweb.db` comes from `package`."""
        answer = subprocess.run(
            [self.python, "-c", _ORIGINS], cwd="/", capture_output=True, text=True, timeout=60, check=False
        )
        expected = [
            self._site_packages / "actingweb" / "__init__.py",
            self._site_packages / package / "db" / "__init__.py",
        ]
        found = answer.stdout.split()
        if found != list(map(str, expected)):
            raise InstallationError(f"Python imports {found or answer.stderr}, expected {expected}")

    @property
    def _site_packages(self) -> Path:
        (found,) = self.directory.glob("lib/python*/site-packages")
        return found

    def check(self) -> None:
        """Raise `InstallationError` if pip finds a requirement that is not met."""
        self._pip("check")

    def _pip(self, *arguments: str) -> None:
        pip(self.python, *arguments)


@contextmanager
def framework_environment() -> Iterator[Environment]:
    """Yield an environment with the framework and this tree's wheel; one run at a time has it.

    It is kept in a cache, where each run installs this tree's wheel anew. Raise `InstallationError` if something cannot
    be installed.
    """
    with cached_environment(_NAME, FRAMEWORK) as python, tempfile.TemporaryDirectory() as dist:
        environment = Environment(python.parents[1], build_wheel(Path(dist)))
        environment.reinstall_framework()
        environment.install_wheel()
        yield environment
