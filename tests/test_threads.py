"""Helper threads are waited for, and what they raise is not lost."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from testbed.threads import HelperServer, HelperThreads, threads_left
from tests.support import wait_until


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        word = self.request.recv(10)
        self.server.met.set()
        if word == b"fail":
            raise ZeroDivisionError
        self.request.recv(10)


class _Server(HelperServer, socketserver.TCPServer):
    def __init__(self) -> None:
        self.met = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.start()

    def meet(self, word: bytes) -> socket.socket:
        """Have a client who says something, and is heard."""
        client = socket.create_connection(("127.0.0.1", self.server_address[1]))
        client.sendall(word)
        assert self.met.wait(60)
        return client


@pytest.fixture
def before() -> Iterator[set[threading.Thread]]:
    """Return the threads that were there before the test, and see that it left no other."""
    threads = set(threading.enumerate())
    yield threads
    assert threads_left(threads) == []


def test_threads_are_waited_for() -> None:
    threads, done = HelperThreads(), threading.Event()
    threads.start(done.wait)
    threads.start(done.set)
    threads.join()


def test_what_a_thread_raises_is_raised_in_the_end() -> None:
    threads = HelperThreads()
    threads.start(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        threads.join()
    threads.join()


def test_a_thread_that_is_left_behind_is_found(before: set[threading.Thread]) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert threads_left(before, 0.05) == [thread]
    done.set()


def test_a_server_hangs_up_on_clients_that_stay(before: set[threading.Thread]) -> None:
    server = _Server()
    with server.meet(b"stay") as client:
        server.stop()
        assert client.recv(10) == b""
    assert threads_left(before) == []
    server.stop()


def test_what_a_handler_raises_is_raised_by_the_stop(before: set[threading.Thread]) -> None:
    server = _Server()
    server.meet(b"fail").close()
    wait_until(lambda: len(threading.enumerate()) == len(before) + 1)
    with pytest.raises(ZeroDivisionError):
        server.stop()
