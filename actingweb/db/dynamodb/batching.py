"""Many parts, divided into as few requests as hold them."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["batched"]

T = TypeVar("T")


def batched(
    parts: Iterable[T], most: int, size_of: Callable[[T], int] = lambda _: 0, room: int = 0
) -> Iterator[list[T]]:
    """Yield the parts in lists of at most `most`, whose sizes together are at most `room` unless one alone is more."""
    pack: list[T] = []
    filled = 0
    for part in parts:
        size = size_of(part)
        if pack and (len(pack) == most or filled + size > room):
            yield pack
            pack, filled = [], 0
        pack.append(part)
        filled += size
    if pack:
        yield pack
