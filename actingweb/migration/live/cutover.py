"""The switch from one side to the other, in either direction, with nothing lost.

Everything is compared while the application goes on, and what has changed since while it is stopped: so the pause does
not grow with the data. `changes` tells why no difference is missed.

Each step can fail or be interrupted, and the command can be run again: it goes on. Until the owners change, the side
that counted before still counts, and `abort` lets it go on.
"""

import math
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from actingweb.migration.errors import ExitCode, MigrationError, UsageError
from actingweb.migration.live.changes import Compared
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.ownership import Side, boundary_of, percent_of
from actingweb.migration.live.share import Moved, Progress, Share
from actingweb.migration.live.state import (
    FLIPPED,
    FROM_DYNAMODB,
    ROLLED_BACK,
    SYNCING,
    Migration,
    State,
    StateError,
)
from actingweb.migration.live.status import MAX_DIRTY, Status, read_status
from actingweb.migration.target.connection import Connection, target_errors

__all__ = [
    "SHARES",
    "Comparisons",
    "Cutover",
    "CutoverError",
    "DifferencesError",
    "Options",
    "Result",
    "run_command",
    "side_after",
    "wait_for",
]

SHARES = {Side.POSTGRESQL: Decimal(100), Side.DYNAMODB: Decimal(0)}
"""The share of the actors that PostgreSQL has when a side owns all of them."""

_NAMES = {Side.POSTGRESQL: "PostgreSQL", Side.DYNAMODB: "DynamoDB"}
_POLL_SECONDS = 0.2
_SAY_SECONDS = 5.0
_FEW_ROWS = 1_000
_LOOKED_AT = 10.0
"""For how many seconds a row that changes is looked at while writes go on; it is compared once more afterwards."""

_EVERYTHING = "everything is compared{}, as no comparison of the last 24 hours tells what can differ"
_DIFFERENT = "{:,} rows differ, or may differ: run `migrate validate --source dynamodb --repair` and then this again{}"
# The flip comes last.
_IS_COMPLETED = """
SELECT EXISTS (SELECT FROM {state}.audit WHERE event = %(event)s
               AND id > (SELECT max(id) FROM {state}.audit WHERE event = %(phase)s))
"""


class CutoverError(MigrationError):
    """The switch was not made; the side that counted before still counts."""


class DifferencesError(CutoverError):
    """The sides differ, so the switch was not made."""

    exit_code = ExitCode.DIFFERENCES


@dataclass(frozen=True)
class Comparisons:
    """How to compare both sides.

    Attributes:
        everything: compares all rows.
        changes: compares the rows that changed since they were equal, looking at each for so many seconds; None if that
            is not known.
    """

    everything: Callable[[], Compared]
    changes: Callable[[float], Compared | None]


@dataclass(frozen=True)
class Options:
    """How to switch.

    Attributes:
        back: to the side that the migration comes from, instead of the other.
        open_way_back: creates the triggers, which are not there yet.
        fence: stops the writes of the application, and returns when none is under way any more.
        open_fence: lets the application write again, after an abort.
        flip: starts the application on the other side.
        compare: None to rely on an earlier comparison.
        max_dirty: how many changes may be waiting when the writes are stopped.
        quiet_seconds: see `Share`; it takes a comparison.
        timeout: for how many seconds changes are waited for while writes are stopped.
    """

    back: bool
    open_way_back: Callable[[], None]
    fence: Callable[[], None]
    open_fence: Callable[[], None]
    flip: Callable[[], None]
    compare: Comparisons | None
    max_dirty: int = MAX_DIRTY
    quiet_seconds: float | None = None
    timeout: float = 600.0

    def __post_init__(self) -> None:
        if self.quiet_seconds is not None and self.compare is None:
            raise UsageError(
                "without marker items both sides have to be compared: --quiet-seconds goes without --quick"
            )


@dataclass(frozen=True)
class Result:
    """The switch was made.

    Attributes:
        side: the one that counts now.
        pause: for how many seconds writes were stopped, until the owners had changed.
        steps: how many seconds each step took, by its name; none if all was done before.
    """

    side: Side
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
        """Make the switch: check, compare, stop the writes, drain, compare what has changed, change the owners.

        If the side owns all actors already, as after a share of 100%, writes go on, and both sides are compared. If the
        owners were changed by a run that was interrupted, only the application is started; if all was done, nothing is.
        """
        status = self._status()
        side = side_after(status.migration, back=self.options.back)
        if status.migration.phase == self._phase:
            self.say(f"{_NAMES[side]} owns all actors already")
            if self._is_completed():
                return Result(side, 0.0, {})
            pause = 0.0
        else:
            pause = self._switch(status, side)
            self.say(f"{_NAMES[side]} owns all actors; writes were stopped for {pause:.1f} s")
        with self._step("flip"):
            self.options.flip()
        self._audit(self._event, {"to": side, "pause": round(pause, 3), **self.steps})
        return Result(side, pause, dict(self.steps))

    def abort(self) -> None:
        """Give a switch up that was not completed: the owners stay as they are, and the fence is opened."""
        migration = self._status().migration
        side = side_after(migration, back=self.options.back)
        if migration.phase == self._phase:
            raise StateError(f"{_NAMES[side]} owns all actors already: nothing is left to abort")
        if migration.moving_to not in (None, boundary_of(SHARES[side])):
            raise StateError(f"a move to {percent_of(migration.moving_to)} % is under way: that is not this command's")
        with closing(self._share(side)) as share:
            share.abort()
        self.options.open_fence()
        self._audit(f"{self._event} aborted", {})

    def _switch(self, status: Status, side: Side) -> float:
        """Change the owners; return for how many seconds writes were stopped."""
        with self._step("check"):
            self._check(status)
            if not status.has_triggers:
                self.options.open_way_back()
        is_there = status.migration.boundary == boundary_of(SHARES[side])
        if is_there and self.options.back:
            raise StateError(f"{_NAMES[side]} owns all actors already: there is nothing to roll back")
        if self.options.compare is not None:
            with self._step("compare"):
                self._compare_first(self.options.compare)
        if not is_there:
            return self._change_owners(side)
        with self._step("compare again"):
            self._compare_again()
        with closing(self.connect()) as connection, target_errors():
            self.state.set_phase(connection, self._phase, self.by)
        return 0.0

    def _change_owners(self, side: Side) -> float:
        with closing(self._share(side)) as share:
            share.begin(SHARES[side])
            with self._step("fence"):
                self.options.fence()
                share.fence()
            with self._step("drain"):
                self._wait(share, move=False)
            with self._step("compare again"):
                self._compare_again(" while writes are stopped", ", or --abort")
            with self._step("change owners"):
                return self._wait(share, move=True)

    @property
    def _event(self) -> str:
        return "rollback" if self.options.back else "cutover"

    @property
    def _phase(self) -> str:
        """The phase that begins with the switch."""
        return ROLLED_BACK if self.options.back else FLIPPED

    def _share(self, side: Side) -> Share:
        phases = (FLIPPED, SYNCING) if self.options.back else (SYNCING, ROLLED_BACK)
        quiet_seconds = self.options.quiet_seconds if side is Side.POSTGRESQL else None
        return Share(self.state, self.requests, self.connect, self.by, phases, self._phase, quiet_seconds)

    def _status(self) -> Status:
        with closing(self.connect()) as connection, target_errors():
            return read_status(self.state, connection)

    def _check(self, status: Status) -> None:
        """Raise an error unless the switch can be made now."""
        gate = status.gate(self.options.max_dirty, moving=True)
        if not gate.is_open:
            raise CutoverError(gate.line)
        unequal = [table.name for table in status.tables if table.present and table.compared_differences != 0]
        if self.options.compare is None and unequal:
            raise CutoverError(
                f"no comparison found {', '.join(unequal)} equal: run `migrate validate --source dynamodb` first"
            )
        self.say(gate.line)

    def _is_completed(self) -> bool:
        """Tell whether the application was started too."""
        values = {"event": self._event, "phase": self._phase}
        with closing(self.connect()) as connection, target_errors():
            return connection.execute(self.state.sql(_IS_COMPLETED), values).fetchone() == (True,)

    def _wait(self, share: Share, *, move: bool) -> float:
        moved = wait_for(share, self.options.timeout, self.say, move=move)
        return 0.0 if moved is None else moved.pause

    def _compare_first(self, compare: Comparisons) -> None:
        """Compare while writes go on, until few rows are left that change meanwhile."""
        if self.options.quiet_seconds is not None:
            # A change that is told late is not recorded in time.
            return
        found = compare.changes(_LOOKED_AT)
        if found is None:
            self.say(_EVERYTHING.format(""))
            _require_equal(compare.everything().different)
            found = compare.changes(_LOOKED_AT)
        rows = math.inf
        while found is not None and rows > found.rows:
            _require_equal(found.different)
            self.say(f"{found.rows:,} rows that changed were compared")
            rows = found.rows
            if rows > _FEW_ROWS:
                # Those that are under way are left for the next time.
                found = compare.changes(0)

    def _compare_again(self, when: str = "", otherwise: str = "") -> None:
        """Compare what has changed, or everything if that is not known."""
        compare, timeout = self.options.compare, self.options.timeout
        if compare is None:
            return
        found = compare.changes(timeout) if self.options.quiet_seconds is None else None
        if found is None:
            self.say(_EVERYTHING.format(when))
            found = compare.everything()
        _require_equal(found.different + found.unsettled, otherwise)

    def _audit(self, event: str, details: dict[str, object]) -> None:
        with closing(self.connect()) as connection, target_errors():
            self.state.audit(connection, self.by, event, details)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.say(f"{name} ...")
        began = time.monotonic()
        yield
        self.steps[name] = round(time.monotonic() - began, 3)


def _require_equal(rows: int, otherwise: str = "") -> None:
    if rows:
        raise DifferencesError(_DIFFERENT.format(rows, otherwise))


def side_after(migration: Migration, *, back: bool) -> Side:
    """Return the side that owns all actors after a cutover or, with `back`, a rollback."""
    return Side.POSTGRESQL if (migration.direction == FROM_DYNAMODB) is not back else Side.DYNAMODB


def wait_for(share: Share, timeout: float, say: Callable[[str], None], *, move: bool = True) -> Moved | None:
    """Wait until nothing of the moving actors is under way any more; then move them, if `move` is given.

    `say` is called with a line now and then. Raise `CutoverError` after `timeout` seconds, and what `Share.step` does.
    """
    deadline, said = time.monotonic() + timeout, time.monotonic()
    while True:
        found = share.step(move=move)
        if isinstance(found, Moved):
            return found
        if found.done and not move:
            return None
        if time.monotonic() > deadline:
            raise CutoverError(f"{_waiting(found)} after {timeout:.0f} s: run it again, or --abort")
        if time.monotonic() - said > _SAY_SECONDS:
            say(_waiting(found))
            said = time.monotonic()
        time.sleep(_POLL_SECONDS)


def _waiting(progress: Progress) -> str:
    if progress.shards:
        return f"{progress.shards} shards of streams are not read to their end"
    if progress.transactions:
        return "a transaction is running that began before the writes were stopped"
    rejected = f" ({progress.rejects:,} of them rejected: see `migrate rejects`)" if progress.rejects else ""
    return f"{progress.rows + progress.claims:,} changes are waiting{rejected}"


def run_command(command: str, what: str, text: str = "") -> None:
    """Run a command of the operator in a shell, with `text` as its input. Raise `UsageError` if it fails."""
    code = subprocess.run(command, shell=True, check=False, input=text.encode()).returncode
    if code:
        raise UsageError(f"the command that {what} ended with exit code {code}: run it again")
