"""The kinds of faults that a DynamoDB can have, as spoilers for a proxy in front of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from math import ceil
from typing import NamedTuple

from actingweb.db.exceptions import (
    DbConflictError,
    DbConnectionError,
    DbError,
    DbThrottledError,
    DbTimeoutError,
)
from testbed.dynamodb_proxy import (
    Answer,
    Send,
    Spoiler,
    answering,
    cancelled,
    cut_off,
    damaged,
    dropped,
    failing,
    failing_late,
    held,
    lost,
    raw,
    reset,
    reset_late,
)

TIMEOUT = 2.0
"""AWS_DB_TIMEOUT where an answer never comes."""


class Kind(NamedTuple):
    """A kind of faults.

    Attributes:
        error: what a request that only meets this kind raises at last.
        ambiguous: whether a client cannot know if the request was executed.
        silent: whether the answer never comes, so that a call only ends by its time limit.
    """

    spoiler: Spoiler
    error: type[DbError]
    ambiguous: bool = True
    silent: bool = False


def _of_transactions(cause: str, otherwise: str) -> Spoiler:
    """Cancel a transaction for this cause; answer any other request with an error of this code."""

    def spoil(send: Send) -> Answer | None:
        is_transaction = send.request.operation == "TransactWriteItems"
        return (cancelled(cause) if is_transaction else failing(otherwise))(send)

    return spoil


KINDS = {
    "throughput exceeded": Kind(failing("ProvisionedThroughputExceededException"), DbThrottledError, False),
    "throttling": Kind(failing("ThrottlingException"), DbThrottledError, False),
    "request limit": Kind(failing("RequestLimitExceeded"), DbThrottledError, False),
    "transaction throttled": Kind(_of_transactions("ThrottlingError", "ThrottlingException"), DbThrottledError, False),
    "transaction conflict": Kind(
        _of_transactions("TransactionConflict", "TransactionConflictException"), DbConflictError, False
    ),
    "500": Kind(failing("InternalServerError", 500), DbError),
    "500 after execution": Kind(failing_late("InternalServerError", 500), DbError),
    "503": Kind(failing("ServiceUnavailable", 503), DbThrottledError),
    "503 after execution": Kind(failing_late("ServiceUnavailable", 503), DbThrottledError),
    "reset": Kind(reset, DbConnectionError),
    "reset after execution": Kind(reset_late, DbConnectionError),
    "hang-up": Kind(dropped, DbConnectionError),
    "hang-up after execution": Kind(lost, DbConnectionError),
    "late answer": Kind(held, DbTimeoutError, silent=True),
    "answer cut off": Kind(cut_off, DbConnectionError),
    "answer damaged": Kind(damaged, DbError),
    "answer is no JSON": Kind(raw(b'{"Item": {"id"}'), DbError),
}


def leaving(share: float) -> Spoiler:
    """Do a part of a batch, and leave the others to the client."""

    def spoil(send: Send) -> Answer | None:
        request = send.request
        if request.operation != "BatchWriteItem":
            return send()
        ((table, writes),) = request.body["RequestItems"].items()
        done = ceil(len(writes) * (1 - share))
        if done:
            send({"RequestItems": {table: writes[:done]}})
        return answering({"UnprocessedItems": {table: writes[done:]} if writes[done:] else {}})(send)

    return spoil


class Sometimes:
    """A spoiler that spoils a share of the requests in one of several ways, and forwards the others.

    Attributes:
        faults: how many it has spoilt.
    """

    def __init__(self, share: float, spoilers: Iterable[Spoiler]) -> None:
        self.faults = 0
        self._share = share
        self._spoilers = list(spoilers)
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def __call__(self, send: Send) -> Answer | None:
        with self._lock:
            chosen = self._random.choice(self._spoilers) if self._random.random() < self._share else None
            self.faults += chosen is not None
        return send() if chosen is None else chosen(send)
