"""Whether the process has the threads that it had when this package was loaded."""

import threading

from actingweb.db.exceptions import ConfigurationError

__all__ = ["require_same_threads"]

_local = threading.local


def require_same_threads() -> None:
    """Raise `ConfigurationError` if greenlets took the place of threads after this package was loaded.

    Its locks and what it keeps for each thread would be those of threads, and greenlets would get each other's.
    """
    if threading.local is not _local:
        raise ConfigurationError(
            "threads were replaced after actingweb.db was imported: call gevent.monkey.patch_all() before all imports"
        )
