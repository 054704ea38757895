"""Where tests keep temporary files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.temporary import room

GIB = 1 << 30


@pytest.mark.parametrize(("available", "free", "enough"), [(8, 4, True), (7, 4, False), (8, 3, False)])
def test_they_are_in_memory_only_if_there_is_room(
    available: int, free: int, enough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text(f"MemTotal:  1 kB\nMemAvailable:  {available * GIB // 1024} kB\n")
    usage = shutil.disk_usage(tmp_path)._replace(free=free * GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert room(tmp_path, memory) is enough


def test_a_system_that_does_not_tell_has_no_room(tmp_path: Path) -> None:
    assert not room(tmp_path, tmp_path / "absent")
    assert not room(tmp_path / "absent")
