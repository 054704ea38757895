"""The framework in a virtual environment of its own, with this tree's wheel beside it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.supply.wheel import build_wheel

FRAMEWORK = "actingweb[fastapi,postgresql]==3.15.1"
_FRAMEWORK_ALONE = "actingweb==3.15.1"
_DIRECTORY = f"beside-framework-3.15.1-python{sys.version_info.major}.{sys.version_info.minor}"
FRAMEWORK_STORAGE = "actingweb"
OWN_STORAGE = "actingweb_db/lib/actingweb"
"""Where in site-packages the two distributions have their `db`."""
_PIP_SECONDS = 600
_ORIGINS = (
    "import actingweb, actingweb.interface, actingweb.db; print(actingweb.__file__, actingweb.db.__file__, sep='\\n')"
)


class InstallationError(RuntimeError):
    """Something cannot be installed, or what was installed is not what Python imports."""


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
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
        if result.returncode != 0:
            reason = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()[-1]
            raise InstallationError(f"pip {' '.join(arguments)}: {reason}")


@contextmanager
def framework_environment() -> Iterator[Environment]:
    """Yield an environment with the framework and this tree's wheel; one run at a time has it.

    It is kept in `$ACTINGWEB_CACHE`, else `~/.cache/actingweb`, where each run installs this tree's wheel anew. Raise
    `InstallationError` if something cannot be installed.
    """
    cache = Path(os.environ.get("ACTINGWEB_CACHE") or Path.home() / ".cache" / "actingweb")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{_DIRECTORY}.lock").open("w") as lock, tempfile.TemporaryDirectory() as dist:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = Environment(cache / _DIRECTORY, build_wheel(Path(dist)))
        ready = environment.directory / "ready"
        if not ready.exists():
            venv.create(environment.directory, clear=True, with_pip=True)
            environment._pip("install", "--retries=2", "--timeout=15", FRAMEWORK)
            ready.touch()
        environment.reinstall_framework()
        environment.install_wheel()
        yield environment
