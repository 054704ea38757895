"""Since when the public call that a thread is in has been running, for backends that bound the time of a whole call."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["began", "ended", "restart", "start", "stopped"]


class _Clock(threading.local):
    began: float | None = None


_clock = _Clock()


def start() -> bool:
    """Let the time of this thread's call begin; tell whether it did, which it does not for a call within a call."""
    if _clock.began is not None:
        return False
    _clock.began = time.monotonic()
    return True


def ended() -> None:
    """Let the call's time be over."""
    _clock.began = None


def restart() -> None:
    """Let the time begin anew, for the next part of a call that does its work in parts."""
    if _clock.began is not None:
        _clock.began = time.monotonic()


def began() -> float:
    """Return the moment at which the call, or its present part, began: now, if this thread is in none."""
    moment = _clock.began
    return time.monotonic() if moment is None else moment


@contextmanager
def stopped() -> Iterator[None]:
    """Do something that has its own time; the call's time begins anew after it."""
    running = _clock.began is not None
    _clock.began = None
    try:
        yield
    finally:
        if running:
            _clock.began = time.monotonic()
