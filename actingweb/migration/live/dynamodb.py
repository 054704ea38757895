"""Requests to DynamoDB and DynamoDB Streams, as the engine sends them."""

from dataclasses import dataclass, replace
from functools import cached_property
from threading import Event
from typing import Any, Protocol

from actingweb.db.dynamodb.wire.messages import STREAMS
from actingweb.migration.source.endpoint import Endpoint

__all__ = ["DynamoDB", "Requests"]

Json = dict[str, Any]


class Requests(Protocol):
    """What workers need of DynamoDB; a test may wrap it."""

    def call(self, operation: str, request: Json) -> Json:
        """Return the answer to a read or an idempotent write of a table. Raise `SourceError`.

        A transient failure is retried within the retry limits. A `RequestError` has the code of the service.
        """

    def streams_call(self, operation: str, request: Json) -> Json:
        """Return the answer to a read of a stream. Raise the same."""


@dataclass(frozen=True)
class DynamoDB:
    """The requests of one process. Thread-safe once a table has been described.

    Attributes:
        endpoint: of the tables.
        stop: set to give up retries.
    """

    endpoint: Endpoint
    stop: Event

    def call(self, operation: str, request: Json) -> Json:
        """Do as the protocol says."""
        return self.endpoint.call(operation, request, self.stop)

    def streams_call(self, operation: str, request: Json) -> Json:
        """Do as the protocol says."""
        return self._streams.call(operation, request, self.stop)

    @cached_property
    def _streams(self) -> Endpoint:
        return replace(self.endpoint, api=STREAMS)
