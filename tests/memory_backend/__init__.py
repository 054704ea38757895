"""A third-party backend: everything in this process's memory. It shows what a backend has to write."""

from actingweb.db.spi import Capability
from tests.memory_backend.rows import clear

__all__ = ["CAPABILITIES", "clear"]

CAPABILITIES = frozenset(
    {
        Capability.KEYS_BY_PARTS,
        Capability.LONG_KEYS,
        Capability.LONG_NUMBERS,
        Capability.LARGE_VALUES,
        Capability.ATOMIC_BATCHES,
        Capability.CONSISTENT_INDEXES,
        Capability.PURGE,
    }
)
