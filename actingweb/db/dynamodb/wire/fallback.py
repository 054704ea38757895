"""The same requests over botocore's signer and HTTP session, for where the wire client's own fail."""

from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any

from botocore import exceptions as botocore
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from actingweb.db.dynamodb.driver_logging import silenced
from actingweb.db.dynamodb.wire import failures
from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.connections import Limits
from actingweb.db.dynamodb.wire.endpoint import USER_AGENT, trusting
from actingweb.db.dynamodb.wire.failures import WireError
from actingweb.db.dynamodb.wire.messages import Answer, unsigned_headers

__all__ = ["FallbackClient"]

_FAILURES: tuple[tuple[type[Exception], type[WireError]], ...] = (
    (botocore.SSLError, failures.TlsError),
    (botocore.ProxyConnectionError, failures.ProxyError),
    (botocore.ConnectTimeoutError, failures.ConnectTimeoutError),
    (botocore.ReadTimeoutError, failures.NoAnswerError),
    (botocore.ConnectionError, failures.NotConnectedError),
    (botocore.HTTPClientError, failures.ConnectionLostError),
)


class FallbackClient(Client):
    """The same as the client, but the clock must be right, and each packet of an answer has the time of a whole one."""

    clock_codes = frozenset()

    def _prepare(self) -> None:
        self._sessions: dict[float, URLLib3Session] = {}
        if self.url.startswith("https:"):
            trusting(self._service.authorities)  # of a bad file botocore only says that there is no connection

    def _exchange(self, operation: str, body: bytes, limits: Limits) -> Answer:
        keys = self.credentials.keys()
        endpoint = self._service.endpoint(keys.account)
        headers = {**unsigned_headers(self._api, operation), "User-Agent": USER_AGENT}
        request = AWSRequest("POST", endpoint.url, headers, body)
        request.context["read_timeout"] = limits.answer
        failure: WireError
        try:
            with silenced():
                signer = SigV4Auth(
                    Credentials(keys.access_key, keys.secret_key, keys.token), "dynamodb", endpoint.region
                )
                signer.add_auth(request)
                answer = self._session(endpoint.url, limits.connect).send(request.prepare())
        except tuple(known for known, _ in _FAILURES) as error:
            failure = next(made() for known, made in _FAILURES if isinstance(error, known))
        else:
            if len(answer.content) >= int(answer.headers.get("content-length", 0)):
                return Answer(answer.status_code, answer.headers, answer.content)
            failure = failures.ConnectionLostError()
        raise failure

    def _session(self, url: str, connect_seconds: float) -> URLLib3Session:
        if connect_seconds not in self._sessions:
            # Its types are wrong in the stubs.
            settings: dict[str, Any] = {
                "verify": self._service.authorities,
                "proxies": get_environ_proxies(url),
                "timeout": (connect_seconds, connect_seconds),
                "max_pool_connections": self._size,
                "socket_options": [(IPPROTO_TCP, TCP_NODELAY, 1)],
            }
            self._sessions[connect_seconds] = URLLib3Session(**settings)
        return self._sessions[connect_seconds]

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
