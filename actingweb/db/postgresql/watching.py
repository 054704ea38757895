"""Detects that a server sends nothing while psycopg waits for it."""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

__all__ = ["watched"]

T = TypeVar("T")


def watched(gen: Generator[Any, Any, T], silence: float, notice: Callable[[], None]) -> Generator[Any, Any, T]:
    """Run `gen`, and call `notice`, which may raise, each time the server has sent nothing for `silence` seconds."""
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
