"""How the silence of a server is noticed while psycopg waits for it."""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

__all__ = ["watched"]

T = TypeVar("T")


def watched(gen: Generator[Any, Any, T], silence: float, notice: Callable[[], None]) -> Generator[Any, Any, T]:
    """Do as `gen`; call `notice`, which may raise, after `silence` seconds without a word, and again after as many."""
    heard = time.monotonic()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                heard = time.monotonic()
            elif time.monotonic() - heard > silence:
                notice()
                heard = time.monotonic()
            wanted = gen.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result
