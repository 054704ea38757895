"""A real nginx that splits requests by the actor id in the path."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from actingweb.embedded.process import free_port
from tests.support import wait_until

HOW_TO_GET_IT = "nginx is not installed: apt-get install nginx-light, or your system's package"

_CONFIGURATION = """
daemon off; pid {directory}/pid; error_log stderr crit; {user}
events {{ }}
http {{
    access_log off; keepalive_requests 1000000;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    map $uri $actor {{ "~^/(?<id>[^/]+)" $id; }}
    {splits}
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{answer}"; }} }}
}}
"""


def find_nginx() -> str | None:
    """Return the path of the program, None if it is not installed."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


@contextmanager
def splitting(program: str, percents: Sequence[str]) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection to an nginx that answers with `+` or `-`, for each share whether the actor is in it."""
    port = free_port()
    splits = "".join(
        f'split_clients $actor $share{number} {{ {percent}% "+"; {"" if percent == "100" else "* -;"} }}\n'
        for number, percent in enumerate(percents)
    )
    answer = "".join(f"$share{number}" for number in range(len(percents)))
    with tempfile.TemporaryDirectory(prefix="aw-nginx-") as name:
        user = "user root;" if os.getuid() == 0 else ""
        file = Path(name) / "nginx.conf"
        file.write_text(_CONFIGURATION.format(directory=name, splits=splits, port=port, answer=answer, user=user))
        process = subprocess.Popen([program, "-p", name, "-c", str(file)])
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            wait_until(lambda: process.poll() is not None or _answers(connection))
            yield connection
        finally:
            connection.close()
            process.terminate()
            process.wait()


def split(connection: http.client.HTTPConnection, actor_id: str) -> str:
    """Return the answer for a request to this actor."""
    connection.request("GET", f"/{quote(actor_id, safe='')}/properties")
    return connection.getresponse().read().decode()


def _answers(connection: http.client.HTTPConnection) -> bool:
    try:
        split(connection, "a")
    except OSError:
        connection.close()
        return False
    return True
