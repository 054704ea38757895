"""One run of a command: its errors, its exit code, its summary."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from actingweb.migration.cli.display import Display, print_error, print_json, print_rows, restore_terminal, set_up_log
from actingweb.migration.cli.results import Outcome
from actingweb.migration.errors import ExitCode, MigrationError, is_full

__all__ = ["run"]

_HELD = "run it again to continue, or with --abort; requests may be held back until then"
_CONTINUE = {
    "export": "continue it with --resume",
    "validate": "run it again",
    **dict.fromkeys(("share", "cutover", "rollback"), _HELD),
}
"""What to do about a command that was stopped, where that is not to run it again."""


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, which stops a command as Ctrl-C does."""


def run(
    command: str, action: Callable[[Display], Outcome], as_json: bool, log_level: str, *, lines: bool = True
) -> NoReturn:
    """Run `action`, print its summary, or one line with its error, and exit with its exit code.

    Without a terminal, print a line now and then; without `lines`, the action prints its own.
    """
    set_up_log(log_level)
    for number in _STOPPING:
        signal.signal(number, _interrupt)
    started = time.monotonic()
    failure, outcome = "", None
    try:
        with Display(command, lines=lines).shown() as display:
            outcome = action(display)
        code = outcome.exit_code
    except MigrationError as error:
        failure, code = str(error), error.exit_code
    except OSError as error:
        failure, code = _told(command, error), ExitCode.TARGET
    except _TerminatedError:
        failure, code = _stopped("terminated", command), ExitCode.TERMINATED
    except KeyboardInterrupt:
        failure, code = _stopped("interrupted", command), ExitCode.INTERRUPTED
    _report(command, outcome, failure, code, time.monotonic() - started, as_json)
    raise typer.Exit(code)


def _told(command: str, error: OSError) -> str:
    text = f"{error.filename or command}: {error.strerror or error}"
    return _stopped(text, command, "make room, then ") if is_full(error) else text


def _stopped(what: str, command: str, before: str = "") -> str:
    """Return what happened, and how to go on with the command."""
    advice = _CONTINUE.get(command, "run it again to continue")
    return f"{what}: {before}{advice}" if advice else what


def _interrupt(number: int, _frame: object) -> None:
    """Stop in an orderly way, which may have to wait for the server; a second signal stops at once.

    That leaves what a crash leaves, and the next run continues from there.
    """
    for one in _STOPPING:
        signal.signal(one, _end)
    raise _STOPPING[number]


def _end(number: int, _frame: object) -> None:
    restore_terminal()
    os._exit(128 + number)


_STOPPING: dict[int, type[KeyboardInterrupt]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: _TerminatedError}


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
        print_error(failure)


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {"tables": outcome.rows, **outcome.facts, "warnings": list(outcome.warnings)}


def _lines(outcome: Outcome) -> list[str]:
    return [*outcome.notes, *(f"WARNING: {warning}" for warning in outcome.warnings)]
