"""Answers that were damaged on their way, or are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from zlib import crc32

import pytest

from actingweb.migration.errors import SourceError
from actingweb.migration.source.endpoint import Endpoint, RetryLimits
from testbed.threads import HelperServer
from tests.conftest import SetEnv

_PAGE = json.dumps({"Items": [{"id": {"S": "a"}}], "Count": 1}).encode()


class _Damaging(BaseHTTPRequestHandler):
    """Gives one answer, as often as the server says with the checksum of another."""

    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        damaged = self.server.damages > 0
        self.server.damages -= 1
        self.send_response(200)
        body = self.server.body
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amz-crc32", str(crc32(body + b"?" if damaged else body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


class _Server(HelperServer, HTTPServer):
    damages = 0
    body = _PAGE


@contextmanager
def _server(damages: int, body: bytes = _PAGE) -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Damaging)
    server.damages, server.body = damages, body
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def credentials(set_env: SetEnv) -> None:
    set_env(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local")


def test_a_damaged_answer_is_asked_for_again() -> None:
    with _server(damages=2) as url:
        endpoint = Endpoint("us-west-1", url, None, 1)
        assert endpoint.call("Scan", {"TableName": "actors"})["Body"] == _PAGE


def test_answers_that_stay_damaged_are_a_fault() -> None:
    with _server(damages=10**6) as url:
        endpoint = Endpoint("us-west-1", url, None, 1, RetryLimits(failed=0.3))
        with pytest.raises(SourceError, match="failed to answer"):
            endpoint.call("Scan", {"TableName": "actors"})


@pytest.mark.parametrize(
    ("body", "reason"), [(b'{"Table": {', "failed to answer"), (b"{}", "not a description of a table")]
)
def test_an_answer_that_describes_no_table_is_a_fault(body: bytes, reason: str) -> None:
    with _server(damages=0, body=body) as url:
        endpoint = Endpoint("us-west-1", url, None, 1, RetryLimits(failed=0.3))
        with pytest.raises(SourceError, match=reason):
            endpoint.describe("actors")
