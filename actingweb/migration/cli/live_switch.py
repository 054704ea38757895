"""The commands that change owners, `share`, `cutover` and `rollback`, and the comparison of both sides."""

import sys
import time
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from actingweb.migration.cli.live import Session, say
from actingweb.migration.cli.live_display import table_rows
from actingweb.migration.cli.results import Outcome
from actingweb.migration.cli.switch_page import page_of
from actingweb.migration.errors import ExitCode, MigrationError, UsageError
from actingweb.migration.live.cutover import SHARES, Cutover, CutoverError, Options, run_command, side_after, wait_for
from actingweb.migration.live.ownership import boundary_of, percent_of
from actingweb.migration.live.share import Share
from actingweb.migration.live.state import ROLLED_BACK, SYNCING
from actingweb.migration.live.status import Status
from actingweb.migration.live.tables import SourceTables
from actingweb.migration.live.way_back import open_way_back
from actingweb.migration.report_html import require_html, write_page
from actingweb.migration.target.connection import target_errors

__all__ = [
    "Commands",
    "Switching",
    "abort_share",
    "abort_switch",
    "move_share",
    "nginx_split",
    "open_triggers",
    "percent",
    "switch",
]

_REJECT_SECONDS = 10.0
_SCAN_SECONDS = 30.0
_POLL_SECONDS = 0.2

_NOT_CONFIRMED = "nobody confirms that writes are stopped: name a --fence-command, or add --fenced once they are"


@dataclass(frozen=True)
class Commands:
    """What stops and starts the application; None lets the operator do it.

    Attributes:
        fence: a shell command that stops the writes and returns when none is under way.
        open_fence: a shell command that lets the application write again, after an abort.
        flip: a shell command that starts the application on the other side.
        fenced: whether the operator says beforehand that writes are stopped.
    """

    fence: str | None
    open_fence: str | None
    flip: str | None
    fenced: bool

    def stop_writes(self, what: str, split: str = "") -> None:
        """Stop writes, or let the operator do it; a command gets the split. Raise `UsageError` if nobody does."""
        if self.fence is not None:
            run_command(self.fence, "stops writes", split)
        elif not self.fenced:
            _ask(f"{what}, then press Enter: ")

    def start_again(self) -> None:
        """Let the application write again."""
        if self.open_fence is not None:
            run_command(self.open_fence, "lets the application write again")
        else:
            say("let the application write again, with the settings that it had")

    def start(self, what: str, split: str = "") -> None:
        """Start the application on the other side."""
        if self.flip is not None:
            run_command(self.flip, "starts the application", split)
        else:
            say(what)


def percent(text: str) -> Decimal:
    """Return the percentage that the operator wrote. Raise `UsageError`."""
    try:
        number = Decimal(text.strip().removesuffix("%"))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise UsageError(f"a share is a percentage such as 10%, not {text!r}")
    return number


def move_share(session: Session, wanted: Decimal, commands: Commands, timeout: float) -> Outcome:
    """Move actors until PostgreSQL has this share of them. If it has, only tell the load balancer."""
    status, boundary = session.status(), boundary_of(wanted)
    is_there = status.migration.boundary == boundary and status.migration.moving_to is None
    pause = 0.0 if is_there else _move(session, status, wanted, commands, timeout)
    split = nginx_split(wanted, wanted)
    say(split)
    commands.start("let the load balancer split the requests as above", split)
    notes = (f"PostgreSQL owns {wanted:g}% of the actors; the moving ones paused for {pause:.1f} s",)
    return Outcome(ExitCode.OK, table_rows(session.status()), {"share": float(wanted), "pause": pause}, notes)


def _move(session: Session, status: Status, wanted: Decimal, commands: Commands, timeout: float) -> float:
    """Move actors; return for how many seconds their requests were held back."""
    if not status.processes:
        raise CutoverError("no `migrate sync` is running, so that nothing would ever arrive")
    if not status.has_triggers:
        open_triggers(session)
    with closing(_share(session)) as share:
        _require_no_rejects(share, wanted)
        ownership = share.begin(wanted)
        split = nginx_split(percent_of(ownership.boundary), wanted)
        say(split)
        commands.stop_writes("let the load balancer hold the requests of the moving actors back, as above", split)
        share.fence()
        moved = wait_for(share, timeout, say)
    return 0.0 if moved is None else moved.pause


def _require_no_rejects(share: Share, wanted: Decimal) -> None:
    """Raise `CutoverError` before any request is held back for a row that would not arrive.

    A new row can be rejected for a moment, because its actor arrives after it.
    """
    deadline = time.monotonic() + _REJECT_SECONDS
    while rejects := share.rejects(wanted):
        if time.monotonic() > deadline:
            raise CutoverError(
                f"{rejects:,} rows of the actors that are to move were rejected: `migrate rejects` shows them; "
                "correct them, or accept them by `migrate accept`"
            )
        time.sleep(_POLL_SECONDS)


def _share(session: Session) -> Share:
    phases = SYNCING, ROLLED_BACK
    return Share(session.state, session.requests(), session.state.connect, session.by, phases, SYNCING)


def abort_share(session: Session, commands: Commands) -> Outcome:
    """End a move without moving anybody."""
    with closing(_share(session)) as share:
        share.abort()
    commands.start_again()
    return Outcome(ExitCode.OK, [], {}, ("the share is as it was",))


def nginx_split(before: Decimal, after: Decimal) -> str:
    """Return how nginx splits the requests while actors move from one share to another, or for a share.

    `$actingweb_side` is where the requests of `$actingweb_actor` go, and `$actingweb_system_side` those that are about
    system-wide rows: `postgresql`, `dynamodb`, or `held` while they change sides.
    """
    lower, upper = sorted((before, after))
    held = upper - lower
    if held and boundary_of(lower) + boundary_of(held) < boundary_of(upper):
        # nginx rounds each part down: hold rather too many back than one too few.
        held += Decimal("0.01")
    parts = [(lower, "postgresql"), (held, "held"), (100 - upper, "dynamodb")]
    present = [(percent, side) for percent, side in parts if percent]
    lines = [f"    {percent:.2f}% {side};" for percent, side in present[:-1]]
    # The rest is a star, as parts of 100% in all leave the highest hashes out.
    blocks = ["split_clients $actingweb_actor $actingweb_side {", *lines, f"    * {present[-1][1]};", "}"]
    system = "postgresql" if lower == 100 else "held" if held and upper == 100 else "dynamodb"
    return "\n".join([*blocks, f"map $host $actingweb_system_side {{ default {system}; }}", ""])


def open_triggers(session: Session) -> None:
    """Create what the way back needs, if it is not there yet, and wait until `sync` has scanned new tables."""
    had_scanned = _has_scanned(session)
    with closing(session.state.connect()) as connection, target_errors():
        migration = session.state.read(connection)
        tables = SourceTables(session.requests(), str(migration.prefix))
        use_lookup_table = session.settings.use_property_lookup_table
        open_way_back(session.state, connection, tables, use_lookup_table, say)
    deadline = time.monotonic() + _SCAN_SECONDS
    while had_scanned and not _has_scanned(session) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _has_scanned(session: Session) -> bool:
    return all(table.scanned for table in session.status().tables if table.present)


@dataclass(frozen=True)
class Switching:
    """How to switch, see `Options`; a `quick` switch does not compare."""

    quick: bool
    max_dirty: int
    timeout: float
    quiet_seconds: float | None = None


def switch(session: Session, commands: Commands, how: Switching, report: Path | None, *, back: bool) -> Outcome:
    """Cut over to the other side or, with `back`, roll back to the one that the migration comes from.

    Write a page about it, also if that fails, if `report` names one.
    """
    require_html(report)
    migration = session.status().migration
    side = side_after(migration, back=back)
    before, after = percent_of(migration.boundary), SHARES[side]
    start = f"start the application with DATABASE_BACKEND={side} now"
    options = Options(
        back=back,
        open_way_back=lambda: open_triggers(session),
        fence=lambda: commands.stop_writes("stop the application", nginx_split(before, after)),
        open_fence=commands.start_again,
        flip=lambda: commands.start(start, nginx_split(after, after)),
        compare=None if how.quick else session.comparisons(),
        max_dirty=how.max_dirty,
        quiet_seconds=how.quiet_seconds,
        timeout=how.timeout,
    )
    cutover = _cutover(session, options)
    try:
        result = cutover.run()
    except MigrationError as error:
        _write_page(session, report, cutover, failure=str(error))
        raise
    notes = [f"writes were stopped for {result.pause:.1f} s"] if result.steps else []
    _write_page(session, report, cutover, verdict="; ".join(["made", *notes]))
    notes += [] if report is None else [f"the page to hand on is {report}"]
    facts = {"pause": result.pause, "steps": result.steps}
    return Outcome(ExitCode.OK, table_rows(session.status()), facts, tuple(notes))


def _write_page(session: Session, report: Path | None, cutover: Cutover, failure: str = "", verdict: str = "") -> None:
    if report is not None:
        status, rejects, back = session.status(), session.rejects(), cutover.options.back
        write_page(report, page_of(status, rejects, cutover.steps, back=back, failure=failure, verdict=verdict))


def abort_switch(session: Session, commands: Commands, *, back: bool) -> Outcome:
    """Give up a switch that was not completed."""
    options = Options(back, _nothing, _nothing, commands.start_again, _nothing, None)
    _cutover(session, options).abort()
    return Outcome(ExitCode.OK, [], {}, ("the owners are as they were",))


def _cutover(session: Session, options: Options) -> Cutover:
    return Cutover(session.state, session.requests(), session.state.connect, options, session.by, say)


def _ask(question: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(_NOT_CONFIRMED)
    print(question, end="", file=sys.stderr, flush=True)
    sys.stdin.readline()


def _nothing() -> None:
    return
