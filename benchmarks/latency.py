"""Typical operations on both databases, for the table of the guide to the migration: `make bench-latency`.

DynamoDB Local tells what the library and the protocol cost, not what AWS does.
"""

from collections.abc import Iterator
from statistics import median

from benchmarks.contenders import Worker, calls_far, compare, crowd_rates
from benchmarks.results import Section, Sizes
from testbed.operations.timed import TIMED
from testbed.provisioning import tables_of

_READS = {
    "actor get": "One actor",
    "property get": "One property",
    "reverse look-up, hit": "Actor by e-mail address",
    "trust get": "Trust by peer",
    "trust get by token": "Trust by token",
    "property prefix of 100": "100 properties of an actor",
}
_THREADS, _SECONDS = 8, 2.0


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure reads by one thread, in milliseconds, and writes by several."""
    section = Section("latency", "Typical operations, milliseconds")
    with (
        tables_of("dynamodb") as named,
        tables_of("postgresql") as made,
        Worker("dynamodb", named) as dynamodb,
        Worker("postgresql", made) as postgresql,
    ):
        workers = {"DynamoDB Local": dynamodb, "PostgreSQL": postgresql}
        reads = [operation for operation in TIMED if operation.name in _READS]
        for operation, times in compare(section, reads, workers, sizes.rounds, calls=calls_far):
            medians = {name: 1000 * median(each) for name, each in times.wall.items()}
            section.add({"operation": _READS[operation.name], **medians})
        (write,) = (operation for operation in TIMED if operation.name == "property set")
        rates = crowd_rates(workers, write, _THREADS, _SECONDS, rounds=1)
        medians = {name: median(each) for name, each in rates.items()}
        section.add({"operation": f"Property writes by {_THREADS} threads, a second", **medians})
    yield section
