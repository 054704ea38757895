"""Keeps temporary files in memory if there is room. TMPDIR names another place.

Most of them are the data of servers. On a disk, its file system takes a tenth of the processor time of all tests.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

_GIB = 1 << 30
_IN_MEMORY = Path("/dev/shm")
_MEMORY = Path("/proc/meminfo")


def room(directory: Path = _IN_MEMORY, memory: Path = _MEMORY) -> bool:
    """Tell whether a directory in memory has 4 GiB free, and the machine 8 GiB; a parallel run fills less than 2."""
    if not (memory.exists() and os.access(directory, os.W_OK | os.X_OK)):
        return False
    available = re.search(r"^MemAvailable: +(\d+) kB$", memory.read_text(), re.MULTILINE)
    return (
        available is not None and int(available[1]) << 10 >= 8 * _GIB and shutil.disk_usage(directory).free >= 4 * _GIB
    )


if not os.environ.get("TMPDIR") and room():
    os.environ["TMPDIR"] = str(_IN_MEMORY)
    # pytest, which captures output in a temporary file, has asked before.
    tempfile.tempdir = None
