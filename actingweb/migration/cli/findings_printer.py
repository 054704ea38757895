"""Prints the findings of checks, for people."""

from rich.console import Console
from rich.text import Text

from actingweb.migration.findings import Finding, Level

__all__ = ["FindingsPrinter"]

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.STOPS: "bold red"}
_TITLES = {"settings": "Settings", "packages": "Packages", "dynamodb": "DynamoDB", "postgresql": "PostgreSQL"}


class FindingsPrinter:
    """Prints findings as lines; in colour on a terminal, unless NO_COLOR is set."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False)
        self._side = ""

    def show(self, found: Finding) -> None:
        """Print a finding; before the first one of a side, print its title."""
        if found.side != self._side:
            before = "\n" if self._side else ""
            self._console.print(Text(f"{before}{_TITLES[found.side]}", style="bold"))
            self._side = found.side
        line = (
            Text("  ").append(f"{found.level:<10}", style=_STYLES[found.level]).append(f"{found.check}: {found.text}")
        )
        if found.advice:
            line.append(f": {found.advice}")
        self._console.print(line)

    def sum_up(self, findings: list[Finding]) -> None:
        """Print the numbers of findings by level."""
        counts = {level: sum(found.level is level for found in findings) for level in Level}
        text = f"{counts[Level.OK]} ok, {counts[Level.WARNING]} with a warning, {counts[Level.STOPS]} that stop you"
        self._console.print(Text(f"\n{text}", style="bold"))
