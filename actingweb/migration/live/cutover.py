"""The switch from one side to the other, in either direction, with nothing lost.

Each step can fail or be interrupted, and the command can be run again: it goes on. Until the owners change, the side
that counted before still counts, and `abort` lets it go on.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from actingweb.migration.errors import MigrationError, UsageError
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.ownership import EVERYTHING
from actingweb.migration.live.share import Moved, Progress, Share
from actingweb.migration.live.state import FLIPPED, ROLLED_BACK, SYNCING, State, StateError
from actingweb.migration.live.status import MAX_DIRTY, Status, read_status
from actingweb.migration.target.connection import Connection, target_errors

__all__ = ["Cutover", "CutoverError", "Options", "Result", "run_command"]

_ALL, _NOTHING = Decimal(100), Decimal(0)
_POLL_SECONDS = 0.2
_SAY_SECONDS = 5.0


class CutoverError(MigrationError):
    """The switch was not made; the side that counted before still counts."""


@dataclass(frozen=True)
class Options:
    """How to switch.

    Attributes:
        back: from PostgreSQL to DynamoDB instead of the other way.
        fence: stops the writes of the application, and returns when none is under way any more.
        open_fence: lets the application write again, after an abort.
        flip: starts the application on the other side.
        compare: compares both sides and returns the number of differences.
        max_dirty: how many changes may be waiting when the writes are stopped.
        timeout: for how many seconds changes are waited for while writes are stopped.
    """

    back: bool
    fence: Callable[[], None]
    open_fence: Callable[[], None]
    flip: Callable[[], None]
    compare: Callable[[], int]
    max_dirty: int = MAX_DIRTY
    timeout: float = 600.0


@dataclass(frozen=True)
class Result:
    """The switch was made.

    Attributes:
        pause: for how many seconds writes were stopped, until the owners had changed.
        steps: how many seconds each step took, by its name.
    """

    pause: float
    steps: dict[str, float]


@dataclass
class Cutover:
    """One switch. Its methods raise `CutoverError`, `StateError`, `SourceError` and `TargetError`.

    Attributes:
        say: is called with a line for each step.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    options: Options
    by: str
    say: Callable[[str], None]
    steps: dict[str, float] = field(default_factory=dict, init=False)

    def run(self) -> Result:
        """Make the switch: check the gate, stop the writes, wait for what was written, compare, change the owners.

        If the side owns all actors already, as after a share of 100%, writes go on, and both sides are compared.
        """
        with self._step("check"):
            owns_all = self._check(self._status())
        if owns_all:
            pause = 0.0
            with self._step("compare"):
                self._compare()
            with self.connect() as connection, target_errors():
                self.state.set_phase(connection, self._phase, self.by)
        else:
            pause = self._change_owners()
        self.say(f"{self._side} owns all actors; writes were stopped for {pause:.1f} s")
        with self._step("flip"):
            self.options.flip()
        self._audit("cutover", {"back": self.options.back, "pause": round(pause, 3), **self.steps})
        return Result(pause, dict(self.steps))

    def _change_owners(self) -> float:
        """Change the owners; return for how many seconds writes were stopped."""
        with closing(self._share()) as share:
            share.begin(_NOTHING if self.options.back else _ALL)
            with self._step("fence"):
                self.options.fence()
                share.fence()
            began = time.monotonic()
            with self._step("drain"):
                self._wait(share, move=False)
            with self._step("compare"):
                self._compare()
            with self._step("change owners"):
                self._wait(share, move=True)
            return time.monotonic() - began

    def abort(self) -> None:
        """Give a switch up that was not completed: the owners stay as they are, and the fence is opened."""
        with closing(self._share()) as share:
            share.abort()
        self.options.open_fence()
        self._audit("cutover aborted", {"back": self.options.back})

    @property
    def _side(self) -> str:
        """The side that takes over."""
        return "DynamoDB" if self.options.back else "PostgreSQL"

    @property
    def _phase(self) -> str:
        """The phase that begins with the switch."""
        return ROLLED_BACK if self.options.back else FLIPPED

    def _share(self) -> Share:
        phases = (FLIPPED, SYNCING) if self.options.back else (SYNCING, ROLLED_BACK)
        return Share(self.state, self.requests, self.connect, self.by, phases, self._phase)

    def _status(self) -> Status:
        with self.connect() as connection, target_errors():
            return read_status(self.state, connection)

    def _check(self, status: Status) -> bool:
        """Raise an error unless the switch can be made now; tell whether the side owns all actors already."""
        if status.migration.phase == self._phase:
            raise StateError(f"{self._side} owns all actors already")
        gate = status.gate(self.options.max_dirty, moving=True)
        if not gate.is_open:
            raise CutoverError(gate.line)
        self.say(gate.line)
        return status.migration.boundary == (0 if self.options.back else EVERYTHING)

    def _wait(self, share: Share, *, move: bool) -> None:
        """Wait until nothing is under way any more, and then change the owners if `move` is given."""
        deadline, said = time.monotonic() + self.options.timeout, 0.0
        while True:
            found = share.step(move=move)
            if isinstance(found, Moved) or (found.done and not move):
                return
            if time.monotonic() > deadline:
                raise CutoverError(f"{_waiting(found)} after {self.options.timeout:.0f} s: run it again, or --abort")
            if time.monotonic() - said > _SAY_SECONDS:
                self.say(_waiting(found))
                said = time.monotonic()
            time.sleep(_POLL_SECONDS)

    def _compare(self) -> None:
        differences = self.options.compare()
        if differences:
            raise CutoverError(
                f"{differences:,} differences: run `migrate validate --source dynamodb --repair`, or --abort"
            )

    def _audit(self, event: str, details: dict[str, object]) -> None:
        with self.connect() as connection, target_errors():
            self.state.audit(connection, self.by, event, details)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.say(f"{name} ...")
        began = time.monotonic()
        yield
        self.steps[name] = round(time.monotonic() - began, 3)


def _waiting(progress: Progress) -> str:
    if progress.shards:
        return f"{progress.shards} shards of streams are not read to their end"
    if progress.transactions:
        return "a transaction is running that began before the writes were stopped"
    return f"{progress.rows + progress.claims:,} changes are waiting"


def run_command(command: str, what: str, text: str = "") -> None:
    """Run a command of the operator in a shell, with `text` as its input. Raise `UsageError` if it fails."""
    code = subprocess.run(command, shell=True, check=False, input=text.encode()).returncode
    if code:
        raise UsageError(f"the command that {what} ended with exit code {code}")
