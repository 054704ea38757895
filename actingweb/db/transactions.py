"""Several calls as one transaction, on the backends that can."""

from contextlib import AbstractContextManager
from typing import Any

from actingweb.db.registry import load_backend

__all__ = ["transaction"]


def transaction(config: Any = None) -> AbstractContextManager[None]:
    """Make the calls of a `with` block one transaction: all they write is stored at its end, or nothing.

    The block holds one connection, and all calls of its thread (its asyncio task, in an event loop) use it. They see
    each other's writes; others see them after the block. An exception that leaves the block undoes all of it. A block
    inside a block is a savepoint: an exception that leaves it undoes what the inner block did, and the outer one can go
    on. A call's `DbError` therefore has to leave the block it was raised in.

    No call in a block is repeated: `DbConflictError` and `DbConnectionError` mean that nothing is stored, and the whole
    block may be run again.

    Args:
        config: the application's configuration; by default the backend is that of DATABASE_BACKEND.

    Raises:
        DbNotSupportedError: the backend lacks `Capability.TRANSACTIONS`, as DynamoDB does, or a call came from another
            thread or task than the one that began the block.
        DbOutcomeUnknownError: the connection was lost before the answer to the commit came.
        DbError: the block ended normally although a call in it had failed; nothing is stored.
    """
    return load_backend(None if config is None else config.database).transaction()
