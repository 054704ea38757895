"""When the public call that this thread is in has to end: all its requests together have the time of AWS_DB_TIMEOUT."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from actingweb.db.policy.operation import current_call

__all__ = ["ends_after", "restart", "suspended"]


def ends_after(seconds: float) -> float:
    """Return the moment, by `time.monotonic`, at which a call that may take `seconds` has to end.

    Outside of a public call each request is a call of its own.
    """
    began = current_call.began
    return (time.monotonic() if began is None else began) + seconds


def restart() -> None:
    """Give the next part of a call that does its work in parts the time of a whole call."""
    if current_call.began is not None:
        current_call.began = time.monotonic()


@contextmanager
def suspended() -> Iterator[None]:
    """Do work that does not count as the call's, such as creating a table; the call's time begins anew after it."""
    running = current_call.began is not None
    current_call.began = None
    try:
        yield
    finally:
        if running:
            current_call.began = time.monotonic()
