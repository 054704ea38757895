"""A real nginx with the configuration of `deploy/`, before two small servers that say which side they are."""

from __future__ import annotations

import http.client
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple
from urllib.parse import quote

from actingweb.embedded.process import free_port
from tests.support import wait_until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "split-traffic"
EVERYTHING_BLUE = """
split_clients $actingweb_actor $actingweb_side { * dynamodb; }
map $host $actingweb_system_side { default dynamodb; }
"""

_MAIN = """
daemon off; pid {directory}/pid; error_log {directory}/errors warn; {user} worker_processes 1;
events {{ }}
http {{
    access_log off; keepalive_requests 1000000;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    include {directory}/blue-green.conf;
}}
"""


class Answer(NamedTuple):
    """An answer: its status, its headers, and its text, which is the side."""

    status: int
    headers: Mapping[str, str]
    side: str


@dataclass
class Backend:
    """A server that answers with the name of its side.

    Attributes:
        slow: set when a request for `/slow` has arrived, which is answered when `go_on` is set.
    """

    side: str
    slow: Event = field(default_factory=Event)
    go_on: Event = field(default_factory=Event)

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Yield the port."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            self.go_on.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith("/slow"):
                    backend.slow.set()
                    backend.go_on.wait()
                body = backend.side.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Got-New-Actor", self.headers.get("ActingWeb-New-Actor", "none"))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@dataclass
class Balancer:
    """A running nginx.

    Attributes:
        environment: that of `deploy/split-traffic`.
    """

    port: int
    environment: Mapping[str, str]
    split_file: Path
    backends: Mapping[str, Backend]

    def split(self, text: str) -> subprocess.Popen[str]:
        """Let the script take a split."""
        process = subprocess.Popen(
            [SCRIPT], env={**os.environ, **self.environment}, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
        return process

    def get(self, *paths: str) -> list[Answer]:
        """Return the answers to requests for paths, on one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        answers = []
        for path in paths:
            connection.request("GET", path)
            response = connection.getresponse()
            answers.append(Answer(response.status, dict(response.headers), response.read().decode()))
        connection.close()
        return answers

    def sides(self, actor_ids: list[str]) -> dict[str, str]:
        """Return which side answers for each actor, `held` for none."""
        answers = self.get(*(f"/{quote(one, safe='')}/properties" for one in actor_ids))
        return {
            one: "held" if answer.status == 503 else answer.side for one, answer in zip(actor_ids, answers, strict=True)
        }


@contextmanager
def balancing(program: str, directory: Path) -> Iterator[Balancer]:
    """Start both servers, and nginx with the configuration of `deploy/` but for ports and the place of the split."""
    backends = {side: Backend(side) for side in ("dynamodb", "postgresql")}
    with ExitStack() as stack:
        ports = {side: stack.enter_context(backend.serving()) for side, backend in backends.items()}
        port, split_file, main = free_port(), directory / "split.conf", directory / "nginx.conf"
        text = (ROOT / "deploy" / "nginx-blue-green.conf").read_text()
        replaced = {
            "listen 80;": f"listen 127.0.0.1:{port};",
            "127.0.0.1:5000;": f"127.0.0.1:{ports['dynamodb']};",
            "127.0.0.1:5001;": f"127.0.0.1:{ports['postgresql']};",
            "/etc/nginx/actingweb-split.conf": str(split_file),
        }
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        (directory / "blue-green.conf").write_text(text)
        split_file.write_text(EVERYTHING_BLUE)
        main.write_text(_MAIN.format(directory=directory, user="user root;" if os.getuid() == 0 else ""))
        command = [program, "-p", str(directory), "-c", str(main)]
        process = subprocess.Popen(command)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        environment = {"NGINX": shlex.join([*command, "-e", "stderr"]), "NGINX_SPLIT": str(split_file)}
        balancer = Balancer(port, environment | {"NGINX_PID": str(directory / "pid")}, split_file, backends)
        wait_until(lambda: process.poll() is not None or _answers(balancer))
        yield balancer


def _answers(balancer: Balancer) -> bool:
    try:
        return bool(balancer.get("/a"))
    except OSError:
        return False
