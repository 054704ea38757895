"""Converting one batch while the one before it is being written."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from actingweb.migration.batches import Batch

__all__ = ["overlap"]

T = TypeVar("T")


def overlap(batches: Iterable[Batch], convert: Callable[[Batch], T], write: Callable[[Batch, T], None]) -> None:
    """Call `convert(batch)` here and then `write(batch, converted)` in a worker, one batch after the other.

    Raise what any of them raises.
    """
    with ThreadPoolExecutor(1) as worker:
        running: Future[None] | None = None
        for batch in batches:
            converted = convert(batch)
            if running is not None:
                running.result()
            running = worker.submit(write, batch, converted)
        if running is not None:
            running.result()
