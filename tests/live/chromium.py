"""A real Chromium without a window, driven over a pipe by its DevTools protocol."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support import PATIENCE

HOW_TO_GET_IT = "Chromium is not installed: apt-get install chromium, or your system's package"

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
_READ, _WRITE = 3, 4
"""The descriptors on which Chromium reads and writes."""


def find_chromium() -> str | None:
    """Return the path of the program, None if it is not installed."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab of the browser.

    Attributes:
        complaints: errors of the page and what its security policy has blocked.
        requested: the URLs that were asked for.
    """

    def __init__(self, pipe: _Pipe) -> None:
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self._pipe = pipe
        target = pipe.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = pipe.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        pipe.listener = self._noted
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol on this tab."""
        return self._pipe.call(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """Return the value of an expression in JavaScript. Raise `RuntimeError` if it fails."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """Return what an element shows, empty if there is none."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """Set the size of the window."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def use_colours(self, scheme: str) -> None:
        """Prefer "light" or "dark" colours."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """Return what the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _noted(self, message: dict[str, Any]) -> None:
        parameters = message["params"]
        if message["method"] == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])
        elif message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])


@contextmanager
def browser(program: str) -> Iterator[Page]:
    """Yield a tab of a browser of its own."""
    to_browser, from_us = _pipe()
    from_browser, to_us = _pipe()
    with tempfile.TemporaryDirectory(prefix="aw-chromium-", ignore_cleanup_errors=True) as profile:
        # The shell puts the pipes where Chromium expects them.
        command = f'exec "$@" {_READ}<&{to_browser} {_WRITE}>&{to_us}'
        arguments = [program, *_OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            ["/bin/bash", "-c", command, "bash", *arguments],
            pass_fds=(to_browser, to_us),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile, "XDG_CONFIG_HOME": str(Path(profile) / "config")},
        )
        os.close(to_browser)
        os.close(to_us)
        pipe = _Pipe(from_us, from_browser)
        try:
            yield Page(pipe)
        finally:
            pipe.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _pipe() -> tuple[int, int]:
    """Return both ends of a pipe, apart from the descriptors that Chromium expects."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


class _Pipe:
    """Messages to and from the browser. Each is JSON and ends with a zero byte."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.listener: Any = lambda message: None
        self._writer = os.fdopen(to_browser, "wb", buffering=0)
        self._reader = os.fdopen(from_browser, "rb")
        self._answers: dict[int, dict[str, Any]] = {}
        self._answered = threading.Condition()
        self._ended = False
        self._calls = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Return the result of a method."""
        self._calls += 1
        number = self._calls
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        self._writer.write(json.dumps(message).encode() + b"\0")
        with self._answered:
            if not self._answered.wait_for(lambda: number in self._answers or self._ended, PATIENCE):
                raise TimeoutError(method)
            answer = self._answers.pop(number, {"error": "the browser has ended"})
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """End the browser, and wait until it says no more."""
        with suppress(BrokenPipeError):
            self._writer.write(b'{"id": 0, "method": "Browser.close"}\0')
        self._writer.close()
        self._thread.join()
        self._reader.close()

    def _listen(self) -> None:
        rest = b""
        while chunk := self._reader.read1():
            *whole, rest = (rest + chunk).split(b"\0")
            for text in whole:
                self._take(json.loads(text))
        with self._answered:
            self._ended = True
            self._answered.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            self.listener(message)
            return
        with self._answered:
            self._answers[message["id"]] = message
            self._answered.notify_all()
