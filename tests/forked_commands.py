"""Commands for a shell that run Python programs in forks, see `tests.forked`."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path

from tests.forked import CONTEXT, become
from tests.support import wait_until

_FORK = multiprocessing.get_context("fork")
_BIN = Path(sys.executable).parent
_PROGRAMS = {"python": (), "actingweb-db": (str(_BIN / "actingweb-db"),), "alembic": (str(_BIN / "alembic"),)}
"""The commands, with the arguments of the interpreter that come before their own."""

_LARGEST_REQUEST = 1 << 20
# It starts in a hundredth of a second, since it imports nothing from other packages.
_COMMAND = """#!{python} -IS
import json, os, signal, socket, sys
arguments = [*{before!r}, *sys.argv[1:]]
if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-", "-c", "-m")):
    os.execv({python!r}, ["python", *arguments])
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({address!r})
request = json.dumps([arguments, os.getcwd(), dict(os.environ)])
socket.send_fds(server, [request.encode()], [0, 1, 2])
# Not before: the first message is the request.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: server.send(bytes([number])))
code = int(server.recv(16) or os.EX_SOFTWARE)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextmanager
def commands(directory: Path) -> Iterator[None]:
    """Put `python`, `actingweb-db` and `alembic` into a directory; they work for the time of the `with` block.

    The program gets the arguments, directory, environment, standard streams and signals of the command, which ends as
    the program does. A command that is killed kills its program. Other options of `python` start an interpreter.
    """
    address = directory / "forks"
    server = CONTEXT.Process(target=_serve, args=(address,))
    server.start()
    try:
        wait_until(address.exists)
        for name, before in _PROGRAMS.items():
            command = directory / name
            command.write_text(_COMMAND.format(python=sys.executable, before=before, address=str(address)))
            command.chmod(0o755)
        yield
    finally:
        server.terminate()
        server.join()


def _serve(address: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # A file of this name exists once connections are accepted.
    unready = address.with_name("unready")
    listener.bind(str(unready))
    listener.listen()
    unready.rename(address)
    while True:
        client, _ = listener.accept()
        multiprocessing.active_children()  # reaps
        _FORK.Process(target=_attend, args=(listener, client)).start()
        client.close()


def _attend(listener: socket.socket, client: socket.socket) -> None:
    """Run the program that a command asks for; pass signals to it, and its end to the command."""
    listener.close()
    request, streams, _, _ = socket.recv_fds(client, _LARGEST_REQUEST, 3)
    arguments, directory, environment = json.loads(request)
    program = _FORK.Process(target=_be, args=(client, arguments, Path(directory), environment, streams))
    program.start()
    for descriptor in streams:
        os.close(descriptor)
    while program.sentinel not in wait([client, program.sentinel]):
        number = client.recv(1)
        os.kill(program.pid or 0, number[0] if number else signal.SIGKILL)
        if not number:
            return
    program.join()
    client.send(str(program.exitcode).encode())


def _be(
    client: socket.socket, arguments: list[str], directory: Path, environment: dict[str, str], streams: list[int]
) -> None:
    client.close()
    sys.path.insert(0, "")
    become(arguments, directory, environment, streams)
