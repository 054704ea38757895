"""The whole way on the real servers, there and back, while every process is killed at random.

`LIVE=long` goes there and back several times.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from actingweb.migration.cli.live import Session
from actingweb.migration.cli.options import PostgresFlags
from actingweb.migration.errors import ExitCode
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.forked import Program
from tests.live.application import Application, Signals, load_backends
from tests.live.running import Tool, status_of
from tests.live.sides import Sides
from tests.support import PATIENCE, wait_until

LONG = os.environ.get("LIVE") == "long"
ROUNDS = 4 if LONG else 1
LONGEST_RUN = 3.0
ATTEMPTS, PAUSE = 60, 0.5
WRITES = 30 if LONG else 10

_EXPIRE = "DELETE FROM {state}.leases WHERE holder LIKE '%%' || %(pid)s || '%%'"


class Crew:
    """Two `sync` processes, one of which is killed now and then and replaced."""

    def __init__(self, sides: Sides, tool: Tool, chance: random.Random) -> None:
        self._sides = sides
        self._tool = tool
        self._chance = chance
        self.kills = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Work while the block runs."""
        stop = threading.Event()
        processes = [self._start(), self._start()]
        thread = threading.Thread(target=self._replace, args=(processes, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            for process in processes:
                self._kill(process)

    def _start(self) -> Program:
        return self._tool.start("sync", "--workers", "1")

    def _replace(self, processes: list[Program], stop: threading.Event) -> None:
        # The first soon, however fast the machine is.
        pause = 0.5
        while not stop.wait(pause):
            number = self._chance.randrange(len(processes))
            self._kill(processes[number])
            processes[number] = self._start()
            self.kills += 1
            pause = self._chance.uniform(0.5, 2 * LONGEST_RUN)

    def _kill(self, process: Program) -> None:
        """Kill a process, and let the time pass that its leases would last."""
        with process:
            process.kill()
        with closing(self._sides.state.connect()) as connection:
            connection.execute(self._sides.state.sql(_EXPIRE), {"pid": f" {process.pid} "})


def insist(tool: Tool, chance: random.Random, *arguments: str) -> int:
    """Run a command until it succeeds, and kill it at random at first; return how often it was killed."""
    kills, longest, errors = 0, LONGEST_RUN, ""
    for _ in range(ATTEMPTS):
        with tool.start(*arguments) as program:
            try:
                program.communicate(chance.uniform(0, longest))
            except TimeoutError:
                program.kill()
                kills += 1
            _, errors = program.communicate(PATIENCE)
        if program.returncode == 0:
            return kills
        if program.returncode == -signal.SIGKILL:
            # It needs longer than that in the end.
            longest *= 1.3
        else:
            # The gate is closed for a while, as `sync` is killed too.
            assert program.returncode == ExitCode.USAGE, errors
            time.sleep(PAUSE)
    raise AssertionError(errors)


def test_there_and_back(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    set_env(**sides.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    tool, application = Tool(dict(os.environ)), Application(load_backends())
    application.begin()
    signals, crew = Signals(tmp_path, application), Crew(sides, tool, chance)
    commands = "--fence-command", signals.fence, "--flip-command", signals.flip

    def writes() -> None:
        wanted = application.writes + WRITES
        wait_until(lambda: application.writes >= wanted)

    kills = 0
    with application.running(), signals.obeyed():
        kills += insist(tool, chance, "prepare", "--enable-streams", "--segments", "2")
        with crew.at_work():
            for number in range(ROUNDS):
                writes()
                if number % 2:
                    kills += insist(tool, chance, "share", "100%", *commands)
                    writes()
                kills += insist(tool, chance, "cutover", *commands)
                assert application.side == "postgresql"
                writes()
                kills += insist(tool, chance, "rollback", *commands)
                assert application.side == "dynamodb"
            writes()
            application.hold()
            wait_until(lambda: status_of(sides).gate(0).is_open)
            result = Session(PostgresFlags()).comparison().run()
            assert (result.left, result.unsettled, result.found.rejected) == (0, 0, 0), result.found.first
        lost = {
            name: [ledger.lost(backend) for ledger in application.ledgers]
            for name, backend in application.backends.items()
        }
    assert lost == {name: [[] for _ in application.ledgers] for name in lost}
    assert crew.kills
    assert kills
    assert sides.stored() == sides.expected()
    assert sides.select("SELECT * FROM {state}.conflicts") == []
