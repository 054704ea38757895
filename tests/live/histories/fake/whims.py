"""What the service decides as it likes, within what DynamoDB's documentation allows."""

from __future__ import annotations

from tests.live.histories.fake.faults import ServiceError

__all__ = ["Whims"]


class Whims:
    """The decisions of a service on its best day; a test that wants a worse one overrides them."""

    def fault(self, operation: str) -> ServiceError | None:
        """Return the error that answers a request, which is then not executed; None executes it."""
        return None

    def loses_answer(self, operation: str) -> bool:
        """Tell whether the connection is closed instead of the answer, after the request was executed."""
        return False

    def page(self, size: int) -> int:
        """Return how many of `size` items, records or shards an answer holds, at least 1."""
        return size

    def processed(self, size: int) -> int:
        """Return how many of `size` parts of a batch are processed, at least 1."""
        return size

    def released(self, waiting: int) -> int:
        """Return how many of the records that no reader can see yet appear now."""
        return waiting

    def is_empty(self) -> bool:
        """Tell whether a batch of records is empty although there are some."""
        return False

    def repeated(self) -> int:
        """Return how many records of a batch the next one brings again."""
        return 0

    def polls(self) -> int:
        """Return how often a table or stream must be described until a change of its state is complete."""
        return 0
