"""`performance.md`, made from what runs found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.figures import Figure, Verdict
from benchmarks.migration_page import migration_lines
from benchmarks.results import Row, Section
from benchmarks.tables import cell, number, table

__all__ = ["PLOTS", "page"]

_HEAD = """\
# Performance

<!-- Made by `python -m benchmarks.report` from the JSON files in docs/performance. Changes here are lost. -->

How fast this library is beside the least that its databases need, and beside what is in use today. Three contenders
take turns in the same run, so that a busy moment strikes all of them:

* **floor**: the same SQL, read off the wire, on one held psycopg connection, prepared and in autocommit; on DynamoDB
  the same requests by botocore without its check of parameters.
* **ours**: the public classes of `actingweb.db` with default settings.
* **peer**: the public package `actingweb[postgresql]` 3.15.1, in an environment, a process and a database of its own.

A figure is the median over the rounds; half of the rounds lie between the two figures after it (the quartiles). A ratio
is taken in each round before the median is. Targets are ratios or differences within a run, never times: those depend
on the machine.

```console
$ make bench            # all of it
$ make bench-migration  # the last part
$ .venv/bin/python -m benchmarks.bench --quick --only network "cold start"    # a look at two sections
```
"""
_NOTES = {
    "postgresql": "Nothing is between client and server but the loopback, so the client's own work shows most.",
    "network": "Where the server is another machine the round trip rules, and what counts is to need only one.",
    "dynamodb": "The table of requests and capacity below is counted at the server's door, not estimated.",
    "growth": "The plans behind these figures are tested in `tests/postgresql/test_plans.py`.",
}
PLOTS = {
    "postgresql": ("latency-postgresql", "Time of each operation on loopback, floor, ours and peer"),
    "network": ("latency-network", "Time of each operation over the network, floor, ours and peer"),
    "dynamodb": ("latency-dynamodb", "Time of each operation on DynamoDB Local, floor, ours and peer"),
    "growth": ("growth", "Time of each operation with more actors, as a multiple of that with the fewest"),
    "threads": ("threads", "Operations a second by threads, floor and ours"),
}
"""The plot of a section: its file, and what it shows."""


def page(sections: Sequence[Section], migration: dict[str, Any] | None) -> str:
    """Return the page for these sections and what `make bench-migration` wrote, if it has."""
    lines = [_HEAD, "## Machine", "", *_machines(sections, migration), ""]
    lines += ["## Targets", "", *_summary(sections, migration), ""]
    for section in sections:
        lines += [*_section(section), ""]
    if migration is not None:
        lines += [*migration_lines(migration), ""]
    return "\n".join(lines)


def _machines(sections: Iterable[Section], migration: dict[str, Any] | None) -> list[str]:
    measured = [(section.name, section.machine) for section in sections]
    if migration is not None:
        measured.append(("migration", migration["machine"]))
    parts: dict[tuple[str, ...], list[str]] = {}
    for name, machine in measured:
        parts.setdefault(tuple(machine.values()), []).append(name)
    heads = [*(measured[0][1] if measured else ()), "sections"]
    return table(heads, [[*values, ", ".join(names)] for values, names in parts.items()])


def _summary(sections: Iterable[Section], migration: dict[str, Any] | None) -> list[str]:
    counts = [(section.title, [verdict.met for verdict in section.verdicts]) for section in sections]
    if migration is not None:
        counts.append(("Migration", [verdict["met"] for verdict in migration["verdicts"]]))
    rows = [[f"[{title}](#{_anchor(title)})", str(len(met)), str(sum(met))] for title, met in counts if met]
    every = [one for _, met in counts for one in met]
    return table(["section", "targets", "met"], [*rows, ["**all**", f"**{len(every)}**", f"**{sum(every)}**"]])


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _section(section: Section) -> Iterator[str]:
    yield from (f"## {section.title}", "")
    yield f"{_settings(section)}"
    for note in [*([_NOTES[section.name]] if section.name in _NOTES else []), *section.notes]:
        yield f"{note}  "
    yield ""
    if section.name in PLOTS:
        file, shows = PLOTS[section.name]
        yield from (f"![{shows}](performance/{file}.svg)", "")
    yield from _verdicts(section.verdicts)
    if section.rows:
        yield from ("", *_times(section.rows))
    if section.table:
        yield from ("", *_others(section.table))


def _settings(section: Section) -> str:
    quick = ", a quick run, for a look only" if section.settings.get("quick") else ""
    return f"Measured on {section.machine['date']}{quick}.  "


def _verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    heads = ["what", "measure", "target", "median", "half lie between", "met"]
    rows = [
        [verdict.subject, verdict.measure, verdict.target, cell(verdict.figure), _spread(verdict.figure), _met(verdict)]
        for verdict in verdicts
    ]
    return table(heads, rows) if rows else []


def _met(verdict: Verdict) -> str:
    return "yes" if verdict.met else "**no**"


def _spread(figure: Figure) -> str:
    return f"{number(figure.low)} – {number(figure.high)}"


def _times(rows: Sequence[Row]) -> list[str]:
    heads = ["µs a call", "floor", "ours", "half lie between", "peer", "ours − floor", "ours / floor", "processor time"]
    return table(
        [*heads, "peer / ours"],
        [
            [
                row.operation,
                *(cell(one) for one in (row.floor, row.ours)),
                _spread(row.ours),
                *(cell(one) for one in (row.peer, row.over, row.ratio, row.cpu, row.peer_ratio)),
            ]
            for row in rows
        ],
    )


def _others(rows: Sequence[dict[str, Any]]) -> list[str]:
    heads = list(dict.fromkeys(name for row in rows for name in row))
    return table(heads, [[cell(row.get(head)) for head in heads] for row in rows])
