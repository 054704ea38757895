"""A network with 1 ms per round trip: `python -m testbed.network HOST PORT` starts a delaying relay, prints its port.

The relay runs in a process of its own, so that it takes no processor time from the client. It ends when its stdin ends.
"""

import contextlib
import ctypes
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.tcp_proxy import TcpProxy

__all__ = ["CALLS", "SECONDS", "network"]

SECONDS = 0.001
"""The delay that the network adds to a round trip."""
CALLS = 20
"""The most calls of one round that are made over the network."""

_SET_TIMER_SLACK = 29


@contextmanager
def network(host: str, port: int) -> Iterator[int]:
    """Yield the port of a relay to this server."""
    command = [sys.executable, "-m", "testbed.network", host, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    with contextlib.suppress(OSError, AttributeError):
        # Linux may end a sleep 50 µs late. Threads inherit this setting.
        ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, 1)
    proxy = TcpProxy(sys.argv[1], int(sys.argv[2]))
    proxy.delay = SECONDS / 2
    print(proxy.port, flush=True)
    sys.stdin.read()
