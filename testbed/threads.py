"""Helper threads of tests: none outlives the test that starts it, and what one raises fails that test.

* `HelperThreads`: starts functions in threads; `join` waits for them.
* `HelperServer`: a base of `socketserver` servers, whose `stop` ends all threads of the server.
* `threads_left`: returns the threads that a test left running; a fixture of tests/conftest.py calls it after each test.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

PATIENCE = 120.0
"""Seconds after which a test stops waiting and fails; far more than a busy machine takes."""

# The threads of psycopg's pool and of `actingweb.db.aio`, which are kept from one test to the next.
_POOL_THREADS = ("-scheduler", "-worker-")
_AIO_THREAD = "actingweb-aio"


class HelperThreads:
    """Threads that are joined together."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._faults: list[BaseException] = []

    def start(self, function: Callable[..., object], *arguments: object) -> threading.Thread:
        """Call `function` in a thread."""
        # A daemon thread, so that a hanging one does not keep the test process alive.
        thread = threading.Thread(target=self._run, args=(function, *arguments), daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def join(self) -> None:
        """Wait until all threads have ended, and raise the first exception that one of them raised."""
        deadline = time.monotonic() + PATIENCE
        # Threads may start other threads in the meantime.
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), f"{thread} does not end"
        self._threads.clear()
        faults, self._faults = self._faults, []
        for fault in faults:
            raise fault

    def _run(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            function(*arguments)
        except BaseException as fault:  # noqa: BLE001 - `join` raises it
            self._faults.append(fault)


class HelperServer(socketserver.BaseServer):
    """Serves each client in a thread of its own, from `start` to `stop`. A mix-in, before the class of the server."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.threads = HelperThreads()
        self.stopping = threading.Event()
        self._clients: set[socket.socket] = set()
        super().__init__(*arguments, **named)

    def start(self) -> None:
        """Begin to serve."""
        self.threads.start(self.serve_forever, 0.02)

    def stop(self) -> None:
        """Stop accepting clients, disconnect the others, and raise the first exception of a thread. Can be repeated."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        self.threads.join()

    def hang_up(self) -> None:
        """Close other connections of the handlers than those to clients. Does nothing here."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client in a thread."""
        self._clients.add(request)
        self.threads.start(self._serve, request, client_address)

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            # Tests close connections on purpose, so that is not an error.
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
        finally:
            self._clients.discard(request)
            self.shutdown_request(request)


def threads_left(before: Collection[threading.Thread], seconds: float = 30.0) -> list[threading.Thread]:
    """Return the threads that are not in `before` and do not end within `seconds`."""
    left = [thread for thread in threading.enumerate() if thread not in before and not _of_a_pool(thread)]
    if left:
        # A traceback can keep a generator alive, which ends its threads only when it is collected.
        gc.collect()
    deadline = time.monotonic() + seconds
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in left if thread.is_alive()]


def _of_a_pool(thread: threading.Thread) -> bool:
    of_psycopg = thread.name.startswith("pool-") and any(part in thread.name for part in _POOL_THREADS)
    return of_psycopg or thread.name == _AIO_THREAD
