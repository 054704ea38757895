"""Cancels a coroutine at a point that a number chooses."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any

__all__ = ["Reached", "cancelled_at"]


class Reached(Exception):  # noqa: N818 - not an error
    """The coroutine ended before it waited so often."""


@types.coroutine
def cancelled_at(coroutine: Coroutine[Any, Any, object], number: int) -> Generator[Any, Any, None]:
    """Await a coroutine, and cancel it when it waits for the `number`-th time. Raise `Reached` if it ends before."""
    waits = 0
    while True:
        try:
            awaited = coroutine.send(None)
        except StopIteration:
            raise Reached from None
        waits += 1
        if waits == number:
            break
        yield awaited
    try:
        while True:
            # A coroutine may wait once more before it ends.
            yield coroutine.throw(asyncio.CancelledError())
    except (asyncio.CancelledError, StopIteration):
        return
