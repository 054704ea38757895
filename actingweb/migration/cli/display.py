"""What the tool prints: progress and log to stderr, the result to stdout."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from actingweb.migration.cli.meter import Meter

__all__ = ["Display", "Rows", "print_error", "print_json", "print_rows", "restore_terminal", "set_up_log", "table_of"]

Rows = list[Mapping[str, Any]]
"""The rows of a table. All have the same keys, which are the headings; None is an empty cell."""

LINE_SECONDS = 12.0
"""How often there is a line where there is no terminal; at least every 15 seconds, also on a busy machine."""

_stderr = Console(stderr=True)
_WIDEST = 10_000


class _RowsColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f" of {task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{total} rows", style="progress.download")


class _MeterColumn(ProgressColumn):
    """A text that does not depend on the task."""

    def __init__(self, text: Callable[[], str], style: str) -> None:
        super().__init__()
        self._text = text
        self._style = style

    def render(self, _: Task) -> Text:
        return Text(self._text(), style=self._style)


class Display:
    """A progress line on a terminal; elsewhere a plain line now and then, so that a log shows that work goes on."""

    def __init__(self, command: str, *, lines: bool = True) -> None:
        """Without `lines`, the command prints its own."""
        self._lines = lines
        self._meter = Meter(command)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _RowsColumn(),
            _MeterColumn(self._rate, "progress.data.speed"),
            _MeterColumn(self._remaining, "progress.remaining"),
            console=_stderr,
            disable=not _stderr.is_terminal,
        )
        self.expect = self._meter.expect

    @contextmanager
    def shown(self) -> Iterator["Display"]:
        """Show the line during the `with` block, on a terminal once rows are reported, and leave it on the screen."""
        ended = Event()
        if self._progress.disable and self._lines:
            Thread(target=self._print_lines, args=(ended,), daemon=True).start()
        try:
            yield self
        finally:
            ended.set()
            if self._progress.tasks:
                self._progress.stop()

    def reached(self, table: str, rows: int) -> None:
        """Report how many rows of a table are done; the first report says where this run begins."""
        self._meter.reached(table, rows)
        if self._progress.disable:
            return
        if not self._progress.tasks:
            self._progress.start()
            self._progress.add_task(table)
        done, total = self._meter.done, self._meter.total
        self._progress.update(TaskID(0), description=table, completed=done, total=total)

    def _rate(self) -> str:
        rate = self._meter.rate
        return "" if rate is None else f"{rate:,.0f} rows/s"

    def _remaining(self) -> str:
        rest = self._meter.remaining
        return "" if rest is None else str(timedelta(seconds=round(rest)))

    def _print_lines(self, ended: Event) -> None:
        while not ended.wait(LINE_SECONDS):
            print(self._meter.line(), file=sys.stderr, flush=True)


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
    """Print a table to stdout, with whole lines if that is no terminal."""
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDEST).print(table_of(title, rows))


def table_of(title: str, rows: Rows) -> Table:
    """Return a table with the keys of the rows as headings."""
    table = Table(title=title, title_justify="left")
    for heading in rows[0] if rows else ():
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)
