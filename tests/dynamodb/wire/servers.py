"""Servers for tests of the wire client: one that answers by a script, with TLS or not, and a forward proxy."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zlib import crc32

from testbed.threads import HelperServer


class Seen(NamedTuple):
    """A request that came, and the number of its connection."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


Reply = bytes | Iterable[bytes] | None
"""What is written, piece by piece; None closes the connection."""

CLOSE = b""
"""As a piece of a reply, it closes the connection."""


def reply(content: Any = None, status: int = 200, headers: str = "", date: str = "", checksum: bool = True) -> bytes:
    """Return an answer of DynamoDB."""
    body = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
    checksums = f"x-amz-crc32: {crc32(body)}\r\n" if checksum else ""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Date: {date or formatdate(usegmt=True)}\r\n{checksums}{headers}\r\n".encode() + body


def chunked(body: bytes, size: int) -> Iterator[bytes]:
    """Yield an answer in chunks of so many bytes."""
    yield f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amz-crc32: {crc32(body)}\r\n\r\n".encode()
    for begin in range(0, len(body), size):
        piece = body[begin : begin + size]
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    yield b"0\r\n\r\n"


class SecuredServer(HelperServer, HTTPServer):
    """A server that speaks TLS if `tls` is one."""

    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a client."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as secured:
            self._clients.add(secured)
            try:
                super().finish_request(secured, client_address)
            finally:
                self._clients.discard(secured)


class ScriptedServer(SecuredServer):
    """Answers each request by a script.

    Attributes:
        script: returns the reply to a request.
        seen: the requests that came.
        accepted: how many connections came about.
        most: how many were open at once.
    """

    request_queue_size = 128

    def __init__(
        self, script: Callable[[Seen], Reply], tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), _ScriptHandler)
        self.script = script
        self.seen: list[Seen] = []
        self.accepted = 0
        self.most = 0
        self.tls = tls
        self._open = 0
        self.start()

    def server_bind(self) -> None:
        """Bind without a look at the name of the host."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    @property
    def port(self) -> int:
        """The port for clients."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The endpoint for clients."""
        host = "[::1]" if self.address_family == socket.AF_INET6 else "127.0.0.1"
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a client, and count it."""
        self.accepted += 1
        self._open += 1
        self.most = max(self.most, self._open)
        try:
            super().finish_request(request, client_address)
        finally:
            self._open -= 1


class _ScriptHandler(BaseHTTPRequestHandler):
    server: ScriptedServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.number = self.server.accepted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, body, self.number)
        self.server.seen.append(seen)
        pieces = self.server.script(seen)
        if pieces is None:
            self.close_connection = True
            return
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            if piece == CLOSE:
                self.close_connection = True
                return
            self.wfile.write(piece)
            self.wfile.flush()

    def do_GET(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


@contextmanager
def scripted(
    script: Callable[[Seen], Reply], tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> Iterator[ScriptedServer]:
    """Yield a server that answers by a script."""
    server = ScriptedServer(script, tls, address)
    try:
        yield server
    finally:
        server.stop()


def paused(server: HelperServer, pieces: Iterable[bytes], seconds: float) -> Iterator[bytes]:
    """Yield pieces so far apart, until the server stops."""
    for piece in pieces:
        yield piece
        if server.stopping.wait(seconds):
            return


class ForwardProxy(SecuredServer):
    """A forward proxy: tunnels for CONNECT, forwarding for whole URLs.

    Attributes:
        password: of its user `user`; None lets everybody in.
        tunnels: the places that tunnels were opened to.
        forwarded: the URLs of requests that it forwarded.
    """

    def __init__(self, password: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.password = password
        self.tls = tls
        self.tunnels: list[str] = []
        self.forwarded: list[str] = []
        self.start()

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"


class _ProxyHandler(BaseHTTPRequestHandler):
    server: ForwardProxy
    connection: socket.socket
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_CONNECT(self) -> None:
        self.close_connection = True
        if not self._may_pass():
            return
        host, _, port = self.path.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port))) as server:
                self.server.tunnels.append(self.path)
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._relay(server)
        except ConnectionRefusedError:
            self.send_error(502)

    def _relay(self, server: socket.socket) -> None:
        ends = {self.connection: server, server: self.connection}
        while not self.server.stopping.is_set():
            # What TLS has decrypted already, no system call tells of.
            decrypted = [end for end in ends if isinstance(end, ssl.SSLSocket) and end.pending()]
            for source in decrypted or select.select(list(ends), [], [], 0.05)[0]:
                data = source.recv(65536)
                if not data:
                    return
                ends[source].sendall(data)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._may_pass():
            return
        self.server.forwarded.append(self.path)
        url = urlsplit(self.path)
        with contextlib.closing(http.client.HTTPConnection(url.netloc)) as upstream:
            headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
            upstream.request("POST", url.path, body, headers)
            answer = upstream.getresponse()
            text = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("date", "server"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _may_pass(self) -> bool:
        if self.server.password is None:
            return True
        kind, _, pair = self.headers.get("Proxy-Authorization", "").partition(" ")
        if kind == "Basic" and b64decode(pair).decode() == f"user:{self.server.password}":
            return True
        self.send_response(407)
        self.send_header("Proxy-Authenticate", "Basic")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, *arguments: Any) -> None:
        return


@contextmanager
def forward_proxy(password: str | None = None, tls: ssl.SSLContext | None = None) -> Iterator[ForwardProxy]:
    """Yield a forward proxy."""
    proxy = ForwardProxy(password, tls)
    try:
        yield proxy
    finally:
        proxy.stop()
