"""Measure speed, cost, cold start, growth and memory: `python -m benchmarks COMMAND`.

The floor, this library and the baseline, which is the public package `actingweb` 3.15.1 in an environment of its own,
take turns. Every command prints its figures beside their targets. `run`, `growth`, `migration`, `live` and `all`, which
is these four, also write them, and `docs/performance.md` with its plots. Servers that the environment names are used,
else private ones are started. A million actors take 10 GB of disk meanwhile.
"""

import argparse
import logging
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from benchmarks.machine import note
from benchmarks.report import print_sections, write_pages
from benchmarks.results import QUICK, Section, Sizes

_DOCS = Path(__file__).parent.parent / "docs"
_RUN = ("postgresql", "aio", "cold_start", "memory", "dynamodb", "requests")
_LONG = ("growth", "migration", "live")
_PRINTED = ("latency", "imports", "observers")
"""The modules that measure, in the order of the page: the function `measure` of each yields sections."""
_WRITTEN = ("run", "all", *_LONG)
_COMMANDS = {"run": _RUN, "all": (*_RUN, *_LONG), **{name: (name,) for name in (*_RUN, *_LONG, *_PRINTED)}}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("command", choices=[*_COMMANDS, "report"], help="`report` makes the page again")
    parser.add_argument("--quick", action="store_true", help="few rounds and rows: for a look, not for figures")
    parser.add_argument("--only", nargs="+", metavar="OPERATION", help="time these operations, and write nothing")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where performance.md and its plots are written")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what the command says and return the exit status: 1 if an operation sends more than the contract allows."""
    options = _parser().parse_args(arguments)
    if options.command == "report":
        write_pages(options.docs)
        return 0
    for name in ("actingweb", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sizes = QUICK if options.quick else Sizes()
    if options.only:
        sizes = replace(sizes, operations=tuple(one for one in sizes.operations if one.name in options.only))
    began, sections = time.monotonic(), list[Section]()
    for name in _COMMANDS[options.command]:
        for section in import_module(f"benchmarks.{name}").measure(sizes):
            section.settings = {"quick": options.quick}
            note(f"{section.title}: measured after {time.monotonic() - began:.0f} s")
            sections.append(section)
            if options.command in _WRITTEN and not options.only:
                write_pages(options.docs, [section])
    missed = print_sections(sections)
    if options.command == "requests":
        return int(missed > 0)
    print("The exit status is 0, whether targets are met or not: times depend on the machine.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
