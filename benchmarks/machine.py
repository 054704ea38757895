"""The machine that a benchmark ran on."""

import math
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path


def describe_machine() -> dict[str, str]:
    """Return processor, memory, system and Python version of the machine, and today's date."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{memory_mib() / 1024:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"Python {platform.python_version()}",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def note(text: str) -> None:
    """Print progress of the run on stderr."""
    print(f"  {text}", file=sys.stderr, flush=True)


def memory_mib() -> float:
    """Return the memory of the machine, in MiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20


def peak_mib(process: int | str = "self") -> float:
    """Return the peak memory of a process, in MiB. `ru_maxrss` would include that of the parent at the fork."""
    return _number(f"/proc/{process}/status", "VmHWM") / 1024


def resident_mib(process: int) -> float:
    """Return the resident memory of a process, in MiB."""
    return _number(f"/proc/{process}/status", "VmRSS") / 1024


def pin(processors: Iterable[int]) -> None:
    """Run this process, and those that it starts from now on, on these processors only, if any are given."""
    if chosen := set(processors):
        os.sched_setaffinity(0, chosen)


@contextmanager
def huge_pages(mebibytes: float) -> Iterator[bool]:
    """Reserve huge pages for a server with this much shared memory during the block; yield whether that worked.

    This needs root. With pages of 4 KiB, a server that reads GiBs of memory spends much of its time on address
    translation, so PostgreSQL's manual recommends huge pages.
    """
    reserved = Path("/proc/sys/vm/nr_hugepages")
    try:
        before = reserved.read_text()
        # Shared memory also contains other things than pages of tables.
        wanted = math.ceil(mebibytes * 1.05 + 100) * 1024 // _number("/proc/meminfo", "Hugepagesize")
        reserved.write_text(str(int(before) + wanted))
    except OSError:
        yield False
        return
    try:
        yield int(reserved.read_text()) >= int(before) + wanted
    finally:
        reserved.write_text(before)


@contextmanager
def own_processors() -> Iterator[list[int]]:
    """Yield the processors on which the process may run, none where nobody has a say; restore them after the block."""
    before = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    try:
        yield before
    finally:
        pin(before)


def _number(file: str, name: str) -> int:
    return int(_field(file, name).split()[0])


def _processor() -> str:
    with suppress(OSError, StopIteration):
        return _field("/proc/cpuinfo", "model name")
    return platform.machine()


def _field(file: str, name: str) -> str:
    """Return the value of the first line with this name."""
    lines = (line.partition(":") for line in Path(file).read_text().splitlines())
    return next(value.strip() for key, _, value in lines if key.strip() == name)
