"""The option `--pg-password`, which is removed from the list of processes."""

import os
import sys

__all__ = ["PASSWORD_VARIABLE", "hide_password", "password"]

PASSWORD_VARIABLE = "ACTINGWEB_MIGRATE_PG_PASSWORD"
"""Carries the password over the restart of the process.

Its text begins with the id of the process; a value left over by another process is ignored.
"""

password: str | None = None
"""The value of `--pg-password`, if `hide_password` removed it from the arguments."""

_OPTION = "--pg-password"


def hide_password() -> None:
    """Restart the process without `--pg-password` in its arguments, which every user of the machine can list.

    The restarted process, which calls this again, finds the value in `password`.
    """
    global password
    password = _carried()
    arguments, given = _without_password(sys.orig_argv[1:])
    # Windows does not show the arguments to other users, and cannot replace a process.
    if given is None or os.name != "posix":
        return
    carrying = os.environ | {PASSWORD_VARIABLE: f"{os.getpid()}:{given}"}
    os.execve(sys.executable, [sys.executable, *arguments], carrying)


def _carried() -> str | None:
    """Take the password out of the environment, which child processes inherit."""
    process, _, carried = os.environ.pop(PASSWORD_VARIABLE, "").partition(":")
    return carried if process == str(os.getpid()) else None


def _without_password(arguments: list[str]) -> tuple[list[str], str | None]:
    """Return the arguments without the option, and the last value of the option."""
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
