"""What the tool prints: progress and log to stderr, the result to stdout."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

__all__ = ["Display", "Rows", "print_error", "print_json", "print_rows", "restore_terminal", "set_up_log"]

Rows = list[Mapping[str, Any]]
"""The rows of a table. All have the same keys, which are the headings."""

_stderr = Console(stderr=True)


class _RowsColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f" of {task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{total} rows", style="progress.download")


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s", style="progress.data.speed")


class Display:
    """A progress line, on a terminal only."""

    def __init__(self) -> None:
        self._expected: dict[str, int] = {}
        self._reached: dict[str, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _RowsColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=_stderr,
            disable=not _stderr.is_terminal,
        )

    @contextmanager
    def shown(self) -> Iterator["Display"]:
        """Show the line during the `with` block, once rows are reported, and leave it on the screen."""
        try:
            yield self
        finally:
            if self._progress.tasks:
                self._progress.stop()

    def expect(self, rows: Mapping[str, int]) -> None:
        """Set the approximate numbers of rows of the tables for which they are known."""
        self._expected |= rows

    def reached(self, table: str, rows: int) -> None:
        """Report how many rows of a table are done."""
        if self._progress.disable:
            return
        if not self._progress.tasks:
            self._progress.start()
            self._progress.add_task(table)
        self._reached[table] = rows
        total = self._total()
        self._progress.update(TaskID(0), description=table, completed=sum(self._reached.values()), total=total)

    def _total(self) -> int | None:
        total = 0
        for table in self._expected | self._reached:
            expected = self._expected.get(table)
            if expected is None:
                return None
            # The numbers are approximate and may be too low.
            total += max(expected, self._reached.get(table, 0))
        return total


def set_up_log(level: str) -> None:
    """Send this library's log to stderr. The drivers' log, which contains requests and their content, is dropped."""
    handler: logging.Handler = RichHandler(console=_stderr, show_path=False, markup=False, highlighter=None)
    if not _stderr.is_terminal:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("actingweb")
    logger.addHandler(handler)
    logger.setLevel(level)


def restore_terminal() -> None:
    """Show the cursor, which the progress line hides."""
    _stderr.show_cursor()


def print_error(message: str) -> None:
    """Print an error to stderr."""
    print(f"ERROR: {message}", file=sys.stderr)


def print_json(summary: Mapping[str, Any]) -> None:
    """Print the machine-readable summary to stdout."""
    print(json.dumps(summary, default=str))


def print_rows(title: str, rows: Rows) -> None:
    """Print a table to stdout."""
    table = Table(title=title, title_justify="left")
    for heading in rows[0] if rows else ():
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    Console(soft_wrap=True).print(table)
