"""The wire client: sends one request once, and tells what came of it."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from actingweb.db.dynamodb.driver_logging import silenced
from actingweb.db.dynamodb.wire.connections import Connections, Limits
from actingweb.db.dynamodb.wire.failures import ServiceError, sent_at
from actingweb.db.dynamodb.wire.messages import (
    DYNAMODB,
    Answer,
    Api,
    Target,
    content_of,
    decoded,
    encoded,
    head_of,
    headers_of,
)
from actingweb.db.dynamodb.wire.signature import Keys, Signer
from actingweb.db.dynamodb.wire.variables import Variables

if TYPE_CHECKING:
    from botocore.session import Session

    from actingweb.db.dynamodb.wire.credentials import Credentials
    from actingweb.db.dynamodb.wire.service import Service

__all__ = ["Client"]

_TOLERATED_SECONDS = 240.0
"""How wrong a clock may be before it can be why a signature is refused: the service allows five minutes."""


class _Lane(NamedTuple):
    """What all requests have in common that one key pair signs."""

    keys: Keys
    signer: Signer
    target: Target
    connections: Connections


class Client:
    """Sends requests to DynamoDB or its Streams. Thread-safe; a child process must make its own.

    Attributes:
        credentials: that sign them.
        clock_codes: the errors that a wrong clock of ours can cause.
    """

    clock_codes = frozenset(
        {
            "InvalidSignatureException",
            "RequestExpired",
            "RequestInTheFuture",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
        }
    )

    def __init__(
        self,
        source: "Session | Variables",
        region: str,
        host: str | None,
        *,
        connections: int = 50,
        search_seconds: float = 5.0,
        api: Api = DYNAMODB,
    ) -> None:
        """Find endpoint and credentials, without a request to the endpoint.

        Args:
            source: says where the service is and which keys sign; a session of botocore knows all that AWS can.
            host: the URL of the endpoint; None lets the source say.
            connections: how many requests may be sent at once; others wait.
            search_seconds: how long looking for credentials of the host's role may take.
            api: the service that requests are for; variables alone know only DynamoDB itself.

        Raise botocore's exceptions for what is missing or wrong, `ValueError` for a URL that is none, `OSError` for
        certificates that cannot be read, and `WireError`.
        """
        self._size = connections
        self._api = api
        # By how many seconds the service's clock is ahead of ours.
        self._ahead = 0.0
        self._service: Service | Variables
        self.credentials: Credentials | Variables
        with silenced():
            if isinstance(source, Variables):
                self._service = self.credentials = source
            else:
                self._service, self.credentials = _asked(source, region, host, search_seconds, api)
            self._prepare()

    @property
    def url(self) -> str:
        """The URL of the endpoint."""
        return self._service.endpoint(self.credentials.keys().account).url

    def send(self, operation: str, request: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
        """Send a request once and return the meaning of its answer, in which binary values are Base64.

        Raise `WireError`, or botocore's exceptions if credentials cannot be refreshed, in which case nothing was sent.
        """
        return decoded(self.fetch(operation, request, limits))

    def fetch(self, operation: str, request: Mapping[str, Any], limits: Limits) -> bytes:
        """Send a request once and return the text of its answer, JSON. Raise the same as `send`.

        A request that is refused since it was signed by a wrong clock is sent again, signed by the service's.
        """
        body = encoded(request)
        started, ahead = time.monotonic(), self._ahead
        try:
            return content_of(self._exchange(operation, body, limits))
        except ServiceError as error:
            if not self._learn_clock(error, ahead):
                raise
        rest = limits.answer - (time.monotonic() - started)
        return content_of(self._exchange(operation, body, limits._replace(answer=rest)))

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._lane.connections.close()

    def _prepare(self) -> None:
        self._lane = self._lane_of(self.credentials.keys(), None)

    def _exchange(self, operation: str, body: bytes, limits: Limits) -> Answer:
        lane = self._lane
        keys = self.credentials.keys()
        if keys is not lane.keys:
            lane = self._lane = self._lane_of(keys, lane)
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + self._ahead))
        headers = headers_of(lane.target, lane.signer, operation, body, now)
        return lane.connections.exchange(head_of(lane.target, headers, len(body)) + body, limits)

    def _lane_of(self, keys: Keys, former: _Lane | None) -> _Lane:
        """Return what requests have in common that these keys sign; an endpoint keeps its connections."""
        endpoint = self._service.endpoint(keys.account)
        signer = Signer(keys.access_key, keys.secret_key, keys.token, endpoint.region)
        if former is not None and self._service.endpoint(former.keys.account) == endpoint:
            return _Lane(keys, signer, former.target, former.connections)
        target = self._service.target(endpoint)
        return _Lane(keys, signer, target, Connections(self._service.route(endpoint), self._size))

    def _learn_clock(self, error: ServiceError, assumed: float) -> bool:
        """Take over the service's clock if the one that was assumed can be why it refused; tell whether it was."""
        moment = sent_at(error)
        if error.code not in self.clock_codes or moment is None:
            return False
        ahead = moment - time.time()
        if abs(ahead - assumed) <= _TOLERATED_SECONDS:
            return False
        self._ahead = ahead
        return True


def _asked(
    session: "Session", region: str, host: str | None, search_seconds: float, api: Api
) -> "tuple[Service, Credentials]":
    # Imported here, because botocore takes most of a cold start.
    from actingweb.db.dynamodb.wire.credentials import Credentials
    from actingweb.db.dynamodb.wire.service import Service

    return Service(session, region, host, api), Credentials(session, region, search_seconds)
