"""Exports that are killed at lines of their code, drawn from a seed, and go on until one ends.

`python -m tests.migration.killed DIRECTORY SEED` prints how many were killed; the settings name the tables.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from pathlib import Path

from actingweb.migration.jobs import export
from actingweb.migration.source import manifest
from tests.countdown import Countdown
from tests.migration.deployment import SmallPages

_WATCHED = {export.__file__, manifest.__file__}
_LINES = 400


def _export(directory: Path, lines: int) -> None:
    export._CHECKPOINT_SECONDS = 0.0
    source = SmallPages(None, None, os.environ["AWS_DB_HOST"], None, 3)
    sys.settrace(Countdown(_WATCHED, lines))
    export.export_tables(source, directory, resume=True)


def _is_killed(directory: Path, lines: int) -> bool:
    """Tell whether an export, in a process of its own, is killed and not done before."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL)
        return code != 0
    try:
        _export(directory, lines)
    except BaseException:  # noqa: BLE001 - it ends this process
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(directory: str, seed: str) -> None:
    """Export to a directory."""
    chance = random.Random(seed)
    kills = 0
    while _is_killed(Path(directory), chance.randrange(1, _LINES)):
        kills += 1
    print(kills)


if __name__ == "__main__":
    main(*sys.argv[1:])
