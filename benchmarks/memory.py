"""Memory after many calls by ten threads."""

from collections.abc import Iterator, Mapping

from benchmarks.contenders import Worker
from benchmarks.results import Section, Sizes
from testbed.provisioning import BACKENDS, tables_of

_THREADS, _ACTORS, _PARTS = 10, 10, 5
_LIMITS = {"traced MiB": 1.0, "resident MiB": 5.0}


def measure(sizes: Sizes) -> Iterator[Section]:
    """Make the calls on each database."""
    section = Section("memory", "Memory after many calls")
    section.notes.append(
        "Ten threads on ten connections, all operations that leave as many rows as they find. Growth is from the end "
        "of the first fifth of the calls to the end of the last; traced is what Python allocated and still holds."
    )
    for backend in BACKENDS:
        with tables_of(backend) as environment:
            _measure(section, backend, environment, sizes)
    yield section


def _measure(section: Section, database: str, environment: Mapping[str, str], sizes: Sizes) -> None:
    seconds = sizes.crowd_seconds / 2
    lasting = [operation for operation in sizes.operations if operation.repeats]
    samples, calls = [], 0.0
    with Worker(database, {**environment, "PYTHONTRACEMALLOC": "1"}) as process:
        for operation in lasting:
            process.store(operation, _ACTORS)
        for _ in range(_PARTS):
            for operation in lasting:
                calls += seconds * process.crowd(operation, _ACTORS, _THREADS, seconds)["rate"]
            samples.append(process.memory())
            section.add({"database": database, "calls": round(calls), **samples[-1]})
    for measure, most in _LIMITS.items():
        section.judge(database, f"growth, {measure}", samples[-1][measure] - samples[0][measure], most=most)
