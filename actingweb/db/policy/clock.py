"""Since when the public call that a thread is in has been running, for backends that bound the time of a whole call."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["began", "call", "restart", "stopped"]


class _Call(threading.local):
    """The call that a thread is in.

    Attributes:
        began: when it, or its present part, began; None outside of calls.
    """

    began: float | None = None


call = _Call()
"""What each public call, unless it is made by another, sets at its beginning and clears at its end."""


def restart() -> None:
    """Let the time begin anew, for the next part of a call that does its work in parts."""
    if call.began is not None:
        call.began = time.monotonic()


def began() -> float:
    """Return the moment at which the call, or its present part, began: now, if this thread is in none."""
    moment = call.began
    return time.monotonic() if moment is None else moment


@contextmanager
def stopped() -> Iterator[None]:
    """Do something that has its own time; the call's time begins anew after it."""
    running = call.began is not None
    call.began = None
    try:
        yield
    finally:
        if running:
            call.began = time.monotonic()
