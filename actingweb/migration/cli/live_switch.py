"""The commands that change owners: `share`, `cutover` and `rollback`."""

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
from actingweb.migration.live.cutover import Cutover, Options, run_command
from actingweb.migration.live.ownership import boundary_of, percent_of
from actingweb.migration.live.share import Moved, Share
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

_ALL, _NOTHING = Decimal(100), Decimal(0)
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
        return Decimal(text.strip().removesuffix("%"))
    except InvalidOperation:
        raise UsageError(f"a share is a percentage such as 10%, not {text}") from None


def move_share(session: Session, wanted: Decimal, commands: Commands, timeout: float) -> Outcome:
    """Move actors until PostgreSQL has this share of them."""
    open_triggers(session)
    share = Share(session.state, session.requests(), session.state.connect, session.by)
    try:
        ownership = share.begin(wanted)
        before = percent_of(ownership.boundary)
        split = nginx_split(before, wanted)
        say(split)
        commands.stop_writes("let the load balancer hold the requests of the moving actors back, as above", split)
        share.fence()
        moved = _moved(share, timeout)
    finally:
        share.close()
    split = nginx_split(moved.percent, moved.percent)
    say(split)
    commands.start("let the load balancer split the requests as above", split)
    notes = (f"PostgreSQL owns {moved.percent:g}% of the actors; the moving ones paused for {moved.pause:.1f} s",)
    status = session.status()
    return Outcome(ExitCode.OK, table_rows(status), {"share": float(moved.percent), "pause": moved.pause}, notes)


def abort_share(session: Session, commands: Commands) -> Outcome:
    """End a move without moving anybody."""
    share = Share(session.state, session.requests(), session.state.connect, session.by)
    try:
        share.abort()
    finally:
        share.close()
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
    """Create what the way back needs, if it is not there yet."""
    with closing(session.state.connect()) as connection, target_errors():
        migration = session.state.read(connection)
        tables = SourceTables(session.requests(), str(migration.prefix))
        use_lookup_table = session.settings.use_property_lookup_table
        open_way_back(session.state, connection, tables, use_lookup_table, say)


@dataclass(frozen=True)
class Switching:
    """How to switch, see `Options`; a `quick` switch does not compare."""

    quick: bool
    max_dirty: int
    timeout: float


def switch(session: Session, commands: Commands, how: Switching, report: Path | None, *, back: bool) -> Outcome:
    """Cut over to PostgreSQL or, with `back`, roll back to DynamoDB; write a page about it, also if that fails."""
    require_html(report)
    if not back:
        open_triggers(session)
    backend, share = ("dynamodb", _NOTHING) if back else ("postgresql", _ALL)
    with closing(session.state.connect()) as connection, target_errors():
        before = percent_of(session.state.read(connection).boundary)
    options = Options(
        back=back,
        fence=lambda: commands.stop_writes("stop the application", nginx_split(before, share)),
        open_fence=commands.start_again,
        flip=lambda: commands.start(
            f"start the application with DATABASE_BACKEND={backend} now", nginx_split(share, share)
        ),
        compare=lambda: 0 if how.quick else session.comparison().run().left,
        max_dirty=how.max_dirty,
        timeout=how.timeout,
    )
    cutover = Cutover(session.state, session.requests(), session.state.connect, options, session.by, say)
    try:
        result = cutover.run()
    except MigrationError as error:
        if report is not None:
            _write_page(session, report, cutover, failure=str(error))
        raise
    note = f"writes were stopped for {result.pause:.1f} s"
    notes = [note] if report is None else [note, f"the page to hand on is {report}"]
    if report is not None:
        _write_page(session, report, cutover, verdict=f"made; {note}")
    return Outcome(
        ExitCode.OK, table_rows(session.status()), {"pause": result.pause, "steps": result.steps}, tuple(notes)
    )


def _write_page(session: Session, report: Path, cutover: Cutover, failure: str = "", verdict: str = "") -> None:
    status, rejects, back = session.status(), session.rejects(), cutover.options.back
    page = page_of(status, rejects, cutover.steps, back=back, failure=failure, verdict=verdict)
    write_page(report, page)


def abort_switch(session: Session, commands: Commands, *, back: bool) -> Outcome:
    """Give up a switch that was not completed."""
    options = Options(back, _nothing, commands.start_again, _nothing, lambda: 0)
    Cutover(session.state, session.requests(), session.state.connect, options, session.by, say).abort()
    return Outcome(ExitCode.OK, [], {}, ("the owners are as they were",))


def _moved(share: Share, timeout: float) -> Moved:
    deadline = time.monotonic() + timeout
    while True:
        found = share.step()
        if isinstance(found, Moved):
            return found
        if time.monotonic() > deadline:
            raise UsageError(f"changes are still waiting after {timeout:.0f} s: run it again, or --abort")
        time.sleep(_POLL_SECONDS)


def _ask(question: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(_NOT_CONFIRMED)
    print(question, end="", file=sys.stderr, flush=True)
    sys.stdin.readline()


def _nothing() -> None:
    return
