"""The framework in a virtual environment of its own, with this tree's `actingweb.db` in place of the one it brings."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import actingweb.db

FRAMEWORK = "actingweb[fastapi,postgresql]==3.15.1"
_DIRECTORY = f"framework-3.15.1-python{sys.version_info.major}.{sys.version_info.minor}"
_PIP_SECONDS = 600
_STORAGE = Path(actingweb.db.__file__).parent


class InstallationError(RuntimeError):
    """The framework cannot be installed."""


@contextmanager
def framework_python() -> Iterator[Path]:
    """Yield the Python of an environment with the framework on this tree's storage; one run at a time has it.

    The environment is kept in `$ACTINGWEB_CACHE`, else `~/.cache/actingweb`. Raise `InstallationError` if it is not
    there and cannot be made.
    """
    cache = Path(os.environ.get("ACTINGWEB_CACHE") or Path.home() / ".cache" / "actingweb")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{_DIRECTORY}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = cache / _DIRECTORY
        if not (directory / "ready").exists():
            _install(directory)
        _replace_storage(directory)
        yield directory / "bin" / "python"


def _install(directory: Path) -> None:
    venv.create(directory, clear=True, with_pip=True)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    result = subprocess.run(
        [*pip, "--retries=2", "--timeout=15", FRAMEWORK],
        capture_output=True,
        text=True,
        timeout=_PIP_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise InstallationError(f"the package registry is unreachable or refuses {FRAMEWORK}: {reason}")
    shutil.rmtree(_installed_storage(directory))
    (directory / "ready").touch()


def _replace_storage(directory: Path) -> None:
    target = _installed_storage(directory)
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(_STORAGE, target, ignore=shutil.ignore_patterns("__pycache__"))


def _installed_storage(directory: Path) -> Path:
    (site_packages,) = (directory / "lib").glob("python*/site-packages")
    return site_packages / "actingweb" / "db"
