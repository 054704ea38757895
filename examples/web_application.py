"""A web application with the two probes that the files of `deploy/` ask for. Put your own in its place.

`/livez` answers while the process can answer. It does not ask the database, because a restart of the process mends no
database. `/readyz` answers 200 if calls can be served, else 503.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from actingweb import db

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request: the WSGI application."""
    if environ["PATH_INFO"] == "/livez":
        status, answer = "200 OK", {"status": "ok"}
    elif environ["PATH_INFO"] == "/readyz":
        answer = db.health(ready=True)
        status = "200 OK" if answer["status"] == "ok" else "503 Service Unavailable"
    else:
        status, answer = "404 Not Found", {"status": "error"}
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request. Closing waits for those under way."""

    daemon_threads = False


def main() -> None:
    """Serve until SIGTERM, then finish what is under way."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with make_server("", int(os.environ.get("PORT", "5000")), application, server_class=_Server) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
