"""Divides parts into batches, one for each request."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["batched"]

T = TypeVar("T")


def batched(
    parts: Iterable[T], most: int, size_of: Callable[[T], int] = lambda _: 0, room: int = 0
) -> Iterator[list[T]]:
    """Yield the parts in batches of at most `most` parts and `room` bytes; a larger part is a batch of its own."""
    batch: list[T] = []
    filled = 0
    for part in parts:
        size = size_of(part)
        if batch and (len(batch) == most or filled + size > room):
            yield batch
            batch, filled = [], 0
        batch.append(part)
        filled += size
    if batch:
        yield batch
