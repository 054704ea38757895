"""Measure speed, cost, cold start, growth and memory: `python -m benchmarks.bench`, or `make bench`.

Three contenders take turns: the floor (the same SQL on one held psycopg connection, or the same request by botocore),
this library through its public classes, and the public package `actingweb` 3.15.1 in an environment of its own. Prints
the figures beside their targets, writes `docs/performance.md`, its plots and `docs/performance/bench.json`, and ends
with 1 if a target is missed. Uses the servers that the environment names, in places of its own, or starts private ones.
A million actors take 10 GB of disk meanwhile.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cold_start, concurrency, dynamodb, growth, memory, postgresql
from benchmarks.driver.workload import OPERATIONS
from benchmarks.peer import PACKAGE, PeerError, peer_python
from benchmarks.places import PostgresPlaces, own_settings, postgres_places
from benchmarks.report import print_verdicts, update_report
from benchmarks.results import SECTIONS, Section

__all__ = ["Plan", "main", "measure"]

_DOCS = Path(__file__).parent.parent / "docs"


_BESIDE_PEER = ("postgresql", "network", "dynamodb")


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        only: operations or sections; all if it is empty.
    """

    rounds: int
    actors: int
    quick: bool
    only: list[str]

    def wants(self, *sections: str) -> bool:
        """Whether one of the sections is to be measured."""
        return not self.only or any(section in self.only for section in sections)

    @property
    def operations(self) -> list[str]:
        """The operations that `only` names."""
        return [name for name in self.only if name not in SECTIONS]


def measure(plan: Plan) -> Iterator[Section]:
    """Yield the sections as they are measured."""
    if plan.operations or plan.wants(*_BESIDE_PEER):
        yield from _beside_peer(plan)
    if plan.wants("threads", "cold start", "memory"):
        with own_settings(), postgres_places() as places:
            yield from _alone(plan, places)
    if plan.wants("requests"):
        with own_settings():
            yield dynamodb.count_requests()
    if plan.wants("growth", "growth network", "bulk"):
        with own_settings():
            yield from growth.measure(plan.actors, plan.rounds)


def _beside_peer(plan: Plan) -> Iterator[Section]:
    python, missing = _peer()
    if plan.operations or plan.wants("postgresql", "network"):
        with own_settings(), postgres_places() as places:
            for section in postgresql.measure(places, python, plan.rounds, plan.operations):
                section.notes += missing
                yield section
    if plan.operations or plan.wants("dynamodb"):
        with own_settings():
            section = dynamodb.measure(python, max(3, plan.rounds // 2), plan.operations)
            section.notes += missing
            yield section


def _peer() -> tuple[Path | None, list[str]]:
    try:
        return peer_python(), []
    except PeerError as error:
        return None, [f"The peer, {PACKAGE}, is left out: {error}"]


def _alone(plan: Plan, places: PostgresPlaces) -> Iterator[Section]:
    if plan.wants("threads"):
        yield concurrency.measure(places, max(3, plan.rounds // 3), 0.2 if plan.quick else 0.5)
    if plan.wants("cold start"):
        yield cold_start.measure(places, plan.rounds)
    if plan.wants("memory"):
        yield memory.measure(places, 10_000 if plan.quick else 100_000)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write, and return the exit status."""
    plan, docs = _plan(arguments)
    for name in ("actingweb", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sections = []
    began = time.monotonic()
    for section in measure(plan):
        section.settings = {"rounds": plan.rounds, "actors": plan.actors, "quick": plan.quick}
        print(f"{section.title}: measured after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        sections.append(section)
    verdicts = [verdict for section in sections for verdict in section.verdicts]
    print_verdicts(verdicts)
    if not plan.operations:
        update_report(docs, sections)
    missed = [verdict for verdict in verdicts if not verdict.met]
    print(f"\n{len(verdicts)} targets, {len(missed)} missed, {time.monotonic() - began:.0f} s")
    return 1 if missed else 0


def _plan(arguments: list[str] | None) -> tuple[Plan, Path]:
    parser = argparse.ArgumentParser(prog="benchmarks.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds and actors: for a look, not for figures")
    parser.add_argument("--rounds", type=int, help="how often each contender is measured (15, quick 3)")
    parser.add_argument("--actors", type=int, help="how many actors a large database has (1,000,000, quick 10,000)")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only these sections or operations; those of operations are printed, not written",
    )
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where performance.md and performance/ are written")
    given = parser.parse_args(arguments)
    unknown = set(given.only) - {*SECTIONS, *(operation.name for operation in OPERATIONS)}
    if unknown:
        parser.error(f"neither section nor operation: {', '.join(sorted(unknown))}; sections are {', '.join(SECTIONS)}")
    rounds = given.rounds or (3 if given.quick else 15)
    actors = given.actors or (10_000 if given.quick else 1_000_000)
    return Plan(rounds, actors, given.quick, given.only), given.docs


if __name__ == "__main__":
    sys.exit(main())
