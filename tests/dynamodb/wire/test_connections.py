"""Connections: kept, few, never half-read, each phase within its time, whatever the server does."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.connections import Connections, Limits, Route, open_connections
from actingweb.db.dynamodb.wire.failures import (
    ConnectionLostError,
    ConnectTimeoutError,
    GarbledAnswerError,
    NoAnswerError,
    NotConnectedError,
    ServiceError,
)
from testbed.threads import HelperThreads

from .conftest import Make
from .servers import CLOSE, Reply, ScriptedServer, Seen, chunked, paused, reply, scripted

AMPLE = Limits(60, 60)
SHORT = Limits(60, 0.4)
"""For an answer that never comes."""

TEXT = json.dumps({"Item": {"id": {"S": "äöü 漢字 😀" * 100}}}, ensure_ascii=False).encode()


def echo(seen: Seen) -> Reply:
    return reply(json.loads(seen.body))


def get(client: Client, limits: Limits = AMPLE, **request: object) -> dict[str, object]:
    return client.send("GetItem", request, limits)


class TestKeptConnections:
    def test_one_after_another_over_one(self, make: Make) -> None:
        with scripted(echo) as server:
            client = make(server.url)
            assert [get(client, Number=number) for number in range(5)] == [{"Number": number} for number in range(5)]
            assert server.accepted == 1

    @pytest.mark.parametrize("header", ["Connection: close\r\n", ""])
    def test_a_server_that_closes_after_each_answer(self, make: Make, header: str) -> None:
        """With an announcement and without: no write is sent on a connection that is closed."""
        with scripted(lambda seen: [reply(json.loads(seen.body), headers=header), CLOSE]) as server:
            client = make(server.url)
            for number in range(10):
                assert get(client, Number=number) == {"Number": number}
                if not header:
                    wait_for_end(client)
            assert len(server.seen) == server.accepted == 10

    def test_a_server_that_speaks_http_1_0(self, make: Make) -> None:
        text = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        with scripted(lambda _: [text, CLOSE]) as server:
            client = make(server.url)
            assert [get(client) for _ in range(3)] == [{}] * 3

    def test_more_than_the_answer(self, wire: Make) -> None:
        """What nobody asked for is no answer to the next request."""
        with scripted(lambda seen: reply(json.loads(seen.body)) + reply({"forged": True})) as server:
            client = wire(server.url)
            for number in range(5):
                assert get(client, Number=number) == {"Number": number}

    def test_what_comes_late_is_no_answer_to_the_next_request(self, make: Make) -> None:
        def script(seen: Seen) -> Reply:
            if len(server.seen) == 1:
                server.stopping.wait(1.5)
            return echo(seen)

        with scripted(script) as server:
            client = make(server.url)
            with pytest.raises(NoAnswerError):
                get(client, SHORT, Number=0)
            assert [get(client, Number=number) for number in range(1, 20)] == [{"Number": n} for n in range(1, 20)]
            assert len({seen.connection for seen in server.seen[1:]}) == 1 < server.accepted

    def test_a_connection_idle_for_long_is_left(self, wire: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        with scripted(echo) as server:
            client = wire(server.url)
            get(client)
            monkeypatch.setattr("actingweb.db.dynamodb.wire.connections._IDLE_SECONDS", -1.0)
            get(client)
            assert server.accepted == 2

    def test_an_exception_from_outside_leaves_no_connection_half_read(self, wire: Make) -> None:
        class InterruptionError(BaseException):
            pass

        def interrupt(*_: object) -> None:
            raise InterruptionError

        def script(seen: Seen) -> Reply:
            if len(server.seen) == 1:
                os.kill(os.getpid(), signal.SIGUSR1)
                server.stopping.wait(0.5)
            return echo(seen)

        former = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with scripted(script) as server:
                client = wire(server.url, connections=1)
                with pytest.raises(InterruptionError):
                    get(client, Number=0)
                assert get(client, Number=1) == {"Number": 1}
        finally:
            signal.signal(signal.SIGUSR1, former)


def wait_for_end(client: Client) -> None:
    """Wait until the end of its kept connection has come."""
    lane = getattr(client, "_lane", None)
    if lane is None:
        time.sleep(0.2)
        return
    for connection in lane.connections._idle:
        connection._socket.settimeout(60)
        assert connection._socket.recv(1, socket.MSG_PEEK) == b""


class TestFewConnections:
    def test_at_most_so_many(self, wire: Make) -> None:
        def script(seen: Seen) -> Reply:
            server.stopping.wait(0.02)
            return echo(seen)

        with scripted(script) as server, ThreadPoolExecutor(12) as threads:
            client = wire(server.url, connections=3)
            found = list(threads.map(lambda number: get(client, Number=number), range(60)))
            assert found == [{"Number": number} for number in range(60)]
            assert server.most <= 3

    def test_no_connection_that_becomes_free_in_time(self, wire: Make) -> None:
        release = threading.Event()

        def script(seen: Seen) -> Reply:
            release.wait(60)
            return echo(seen)

        with scripted(script) as server, ThreadPoolExecutor(1) as threads:
            client = wire(server.url, connections=1)
            first = threads.submit(get, client)
            while not server.seen:
                time.sleep(0.01)
            with pytest.raises(ConnectTimeoutError):
                get(client, Limits(0.1, 60))
            release.set()
            assert first.result() == {}
            assert len(server.seen) == 1

    def test_failures_give_their_places_back(self, wire: Make) -> None:
        with scripted(lambda _: None) as server:
            client = wire(server.url, connections=1)
            for _ in range(4):
                with pytest.raises(ConnectionLostError):
                    get(client)
            server.script = echo
            assert get(client) == {}

    def test_a_connection_that_failed_is_not_counted_while_its_error_is_kept(self, wire: Make) -> None:
        with scripted(lambda _: None) as server:
            client = wire(server.url)
            gc.collect()  # what earlier tests have left
            before = open_connections()
            with pytest.raises(ConnectionLostError) as kept:
                get(client)
            assert kept.value.__traceback__ is not None
            assert open_connections() == before

    def test_many_threads_have_each_their_answers(self, make: Make) -> None:
        with scripted(echo) as server, ThreadPoolExecutor(16) as threads:
            client = make(server.url)
            found = list(threads.map(lambda number: get(client, Number=number), range(600)))
            assert found == [{"Number": number} for number in range(600)]
            assert server.accepted <= 50

    def test_they_are_counted_while_others_are_made(self) -> None:
        route = Route("host", 1)
        kept = [Connections(route, 1) for _ in range(3000)]
        ended, before, threads = threading.Event(), sys.getswitchinterval(), HelperThreads()

        def make() -> None:
            while not ended.is_set():
                Connections(route, 1)

        threads.start(make)
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(60):
                assert open_connections()[3] >= len(kept)
        finally:
            sys.setswitchinterval(before)
            ended.set()
            threads.join()

    def test_a_child_process_has_its_own(self, wire: Make) -> None:
        with scripted(echo) as server:
            client = wire(server.url)
            get(client)
            read_end, write_end = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    os.write(write_end, json.dumps(get(client, Of="child")).encode())
                finally:
                    os._exit(0)
            os.close(write_end)
            os.waitpid(child, 0)
            answer = os.read(read_end, 100)
            os.close(read_end)
            assert json.loads(answer) == {"Of": "child"}
            assert get(client, Of="parent") == {"Of": "parent"}
            parents, childs, parents_again = (seen.connection for seen in server.seen)
            assert parents == parents_again != childs


class TestAnswers:
    @pytest.mark.parametrize("size", [1, 7, 100_000])
    def test_chunked(self, make: Make, size: int) -> None:
        with scripted(lambda _: chunked(TEXT, size)) as server:
            client = make(server.url)
            assert [get(client) for _ in range(2)] == [json.loads(TEXT)] * 2
            assert server.accepted == 1

    @pytest.mark.parametrize("whole", [True, False])
    def test_sixteen_megabytes(self, make: Make, whole: bool) -> None:
        items = [{"value": {"S": "ä" * 200_000}} for _ in range(40)]
        text = json.dumps({"Items": items}, ensure_ascii=False).encode()
        assert len(text) > 16_000_000
        with scripted(lambda _: reply(text) if whole else chunked(text, 65536)) as server:
            client = make(server.url)
            for _ in range(2):
                assert get(client) == {"Items": items}
            assert server.accepted == 1

    def test_an_interim_answer(self, make: Make) -> None:
        with scripted(lambda seen: [b"HTTP/1.1 100 Continue\r\n\r\n", reply({"a": 1})]) as server:
            assert get(make(server.url)) == {"a": 1}

    @pytest.mark.parametrize(
        "pieces",
        [
            [reply({"Item": {"id": {"S": "x"}}})[:-7], CLOSE],
            [*list(chunked(TEXT, 100))[:3], CLOSE],
            [reply()[:20], CLOSE],
            [b"nonsense\r\n\r\n", CLOSE],
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", CLOSE],
            None,
        ],
        ids=["cut off", "chunks cut off", "head cut off", "no HTTP", "no chunk", "nothing"],
    )
    def test_cut_short(self, make: Make, pieces: Reply) -> None:
        with scripted(lambda _: pieces) as server:
            client = make(server.url)
            # A head whose end is missing counts as whole, and its body as missing.
            with pytest.raises((ConnectionLostError, GarbledAnswerError)) as raised:
                get(client)
            assert raised.value.executed
            server.script = echo
            assert get(client) == {}

    @pytest.mark.parametrize(
        "answer",
        [
            reply(b'{"Item": {}}', checksum=False, headers="x-amz-crc32: 1\r\n"),
            reply(b'{"Item": {"id"', checksum=False),
            reply(b"", checksum=False),
            reply(b"[]", checksum=False),
            reply(b"[]"),
            reply(b"\xff\xfe\xfd", checksum=False),
            reply(b"<html></html>", checksum=False),
            reply(b"[" * 100_000, checksum=False),
        ],
    )
    def test_garbled(self, make: Make, answer: bytes) -> None:
        with scripted(lambda _: answer) as server:
            client = make(server.url)
            with pytest.raises(GarbledAnswerError) as raised:
                get(client)
            assert raised.value.executed
            server.script = echo
            assert get(client) == {}
            assert server.accepted == 1

    def test_an_absurd_length(self, wire: Make) -> None:
        text = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{}"
        with scripted(lambda _: [text, CLOSE]) as server, pytest.raises(GarbledAnswerError):
            get(wire(server.url))

    def test_endless_headers(self, make: Make) -> None:
        def script(_: Seen) -> Iterable[bytes]:
            yield b"HTTP/1.1 200 OK\r\n"
            yield b"x: y\r\n" * 1000

        with scripted(script) as server, pytest.raises(ConnectionLostError):
            get(make(server.url))

    @pytest.mark.parametrize("status", [307, 404, 413, 500, 503])
    def test_an_error_that_is_none_of_dynamodb(self, make: Make, status: int) -> None:
        with scripted(lambda _: reply(b"<html>secret</html>", status)) as server, pytest.raises(ServiceError) as raised:
            get(make(server.url))
        assert (raised.value.status, raised.value.code) == (status, str(status))
        assert "secret" not in repr(raised.value)


class TestTime:
    def test_no_answer(self, make: Make) -> None:
        with scripted(lambda _: paused(server, [b"H"], 600)) as server:
            with pytest.raises(NoAnswerError) as raised:
                get(make(server.url), SHORT)
            assert raised.value.executed

    @pytest.mark.parametrize("part", ["head", "body", "chunks"])
    def test_byte_by_byte(self, wire: Make, part: str) -> None:
        """Each byte is in time, all together would take minutes."""
        head = reply(TEXT).partition(b"\r\n\r\n")[0]
        text = {"head": head, "body": TEXT, "chunks": b"".join(chunked(TEXT, 1))}[part]
        first = {"head": b"", "body": head + b"\r\n\r\n", "chunks": b""}[part]

        def script(_: Seen) -> Iterator[bytes]:
            if first:
                yield first
            yield from paused(server, (text[at : at + 1] for at in range(len(text))), 0.05)

        with scripted(script) as server, pytest.raises(NoAnswerError):
            get(wire(server.url), SHORT)

    def test_a_server_that_reads_nothing(self, wire: Make) -> None:
        with silent() as url, pytest.raises(NoAnswerError) as raised:
            get(wire(url), SHORT, Value="x" * 16_000_000)
        assert raised.value.executed

    def test_a_server_that_says_nothing_to_tls(self, make: Make) -> None:
        with silent() as url, pytest.raises((ConnectTimeoutError, NoAnswerError)):
            get(make(url.replace("http:", "https:")), Limits(0.3, 0.3))

    def test_a_handshake_that_does_not_end_is_no_execution(self, wire: Make) -> None:
        with silent() as url, pytest.raises(ConnectTimeoutError) as raised:
            get(wire(url.replace("http:", "https:")), Limits(0.3, 60))
        assert not raised.value.executed

    def test_a_server_that_takes_no_connection(self, make: Make) -> None:
        with full() as url, pytest.raises(ConnectTimeoutError) as raised:
            get(make(url), Limits(0.3, 60))
        assert not raised.value.executed

    @pytest.mark.parametrize("limits", [Limits(0.0, 60), Limits(-1.0, 60)])
    def test_no_time_for_a_connection(self, wire: Make, limits: Limits) -> None:
        with scripted(echo) as server, pytest.raises(ConnectTimeoutError):
            get(wire(server.url), limits)

    def test_no_time_for_an_answer(self, wire: Make) -> None:
        with scripted(echo) as server, pytest.raises(NoAnswerError):
            get(wire(server.url), Limits(60, 0.0))


class TestNoConnection:
    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://dynamodb.nowhere-1.invalid"])
    def test_nobody_is_there(self, make: Make, url: str) -> None:
        with pytest.raises(NotConnectedError) as raised:
            get(make(url))
        assert not raised.value.executed

    def test_a_name_that_is_none(self, wire: Make) -> None:
        with pytest.raises(ValueError, match="endpoint"):
            wire(f"http://{'x' * 64}.example")

    def test_an_address_that_is_silent_leaves_time_for_the_next(
        self, wire: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with scripted(echo) as server, full() as url:
            places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(url.rpartition(":")[2])))]
            places += [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
            assert get(wire("http://two.example"), Limits(2, 60)) == {}

    def test_ipv6(self, make: Make) -> None:
        try:
            server = ScriptedServer(echo, address="::1")
        except OSError:
            pytest.skip("this machine has no IPv6, not even for itself")
        try:
            assert get(make(server.url), Number=6) == {"Number": 6}
            assert server.seen[0].headers["host"] == f"[::1]:{server.port}"
        finally:
            server.stop()


@contextmanager
def silent() -> Iterator[str]:
    """Yield an address that takes connections, reads nothing and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def full() -> Iterator[str]:
    """Yield an address that lets no connection come about: its queue is full."""
    waiting = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        try:
            for _ in range(4):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(server.getsockname())
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


def test_an_error_quotes_nothing() -> None:
    error = ServiceError(400, "Code", "secret", [{"Message": "secret"}], {"id": {"S": "secret"}})
    assert "secret" not in f"{error!r} {error}"
