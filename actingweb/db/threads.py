"""Checks that gevent or eventlet did not replace threads after this package was imported."""

import threading

from actingweb.db.exceptions import ConfigurationError

__all__ = ["require_same_threads"]

_local = threading.local


def require_same_threads() -> None:
    """Raise `ConfigurationError` if greenlets replaced threads after this package was imported.

    The package's locks and thread-local values would then belong to threads, and greenlets would share them.
    """
    if threading.local is not _local:
        raise ConfigurationError(
            "threads were replaced after actingweb.db was imported: call gevent.monkey.patch_all() before all imports"
        )
