"""What `actingweb-db doctor` looks at, and how it prints that."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from actingweb.cli.checks import packages
from actingweb.cli.checks.findings import Finding, Level, exit_code, good, stopper
from actingweb.cli.checks.settings import Sources
from actingweb.db import health
from actingweb.db.exceptions import ConfigurationError
from actingweb.db.registry import BUILT_IN
from actingweb.migration.cli.display import print_json
from actingweb.migration.errors import ExitCode, UsageError

__all__ = ["run"]

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.STOPS: "bold red"}
_TITLES = {"settings": "Settings", "packages": "Packages", "dynamodb": "DynamoDB", "postgresql": "PostgreSQL"}


def run(backend: str | None, *, as_json: bool) -> ExitCode:
    """Look at a backend, at "both", or with None at the one of the settings; print what is found."""
    findings: list[Finding] = []
    printer = _Printer()
    for found in _findings(backend):
        findings.append(found)
        if not as_json:
            # At once, since a server that does not answer takes its time.
            printer.show(found)
    code = exit_code(findings)
    if as_json:
        print_json(
            {"command": "doctor", "exit_code": int(code), "findings": [found.asdict() for found in findings]},
        )
    else:
        printer.sum_up(findings)
    return code


def _findings(backend: str | None) -> Iterator[Finding]:
    try:
        sources = Sources()
    except (ConfigurationError, UsageError) as error:
        yield stopper("settings", "settings", str(error))
        yield from packages.findings(() if backend is None else _sides(backend))
        return
    chosen = sources.settings.database_backend if backend is None else backend
    sides = _sides(chosen)
    yield from sources.findings("both")
    usable = []
    for side in sides:
        found = list(sources.findings(side))
        yield from found
        if all(one.level is not Level.STOPS for one in found):
            usable.append(side)
    found = list(packages.findings(sides))
    yield from found
    broken = {one.check for one in found if one.level is Level.STOPS}
    if not sides:
        yield _third_party(chosen)
    if "dynamodb" in usable and not broken & {"pynamodb", "botocore"}:
        from actingweb.cli.checks import dynamodb

        yield from dynamodb.findings(sources)
    if "postgresql" in usable and not broken & {"psycopg", "psycopg_pool", "libpq"}:
        from actingweb.cli.checks import postgresql

        yield from postgresql.findings(sources.settings.postgresql)


def _sides(chosen: str) -> tuple[str, ...]:
    return BUILT_IN if chosen == "both" else tuple(side for side in BUILT_IN if side == chosen)


def _third_party(name: str) -> Finding:
    """Return what a backend says that is not the library's own."""
    told = health(ready=True)
    if told["status"] == "ok":
        return good("settings", "backend", f"{name}: {told.get('note', 'its own check finds nothing wrong')}")
    return stopper("settings", "backend", f"{name}: {told['reason']}")


class _Printer:
    """Prints findings as lines, in colours on a terminal unless NO_COLOR is set."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False)
        self._side = ""

    def show(self, found: Finding) -> None:
        """Print a line, under the title of its side if that begins."""
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
        """Print how many of each there are."""
        counts = {level: sum(found.level is level for found in findings) for level in Level}
        text = f"{counts[Level.OK]} ok, {counts[Level.WARNING]} with a warning, {counts[Level.STOPS]} that stop you"
        self._console.print(Text(f"\n{text}", style="bold"))
