"""Several calls as one transaction."""

from contextlib import AbstractContextManager
from typing import Any

from actingweb.db.registry import load_backend

__all__ = ["transaction"]


def transaction(config: Any = None) -> AbstractContextManager[None]:
    """Make the calls of a `with` block one transaction: at its end either all that they wrote is stored, or nothing.

    The block holds one connection. All calls of its thread, or in an event loop of its asyncio task, use it. They see
    each other's writes; other threads and processes see them after the block. An exception that leaves the block undoes
    all of it. A block inside a block is a savepoint: an exception that leaves it undoes only the inner block, and the
    outer one can go on. So let the `DbError` of a call leave the block in which it was raised.

    The layer repeats no call in a block. After `DbConflictError` and `DbConnectionError` nothing is stored, and the
    application may run the whole block again.

    Args:
        config: the application's configuration; by default the backend is that of DATABASE_BACKEND.

    Raises:
        DbNotSupportedError: the backend lacks `Capability.TRANSACTIONS`, as DynamoDB does, or a call came from another
            thread or task than the one that began the block.
        DbOutcomeUnknownError: the connection was lost before the answer to the commit came.
        DbError: the block ended normally although a call in it had failed; nothing is stored.
    """
    return load_backend(None if config is None else config.database).transaction()
