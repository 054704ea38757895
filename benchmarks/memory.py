"""Memory: what many calls through a pool of connections leave behind."""

from __future__ import annotations

from benchmarks.results import Section, figure
from benchmarks.steps import step
from testbed.own_schemas import PostgresServer, dynamodb_in_use, use

__all__ = ["measure"]

_TRACED_MIB, _RESIDENT_MIB = 1.0, 5.0
_SLOWER = 10
"""DynamoDB Local takes about so many times as long."""


def measure(server: PostgresServer, calls: int) -> Section:
    """Make so many calls by ten threads, fewer on DynamoDB."""
    section = Section("memory", "Memory after many calls")
    section.notes.append(
        "Ten threads on ten connections, all operations that leave as many rows as they find. Growth is from the end "
        "of the first fifth of the calls to the end of the last; traced is what Python allocated and still holds."
    )
    use(server.environment)
    _measure(section, "postgresql", calls)
    with dynamodb_in_use("memory"):
        _measure(section, "dynamodb", calls // _SLOWER)
    return section


def _measure(section: Section, database: str, calls: int) -> None:
    samples = step("memory", database, calls)
    section.table += [{"database": database, **sample} for sample in samples]
    for measure, most in (("traced MiB", _TRACED_MIB), ("resident MiB", _RESIDENT_MIB)):
        growth = samples[-1][measure] - samples[0][measure]
        section.judge(f"{database}, {calls:,} calls", f"growth, {measure}", figure([growth]), most=most)
