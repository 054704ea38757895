"""What one backend can do and another cannot."""

from enum import Enum

__all__ = ["Capability"]


class Capability(Enum):
    """Something that only some backends can do.

    A backend's package lists what it can do in `CAPABILITIES`, a frozenset; `load_backend` puts it into
    `Backend.capabilities`. docs/backends.md describes the differences.
    """

    TRANSACTIONS = "transactions"
    """`actingweb.db.transaction` makes several calls one transaction.

    The package has a module `transaction` with a function `transaction()` that returns the context manager.
    """

    HEALTH_CHECK = "health check"
    """The package has a function `health(*, ready: bool)`, which `actingweb.db.health` calls."""

    ACTOR_REFERENCES = "actor references"
    """A row of an unknown actor raises `DbUnknownActorError`; deleting an actor deletes its rows, except attributes."""

    KEYS_BY_PARTS = "keys by parts"
    """Keys whose parts join to the same text, as (`a:b`, `c`) and (`a`, `b:c`), are different keys.

    Without it the second one raises `DbConflictError`.
    """

    LONG_KEYS = "long keys"
    """Keys may have any length. Without it one that is too long raises `DbInputError`, which names limit and size."""

    LONG_NUMBERS = "long numbers"
    """Sequence numbers may have 38 digits. Without it they have 64 bits."""

    LARGE_VALUES = "large values"
    """A text or attribute may have several megabytes. Without it a row of more than 400 KB raises `DbInputError`."""

    ATOMIC_BATCHES = "atomic batches"
    """A call that writes or deletes several rows takes effect as a whole or not at all, however many they are.

    `delete_expired` need not.
    """

    CONSISTENT_INDEXES = "consistent indexes"
    """A read by creator, by token or by the value of a property sees every row that was written before it."""

    PURGE = "purge"
    """`delete_expired` deletes rows and counts them. Without it the database expires them and the call returns 0."""

    LOOKUP_FALLBACKS = "look-up fallbacks"
    """Reverse look-up also reads the look-up rows and the index of earlier releases."""
