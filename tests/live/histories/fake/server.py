"""The fake over HTTP, as DynamoDB's JSON protocol has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from zlib import crc32

from testbed.threads import HelperServer
from tests.live.histories.fake.faults import ServiceError
from tests.live.histories.fake.service import FakeDynamoDB

__all__ = ["FakeServer", "fake_server"]


class FakeServer(HelperServer, HTTPServer):
    """Serves a fake, which can be replaced between two requests.

    Attributes:
        seen: the operations that were requested, in order.
    """

    request_queue_size = 128

    def __init__(self, fake: FakeDynamoDB) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake
        self.seen: list[str] = []
        self.start()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """Return status and body of the answer, None for one that is lost."""
        self.seen.append(operation)
        whims = self.fake.whims
        try:
            fault = whims.fault(operation)
            if fault is not None:
                raise fault
            answer = 200, self.fake.answer(operation, request)
        except ServiceError as error:
            answer = error.status, error.body()
        return None if whims.loses_answer(operation) else answer


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        answer = self.server.answer(operation, json.loads(body))
        if answer is None:
            self.close_connection = True
            return
        status, content = answer
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("x-amz-crc32", str(crc32(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


@contextmanager
def fake_server(fake: FakeDynamoDB) -> Iterator[FakeServer]:
    """Yield a server of a fake."""
    server = FakeServer(fake)
    try:
        yield server
    finally:
        server.stop()
