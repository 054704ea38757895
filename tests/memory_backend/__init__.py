"""A third-party backend: everything in this process's memory. It shows what a backend has to write."""

from tests.memory_backend.rows import clear

__all__ = ["clear"]
