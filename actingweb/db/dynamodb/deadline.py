"""The deadline of a public call: all its requests together may take AWS_DB_TIMEOUT."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from actingweb.db.policy.operation import current_call

__all__ = ["ends_after", "restart", "suspended"]


def ends_after(seconds: float) -> float:
    """Return the deadline, by `time.monotonic`, of the current public call, which may take `seconds`.

    Outside of a public call each request has its own deadline.
    """
    began = current_call.began
    return (time.monotonic() if began is None else began) + seconds


def restart() -> None:
    """Begin the time of the call anew, for the next page or batch of a call on many rows."""
    if current_call.began is not None:
        current_call.began = time.monotonic()


@contextmanager
def suspended() -> Iterator[None]:
    """Exclude the block, such as creating a table, from the time of the call, which begins anew after it."""
    running = current_call.began is not None
    current_call.began = None
    try:
        yield
    finally:
        if running:
            current_call.began = time.monotonic()
