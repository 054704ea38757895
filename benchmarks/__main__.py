"""Measure speed, cost, cold start, growth and memory: `python -m benchmarks COMMAND`.

The floor, this library and the baseline, which is the public package `actingweb` 3.15.1 in an environment of its own,
take turns. `run`, `growth`, `migration` and `live` print the figures beside their targets, write them and
`docs/performance.md` with its plots, and end with 1 if a target is missed; `all` is these four. Servers that the
environment names are used, else private ones are started. A million actors take 10 GB of disk meanwhile.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from benchmarks.machine import note
from benchmarks.results import Section
from benchmarks.steps import STEPS, measure_memory, run_step
from testbed.operations.timed import TIMED

_DOCS = Path(__file__).parent.parent / "docs"
_RUN = ("postgresql", "network", "threads", "cold start", "memory", "dynamodb", "requests")
_OTHERS = {
    "requests": "requests and round trips per operation, beside their limits",
    "cold_start": "the import of a backend beside that of its driver",
    "latency": "typical operations on both backends",
}


def _run(options: argparse.Namespace) -> Iterator[Section]:
    from benchmarks import cold_start, dynamodb, postgresql, requests, threads
    from benchmarks.baseline import baseline_python
    from benchmarks.servers import postgres_server
    from testbed.environments import InstallationError

    only, rounds = options.only, options.rounds or (3 if options.quick else 15)
    operations = [operation for operation in TIMED if operation.name in only] or list(TIMED)
    timed = len(operations) < len(TIMED)

    def wants(*sections: str) -> bool:
        return not only or any(section in only for section in sections)

    python, missing = None, []
    if timed or wants("postgresql", "network", "dynamodb"):
        try:
            python = baseline_python()
        except InstallationError as error:
            missing = [f"The baseline is left out: {error}"]
    with postgres_server() as server:
        if timed or wants("postgresql", "network"):
            yield from postgresql.measure(server, python, rounds, operations, missing)
        if wants("threads"):
            yield threads.measure(server, max(3, rounds // 3), 0.2 if options.quick else 0.5)
        if wants("cold start"):
            yield cold_start.measure(server, rounds)
        if wants("memory"):
            yield measure_memory(server, 10_000 if options.quick else 100_000)
    if timed or wants("dynamodb"):
        rows = 5_000 if options.quick else 50_000
        yield dynamodb.measure(python, max(3, rounds // 2), operations, missing, rows)
    if wants("requests"):
        yield requests.measure()


def _growth(options: argparse.Namespace) -> Iterator[Section]:
    from benchmarks import growth

    actors = options.actors or (10_000 if options.quick else 1_000_000)
    yield from growth.measure(actors, options.rounds or (3 if options.quick else 15))


def _migration(options: argparse.Namespace) -> Iterator[Section]:
    from benchmarks import migration

    rows = options.rows or (20_000 if options.quick else 1_000_000)
    yield migration.measure(rows, options.value_bytes, options.rounds or 3, options.table_rows)


def _live(options: argparse.Namespace) -> Iterator[Section]:
    from benchmarks import live

    rows = min(options.rows or (5_000 if options.quick else 100_000), options.table_rows)
    yield live.measure(rows, 5 if options.quick else 30)


def _all(options: argparse.Namespace) -> Iterator[Section]:
    for measure in (_run, _growth, _migration, _live):
        yield from measure(options)


_MEASURE = {"run": _run, "growth": _growth, "migration": _migration, "live": _live, "all": _all}


def _report(measure: Callable[[argparse.Namespace], Iterator[Section]], options: argparse.Namespace) -> int:
    """Measure, print, write, and return the exit status."""
    from benchmarks.report import print_verdicts, update_report

    began, sections = time.monotonic(), []
    for section in measure(options):
        section.settings = {name: value for name, value in vars(options).items() if isinstance(value, int)}
        note(f"{section.title}: measured after {time.monotonic() - began:.0f} s")
        sections.append(section)
        if set(options.only) <= set(_RUN):
            update_report(options.docs, [section])
    return int(print_verdicts(sections) > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in _MEASURE:
        command = commands.add_parser(name)
        names = [*_RUN, *(operation.name for operation in TIMED)]
        command.add_argument("--quick", action="store_true", help="few rounds and rows: for a look, not for figures")
        command.add_argument("--rounds", type=int, help="how often each contender is measured")
        command.add_argument("--docs", type=Path, default=_DOCS, help="where performance.md and its plots are written")
        command.add_argument("--only", nargs="+", default=[], metavar="SECTION or OPERATION of `run`", choices=names)
        command.add_argument("--actors", type=int, help="how many actors a large database has (1,000,000)")
        command.add_argument("--rows", type=int, help="how many rows are migrated (1,000,000; live: 100,000)")
        command.add_argument("--value-bytes", type=int, default=200, help="the average size of a migrated value")
        command.add_argument("--table-rows", type=int, default=200_000, help="the most that DynamoDB gets")
    report = commands.add_parser("report", help="make the page and its plots again, without measuring")
    report.add_argument("--docs", type=Path, default=_DOCS)
    for name, text in _OTHERS.items():
        commands.add_parser(name, help=text)
    for name, needs in STEPS.items():
        commands.add_parser(name, help="a process of its own").add_argument(
            "arguments", nargs=len(needs), metavar=needs
        )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what the command says and return the exit status."""
    options = _parser().parse_args(arguments)
    for name in ("actingweb", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if options.command in STEPS:
        print(json.dumps(run_step(options.command, *options.arguments)))
    elif options.command in _MEASURE:
        return _report(_MEASURE[options.command], options)
    elif options.command == "report":
        import_module("benchmarks.report").write_pages(options.docs)
    else:
        return int(import_module(f"benchmarks.{options.command}").main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
