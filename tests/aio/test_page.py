"""The application of docs/asynchronous.md, in an environment that has FastAPI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from actingweb.db.registry import Backend
from testbed.environments import InstallationError, cached_environment
from tests.supply.packages import ROOT

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
# What a server does, without one.
CLIENT = """
import asyncio, json
from app import app

async def request(method, path, query=""):
    sent = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
             "query_string": query.encode(), "headers": [], "scheme": "http", "server": ("test", 80), "root_path": ""}
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))

async def main():
    created = await asyncio.gather(*(request("PUT", f"/people/p{n}", f"email=p{n}@example.com") for n in range(20)))
    found = await asyncio.gather(*(request("GET", "/people", f"email=p{n}@example.com") for n in range(21)))
    print(json.dumps([created, found, await request("GET", "/count"), await request("GET", "/healthz")]))

asyncio.run(main())
"""


@pytest.mark.backends("postgresql")
def test_the_application_of_the_page_serves_many_at_once(backend: Backend, tmp_path: Path) -> None:
    (code,) = CODE.findall((ROOT / "docs/asynchronous.md").read_text())
    (tmp_path / "app.py").write_text(code)
    (tmp_path / "client.py").write_text(CLIENT)
    path = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    try:
        with cached_environment("fastapi", "fastapi>=0.115") as python:
            done = subprocess.run(
                [str(python), "client.py"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                check=False,
            )
    except InstallationError as error:
        pytest.skip(f"FastAPI cannot be installed: {error}")
    assert done.returncode == 0, done.stderr
    created, found, count, healthz = json.loads(done.stdout)
    assert created == [[200, {"created": True}]] * 20
    assert found == [*([200, {"id": f"p{number}"}] for number in range(20)), [404, {"detail": "Not Found"}]]
    assert count == [200, 20]
    assert (healthz[0], healthz[1]["status"]) == (200, "ok")
