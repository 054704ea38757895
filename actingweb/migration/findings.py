"""The findings of checks, and the exit code that follows from them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from actingweb.migration.errors import ExitCode

__all__ = ["Finding", "Level", "clock", "exit_code", "good", "stopper", "unchecked", "warning"]


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    STOPS = "stops you"


@dataclass(frozen=True)
class Finding:
    """One line of the report, without secrets and stored values.

    Attributes:
        side: settings, packages, dynamodb or postgresql.
        check: the name of the check.
        text: what was found.
        advice: what the user can do about it; may be empty.
    """

    side: str
    check: str
    level: Level
    text: str
    advice: str = ""

    def asdict(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        return asdict(self)


def good(side: str, check: str, text: str) -> Finding:
    """Return a finding that requires no action."""
    return Finding(side, check, Level.OK, text)


def warning(side: str, check: str, text: str, advice: str) -> Finding:
    """Return a finding about something that works, but not as it should."""
    return Finding(side, check, Level.WARNING, text, advice)


def stopper(side: str, check: str, text: str, advice: str = "") -> Finding:
    """Return a finding about something that makes calls fail or do the wrong thing."""
    return Finding(side, check, Level.STOPS, text, advice)


def unchecked(side: str, check: str, reason: str) -> Finding:
    """Return the finding of a check that could not be run."""
    return Finding(side, check, Level.WARNING, f"could not check: {reason}")


def clock(side: str, began: float, ended: float, sent: float | None) -> Finding:
    """Return the finding about a server's clock.

    `sent` is when it sent a response, in whole epoch seconds by its clock, to a request that `began` and `ended` at
    these moments by this machine's; None if it does not tell.
    """
    if sent is None:
        return unchecked(side, "clock", "the responses have no date")
    difference = max(began - sent - 1, sent - ended, 0.0)
    text = f"differs by {difference:.0f} s from this machine's"
    if difference > _CLOCK_SECONDS:
        return warning(side, "clock", text, "synchronise this machine's by NTP: signatures are valid for five minutes")
    return good(side, "clock", text)


_CLOCK_SECONDS = 5.0
_CODES = {"dynamodb": ExitCode.SOURCE, "postgresql": ExitCode.TARGET}


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """Return the lowest exit code among the findings that stop the user."""
    codes = [_CODES.get(found.side, ExitCode.USAGE) for found in findings if found.level is Level.STOPS]
    return min(codes, default=ExitCode.OK)
