"""A proxy in front of DynamoDB that records the requests and makes some of them fail."""

from __future__ import annotations

import http.client
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zlib import crc32

from testbed.threads import HelperServer

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Answer(NamedTuple):
    """An answer to a client.

    Attributes:
        checksum: the CRC32 of the body in the header, for answers that have this header.
        sent: how many bytes of the body are sent before the connection is closed; None sends all.
    """

    status: int
    body: bytes
    checksum: int | None = None
    sent: int | None = None

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


class Seen(NamedTuple):
    """A received request: its operation, as `PutItem`, its arguments, and the access key that signed it."""

    operation: str
    body: dict[str, Any]
    access_key: str


@dataclass
class Send:
    """Sends a request to the server when it is called."""

    request: Seen
    handler: _Handler

    def __call__(self, body: dict[str, Any] | None = None) -> Answer:
        """Send the request, or one with the arguments `body`, to the server and return its answer."""
        return self.handler.forwarded(None if body is None else json.dumps(body).encode())

    def reset(self) -> None:
        """Reset the connection to the client."""
        self.handler.reset()

    def wait(self, seconds: float | None) -> None:
        """Wait for this time, or until the proxy stops."""
        self.handler.server.stopping.wait(seconds)


Spoiler = Callable[[Send], Answer | None]
"""Returns the answer to a request, or None to close the connection."""


def lost(send: Send) -> None:
    """Let the server execute the request, but close the connection instead of answering."""
    send()


def dropped(_: Send) -> None:
    """Close the connection without executing the request."""


def reset(send: Send) -> None:
    """Reset the connection without executing the request."""
    send.reset()


def reset_late(send: Send) -> None:
    """Let the server execute the request, but reset the connection."""
    send()
    send.reset()


def failing(code: str, status: int = 400, message: str = "injected", **more: Any) -> Spoiler:
    """Answer with an error without executing the request."""
    error = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more}
    return lambda _: Answer(status, json.dumps(error).encode())


def failing_late(code: str, status: int) -> Spoiler:
    """Let the server execute the request, but answer with an error."""

    def spoil(send: Send) -> Answer | None:
        send()
        return failing(code, status)(send)

    return spoil


def cancelled(code: str) -> Spoiler:
    """Answer that the transaction was cancelled because of an error with this code in one of its actions."""

    def spoil(send: Send) -> Answer | None:
        causes = [{"Code": "None"} for _ in send.request.body.get("TransactItems", "?")]
        causes[-1] = {"Code": code, "Message": "injected"}
        return failing("TransactionCanceledException", CancellationReasons=causes)(send)

    return spoil


def answering(answer: dict[str, Any]) -> Spoiler:
    """Answer with `answer` without executing the request."""
    return raw(json.dumps(answer).encode())


def raw(body: bytes) -> Spoiler:
    """Answer with status 200 and this body."""
    return lambda _: Answer(200, body)


def late(seconds: float) -> Spoiler:
    """Let the server execute the request, and answer `seconds` later."""

    def spoil(send: Send) -> Answer:
        answer = send()
        send.wait(seconds)
        return answer

    return spoil


def held(send: Send) -> None:
    """Let the server execute the request, but hold the answer until the proxy stops."""
    send()
    send.wait(None)


def kept(send: Send) -> None:
    """Hold the request until the proxy stops."""
    send.wait(None)


def cut_off(send: Send) -> Answer:
    """Let the server execute the request, but close the connection in the middle of the answer."""
    answer = send()
    return answer._replace(sent=len(answer.body) // 2)


def damaged(send: Send) -> Answer:
    """Let the server execute the request, but change a byte in the middle of the answer, which remains JSON."""
    answer = send()
    middle = len(answer.body) // 2
    wrong = b"x" if answer.body[middle : middle + 1] != b"x" else b"y"
    return answer._replace(body=answer.body[:middle] + wrong + answer.body[middle + 1 :])


class SpoilingProxy(HelperServer, HTTPServer):
    """Forwards requests to a server.

    Attributes:
        seen: the received requests, in order.
        spoilers: the spoilers of the next requests; None forwards a request unchanged.
        always: the spoiler of each request when `spoilers` is empty.
    """

    request_queue_size = 128

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(url).netloc
        self.seen: list[Seen] = []
        self.spoilers: deque[Spoiler | None] = deque()
        self.always: Spoiler | None = None
        self.start()

    @property
    def url(self) -> str:
        """The URL that clients use as their endpoint."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def operations(self, call: Callable[[], object]) -> list[str]:
        """Call `call` and return the operations that it requested."""
        before = len(self.seen)
        call()
        return [request.operation for request in self.seen[before:]]

    def next_spoiler(self) -> Spoiler | None:
        """Return the spoiler of the next request."""
        try:
            return self.spoilers.popleft()
        except IndexError:
            return self.always


class _Handler(BaseHTTPRequestHandler):
    server: SpoilingProxy
    connection: socket.socket
    protocol_version = "HTTP/1.1"
    # Otherwise the last packet of an answer waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.body = self.rfile.read(size)
        if len(self.body) < size:
            raise ConnectionResetError("the client hung up, or the proxy stopped")
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        request = Seen(operation, json.loads(self.body), _access_key(self.headers["Authorization"]))
        self.server.seen.append(request)
        send = Send(request, self)
        spoiler = self.server.next_spoiler()
        answer = send() if spoiler is None else spoiler(send)
        if answer is None:
            self.close_connection = True
        else:
            self._answer(answer)

    def forwarded(self, other: bytes | None) -> Answer:
        """Send the request, or one with the body `other`, to the server and return its answer."""
        body = self.body if other is None else other
        headers = {**dict(self.headers.items()), "Content-Length": str(len(body))}
        upstream = http.client.HTTPConnection(self.server.target)
        try:
            upstream.request("POST", self.path, body, headers)
            answer = upstream.getresponse()
            text = answer.read()
            return Answer(answer.status, text, crc32(text))
        finally:
            upstream.close()

    def reset(self) -> None:
        """Close the connection to the client at once, so that the client sees it reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        os.close(self.connection.detach())

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.checksum is not None:
            self.send_header("x-amz-crc32", str(answer.checksum))
        self.end_headers()
        self._send_body(answer)

    def _send_body(self, answer: Answer) -> None:
        if answer.sent is not None:
            self.close_connection = True
        self.wfile.write(answer.body[: answer.sent])

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


def _access_key(authorization: str | None) -> str:
    return (authorization or "").partition("Credential=")[2].partition("/")[0]


@contextmanager
def spoiling_proxy(url: str) -> Iterator[SpoilingProxy]:
    """Yield a proxy for the server at `url`."""
    proxy = SpoilingProxy(url)
    try:
        yield proxy
    finally:
        proxy.stop()
