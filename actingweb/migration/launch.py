"""The entry points of the command line tool. What takes time to load is loaded behind them."""

import os
import sys
from functools import partial

__all__ = ["PASSWORD_VARIABLE", "main", "password", "script"]

PASSWORD_VARIABLE = "ACTINGWEB_MIGRATE_PG_PASSWORD"
"""Carries the value of `--pg-password` from the process that was started to the one that it becomes.

Its text begins with the id of that process: what is left over of another one is of no use here.
"""

password: str | None = None
"""The value of `--pg-password`, if that was taken from the arguments."""

_OPTION = "--pg-password"
_FAILED = 7
"""The exit code if the output cannot be written."""
_EXTRA = 'The migration tool needs the extra `postgresql`: pip install "actingweb-db[postgresql]"'


def main() -> None:
    """Run the console command `actingweb-db`."""
    _start("main")


def script() -> None:
    """Run the commands of `actingweb-db migrate` by themselves."""
    _start("migrate")


def _start(application: str) -> None:
    global password
    password = _carried()
    _hide_password()
    from actingweb.db.program import run

    run(partial(_run, application), _FAILED)


def _run(application: str) -> None:
    try:
        if application == "main":
            from actingweb.cli.app import main as command
        else:
            from actingweb.migration.cli import migrate as command
        command()
    except ModuleNotFoundError as error:
        sys.exit(_missing(error))


def _missing(error: ModuleNotFoundError) -> int:
    print(f"ERROR: {_EXTRA} (there is no module {error.name})", file=sys.stderr)
    return 2


def _hide_password() -> None:
    """Start this process again without `--pg-password` in its arguments, which every user of the machine can list."""
    arguments, given = _without_password(sys.orig_argv[1:])
    # Windows shows no user the arguments of another, and cannot replace a process.
    if given is None or os.name != "posix":
        return
    carrying = os.environ | {PASSWORD_VARIABLE: f"{os.getpid()}:{given}"}
    os.execve(sys.executable, [sys.executable, *arguments], carrying)


def _carried() -> str | None:
    """Take the password out of the environment, which other programs get too."""
    process, _, carried = os.environ.pop(PASSWORD_VARIABLE, "").partition(":")
    return carried if process == str(os.getpid()) else None


def _without_password(arguments: list[str]) -> tuple[list[str], str | None]:
    """Return the arguments without the option, and its last value."""
    kept: list[str] = []
    password = None
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            return [*kept, argument, *rest], password
        name, equals, value = argument.partition("=")
        if name != _OPTION:
            kept.append(argument)
        elif equals:
            password = value
        else:
            password = next(rest, None)
    return kept, password
