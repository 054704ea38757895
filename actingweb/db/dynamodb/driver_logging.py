"""Silences the driver's loggers, which log whole requests and answers at DEBUG."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silenced"]

_TALKATIVE = (
    "botocore.auth",
    "botocore.client",
    "botocore.credentials",
    "botocore.endpoint",
    "botocore.hooks",
    "botocore.httpsession",
    "botocore.parsers",
    "botocore.utils",
    "pynamodb.connection.base",
)


class _Calls(threading.local):
    running = 0


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _calls.running or record.levelno > logging.DEBUG


_calls = _Calls()
_filter = _Filter()
for _name in _TALKATIVE:
    logging.getLogger(_name).addFilter(_filter)


@contextmanager
def silenced() -> Iterator[None]:
    """Drop what the driver logs at DEBUG in this thread during the block."""
    _calls.running += 1
    try:
        yield
    finally:
        _calls.running -= 1
