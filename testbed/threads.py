"""Helper threads of tests: none outlives the test that starts it, and what one raises fails that test.

* `HelperThreads`: starts functions in threads; `join` waits for them.
* `HelperServer`: makes a `socketserver` server whose threads end with its `stop`.
* `threads_left`: the threads that a test left behind; a fixture of tests/conftest.py asks after each test.
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

# Those of psycopg's pool, which the backend keeps from one test to the next.
_POOL_THREADS = ("-scheduler", "-worker-")


class HelperThreads:
    """Threads that are joined together."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._faults: list[BaseException] = []

    def start(self, function: Callable[..., object], *arguments: object) -> threading.Thread:
        """Call `function` in a thread."""
        # A daemon, so that one that hangs ends with the tests.
        thread = threading.Thread(target=self._run, args=(function, *arguments), daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def join(self) -> None:
        """Wait until all threads have ended, and raise the first exception that one of them raised."""
        deadline = time.monotonic() + PATIENCE
        # Threads may start others meanwhile.
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
    """Serves each client in a thread of its own, from `start` to `stop`; to be mixed in before a server's class."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.threads = HelperThreads()
        self.stopping = threading.Event()
        self._clients: set[socket.socket] = set()
        super().__init__(*arguments, **named)

    def start(self) -> None:
        """Begin to serve."""
        self.threads.start(self.serve_forever, 0.02)

    def stop(self) -> None:
        """Refuse new clients, hang up on the others, and raise what a thread raised. Do nothing if that is done."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        self.threads.join()

    def hang_up(self) -> None:
        """Close what handlers have open besides the connections of clients."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client in a thread."""
        self._clients.add(request)
        self.threads.start(self._serve, request, client_address)

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            # A client or a server that hangs up is what these servers are for.
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
        finally:
            self._clients.discard(request)
            self.shutdown_request(request)


def threads_left(before: Collection[threading.Thread], seconds: float = 30.0) -> list[threading.Thread]:
    """Return the threads that were not there before and do not end by themselves within `seconds`."""
    left = [thread for thread in threading.enumerate() if thread not in before and not _of_a_pool(thread)]
    if left:
        # A generator that an exception's traceback keeps ends its threads when it is collected.
        gc.collect()
    deadline = time.monotonic() + seconds
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in left if thread.is_alive()]


def _of_a_pool(thread: threading.Thread) -> bool:
    return thread.name.startswith("pool-") and any(part in thread.name for part in _POOL_THREADS)
