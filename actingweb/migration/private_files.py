"""Files and directories that only their owner may read."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["flush_directory", "open_private", "private_descriptor"]


def open_private(path: Path) -> BinaryIO:
    """Open an empty file for writing. From its first byte on, only its owner may read it."""
    return os.fdopen(private_descriptor(path, os.O_WRONLY | os.O_TRUNC), "wb")


def private_descriptor(path: Path, flags: int) -> int:
    """Open a file, created if absent, so that only its owner may read it from then on."""
    descriptor = os.open(path, flags | os.O_CREAT, 0o600)
    # An existing file may have been readable by others; a pipe or a terminal keeps its mode.
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor


def flush_directory(directory: Path) -> None:
    """Write the names in a directory to disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
