"""One run of a command: its faults, its exit code, its summary."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import typer

from actingweb.migration.display import (
    Display,
    Rows,
    complain,
    print_json,
    print_rows,
    restore_terminal,
    set_up_log,
)
from actingweb.migration.errors import ExitCode, MigrationError

__all__ = ["Outcome", "run"]

_INTERRUPTED = {"export": "interrupted: go on with --resume", "validate": "interrupted"}


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        rows: for the table that people read.
        facts: the rest of what the machine-readable summary says.
        notes: for people, below the table.
        warnings: what the user has to know, in the machine-readable summary too.
    """

    exit_code: ExitCode
    rows: Rows
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def run(command: str, action: Callable[[Display], Outcome], as_json: bool, log_level: str) -> NoReturn:
    """Do `action` and leave the process with its exit code, having printed the summary or one line with the fault."""
    set_up_log(log_level)
    signal.signal(signal.SIGINT, _interrupt)
    started = time.monotonic()
    failure, outcome = "", None
    try:
        with Display().shown() as display:
            outcome = action(display)
        code = outcome.exit_code
    except MigrationError as error:
        failure, code = str(error), error.exit_code
    except OSError as error:
        failure, code = f"{error.filename or command}: {error.strerror or error}", ExitCode.TARGET
    except KeyboardInterrupt:
        failure, code = _INTERRUPTED.get(command, "interrupted: run it again to go on"), ExitCode.INTERRUPTED
    _report(command, outcome, failure, code, time.monotonic() - started, as_json)
    raise typer.Exit(code)


def _interrupt(_signal: int, _frame: object) -> None:
    """End in an orderly way, which may have to wait for the server; at once if it is asked for again.

    Whatever is left behind then is what a crash leaves, and the next run goes on from it.
    """
    signal.signal(signal.SIGINT, _end)
    raise KeyboardInterrupt


def _end(_signal: int, _frame: object) -> None:
    restore_terminal()
    os._exit(ExitCode.INTERRUPTED)


def _report(command: str, outcome: Outcome | None, failure: str, code: ExitCode, seconds: float, as_json: bool) -> None:
    if as_json:
        summary: dict[str, Any] = {"command": command, "exit_code": int(code), "seconds": round(seconds, 3)}
        summary |= {"error": failure} if outcome is None else _facts(outcome)
        print_json(summary)
    elif outcome is not None:
        print_rows(f"{command}: {seconds:.1f} s", outcome.rows)
    for line in _lines(outcome) if outcome is not None and not as_json else ():
        print(line)
    if failure:
        complain(failure)


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {"tables": outcome.rows, **outcome.facts, "warnings": list(outcome.warnings)}


def _lines(outcome: Outcome) -> list[str]:
    return [*outcome.notes, *(f"WARNING: {warning}" for warning in outcome.warnings)]
