"""A TCP relay that adds the delay of a network, or tells what clients send.

`python -m benchmarks.relay HOST PORT SECONDS` relays in a process of its own, so that it takes no time from those whom
it delays; it prints its port and ends with its input.
"""

import contextlib
import ctypes
import select
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["NETWORK_CALLS", "NETWORK_SECONDS", "Relay", "network"]

Listener = Callable[[bytes], None]

NETWORK_SECONDS = 0.001
"""What a network adds to a round trip."""
NETWORK_CALLS = 20
"""Calls of one round over it, at most."""

_CHUNK = 1 << 18
_SET_TIMER_SLACK = 29


class Relay(socketserver.ThreadingTCPServer):
    """Relays the connections to one server.

    Args:
        delay: seconds by which each direction is held back.
        listener: makes what is told the bytes of one client, before the server has them.
    """

    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self, host: str, port: int, delay: float = 0.0, listener: Callable[[], Listener] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = (host, port)
        self.delay = delay
        self.listener = listener
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 that clients connect to."""
        port: int = self.server_address[1]
        return port

    def stop(self) -> None:
        """Refuse new connections."""
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as upstream:
            for end in (self.request, upstream):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener = self.server.listener() if self.server.listener else None
            answers = threading.Thread(target=self._relay, args=(upstream, self.request, None), daemon=True)
            answers.start()
            self._relay(self.request, upstream, listener)
            answers.join()

    def _relay(self, source: socket.socket, target: socket.socket, listener: Listener | None) -> None:
        delay = self.server.delay
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if delay:
                    time.sleep(delay)
                    # What followed meanwhile was on its way at the same time.
                    while select.select([source], [], [], 0)[0] and (more := source.recv(_CHUNK)):
                        data += more
                if listener is not None:
                    listener(data)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def network(host: str, port: int) -> Iterator[int]:
    """Yield the port of a relay that adds `NETWORK_SECONDS` to a round trip."""
    command = [sys.executable, "-m", "benchmarks.relay", host, str(port), str(NETWORK_SECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def main() -> None:
    """Relay until the input ends."""
    host, port, seconds = sys.argv[1:]
    with contextlib.suppress(OSError, AttributeError):
        # Linux may wake sleepers 50 µs late; threads inherit what is asked for here.
        ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, 1)
    relay = Relay(host, int(port), float(seconds) / 2)
    print(relay.port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
