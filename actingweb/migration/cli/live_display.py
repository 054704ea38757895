"""The status of a live migration as tables and lines for people."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from actingweb.migration.cli.display import Rows, table_of
from actingweb.migration.live.status import Status, TableStatus

__all__ = ["LiveDisplay", "table_rows"]

_LINE_SECONDS = 10.0


def table_rows(status: Status) -> Rows:
    """Return a row for each table, for a summary."""
    return [_row(table) for table in status.tables]


def _row(table: TableStatus) -> dict[str, Any]:
    scan = "absent" if not table.present else "done" if table.scanned else "running"
    return {
        "table": table.name,
        "scan": scan,
        "rows": table.read,
        "of about": "" if table.estimated_rows is None else table.estimated_rows,
        "applied": table.applied,
        "back": table.applied_back,
        "waiting": table.dirty + table.marks,
        "lag": f"{table.lag:.1f} s",
        "rejects": table.rejects + table.rejects_back,
        "compared": "never" if table.compared_at is None else f"{table.compared_differences or 0} differences",
    }


class LiveDisplay:
    """Shows the status on stderr: a table that is refreshed on a terminal, else a line every 10 seconds."""

    def __init__(self, *, plain: bool = False) -> None:
        """`plain` prints lines also on a terminal."""
        console = Console(stderr=True)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal and not plain else None
        self._printed = -_LINE_SECONDS

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, status: Status) -> None:
        """Show a status, unless a line was printed a moment ago."""
        self._print(lambda: _drawn(status), _line(status))

    def show_problem(self, text: str) -> None:
        """Show why there is no status, unless a line was printed a moment ago."""
        self._print(lambda: Text(text, style="red"), text)

    def _print(self, drawn: Callable[[], RenderableType], line: str) -> None:
        if self._live is not None:
            self._live.update(drawn(), refresh=True)
        elif time.monotonic() - self._printed >= _LINE_SECONDS:
            self._printed = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def _line(status: Status) -> str:
    tables = status.tables
    rows = sum(table.read for table in tables)
    waiting = sum(table.dirty + table.marks for table in tables)
    rate = "" if status.rate is None else f", {status.rate:,.0f} a second"
    lag = max((table.lag for table in tables), default=0.0)
    rejects = sum(table.rejects + table.rejects_back for table in tables)
    text = f"{status.migration.phase}: {rows:,} rows scanned ({status.scanned:.0%}){rate}, {waiting:,} changes waiting"
    return f"{text}, lag {lag:.1f} s, {rejects:,} rejects"


def _drawn(status: Status) -> Group:
    gate = status.gate()
    return Group(
        table_of(_line(status), table_rows(status)), Text(gate.line, style="green" if gate.is_open else "yellow")
    )
