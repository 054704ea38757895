"""Several calls as one transaction."""

from contextlib import AbstractContextManager
from typing import Any

from actingweb.db.registry import load_backend

__all__ = ["transaction"]


def transaction(config: Any = None) -> AbstractContextManager[None]:
    """Make the calls of a `with` block one transaction: at its end all their writes are stored, or none.

    The block holds one connection, and all calls of its thread, or of its asyncio task, use it. They see each other's
    writes; other threads and processes see the writes after the block. An exception that leaves the block rolls back
    the whole transaction. A block inside a block is a savepoint: an exception that leaves it rolls back only the inner
    block, and the outer one continues. Let the `DbError` of a call leave the block in which it was raised.

    No call in a block is retried. After `DbConflictError` and `DbConnectionError` nothing is stored, and the
    application may run the whole block again.

    Args:
        config: the application's configuration; by default the backend is that of DATABASE_BACKEND.

    Raises:
        DbNotSupportedError: the backend has no `Capability.TRANSACTIONS`, as DynamoDB; or a call was made from another
            thread or task than the one that began the block.
        DbOutcomeUnknownError: the connection was lost before the answer to the commit came.
        DbError: the block ended normally although a call in it had failed; nothing is stored.
    """
    return load_backend(None if config is None else config.database).transaction()
