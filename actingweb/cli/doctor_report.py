"""What `actingweb-db doctor` does: it runs the checks and prints their findings."""

from collections.abc import Generator, Iterator

from actingweb.cli.checks import packages
from actingweb.cli.checks.settings import Sources
from actingweb.db import health
from actingweb.db.exceptions import ConfigurationError
from actingweb.db.registry import BUILT_IN
from actingweb.migration.cli.display import print_json
from actingweb.migration.cli.findings_printer import FindingsPrinter
from actingweb.migration.errors import ExitCode, UsageError
from actingweb.migration.findings import Finding, Level, exit_code, good, stopper

__all__ = ["run"]

_NEEDED = {"dynamodb": ("pynamodb", "botocore"), "postgresql": ("psycopg", "psycopg_pool", "libpq")}
"""The packages without which the server of a side cannot be checked."""


def run(backend: str | None, *, as_json: bool) -> ExitCode:
    """Check a backend, or "both", or (None) the backend of the settings; print the findings."""
    findings: list[Finding] = []
    printer = FindingsPrinter()
    for found in _findings(backend):
        findings.append(found)
        if not as_json:
            # Immediately, since a server that does not respond takes a while.
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
    stopped: set[str] = set()
    for side in sides:
        if (yield from _relay(sources.findings(side))):
            stopped.add(side)
    stopped |= yield from _relay(packages.findings(sides))
    if not sides:
        yield _third_party(chosen)
    for side in sides:
        if stopped.isdisjoint({side, *_NEEDED[side]}):
            yield from _server_findings(side, sources)


def _relay(findings: Iterator[Finding]) -> Generator[Finding, None, set[str]]:
    """Yield findings; return the names of the checks that stop the user."""
    stopped = set()
    for found in findings:
        yield found
        if found.level is Level.STOPS:
            stopped.add(found.check)
    return stopped


def _server_findings(side: str, sources: Sources) -> Iterator[Finding]:
    if side == "dynamodb":
        from actingweb.cli.checks import dynamodb

        return dynamodb.findings(sources)
    from actingweb.cli.checks import postgresql

    return postgresql.findings(sources.settings.postgresql)


def _sides(chosen: str) -> tuple[str, ...]:
    return BUILT_IN if chosen == "both" else tuple(side for side in BUILT_IN if side == chosen)


def _third_party(name: str) -> Finding:
    """Return the health of a third-party backend."""
    report = health(ready=True)
    if report["status"] == "ok":
        return good("settings", "backend", f"{name}: {report.get('note', 'its own check finds nothing wrong')}")
    return stopper("settings", "backend", f"{name}: {report['reason']}")
