"""Virtual environments with packages of the registry, kept in a cache."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["InstallationError", "cached_environment", "pip"]

_PIP_SECONDS = 600


class InstallationError(RuntimeError):
    """Something cannot be installed, or what was installed is not what Python imports."""


@contextmanager
def cached_environment(name: str, requirement: str) -> Iterator[Path]:
    """Yield the Python of an environment with a requirement, which is made if it is not there; one process has it.

    It is kept in `$ACTINGWEB_CACHE`, else `~/.cache/actingweb`. Raise `InstallationError`.
    """
    cache = Path(os.environ.get("ACTINGWEB_CACHE") or Path.home() / ".cache" / "actingweb")
    cache.mkdir(parents=True, exist_ok=True)
    directory = cache / f"{name}-python{sys.version_info.major}.{sys.version_info.minor}"
    python = directory / "bin" / "python"
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "ready").exists():
            try:
                venv.create(directory, clear=True, with_pip=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise InstallationError(f"no environment can be made for {requirement}: {error}") from None
            pip(python, "install", "--retries=2", "--timeout=15", requirement)
            (directory / "ready").touch()
        yield python


def pip(python: Path, *arguments: str) -> None:
    """Run an environment's pip. Raise `InstallationError` if it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()[-1]
        raise InstallationError(f"pip {' '.join(arguments)}: {reason}")
