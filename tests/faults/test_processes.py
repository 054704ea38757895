"""Processes that fork, spawn, freeze and thaw, threads, and asyncio (issue 5, item 5)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from actingweb.db import get_property
from actingweb.db.postgresql.connection import get_pool
from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.support import new_id, wait_until

from .answers import Answers, Worker, counted, make_counter, read_answers, work
from .conftest import Amount, Figures

pytestmark = pytest.mark.backends("postgresql")

PgConnection = psycopg.Connection[tuple[Any, ...]]

ROOT = Path(__file__).parents[2]
SECONDS = 120.0
IDLE = 4


@contextmanager
def running(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module in a process of its own, which is killed at the end with all its children."""
    command = [sys.executable, "-m", module, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, text=True, start_new_session=True, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        try:
            yield process
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                process.wait()


@pytest.mark.parametrize("method", ["fork", "spawn", "preload"])
def test_children_of_a_process_with_a_used_pool_get_no_wrong_row(
    method: str, backend: Backend, tmp_path: Path, amount: Amount, figures: Figures
) -> None:
    children, operations = amount(4, 8), amount(150, 2000)
    counter = make_counter(backend)
    began = time.monotonic()
    arguments = (method, str(children), str(operations), counter, str(tmp_path))
    with running("tests.faults.forking", *arguments) as process:
        output, errors = process.communicate(timeout=SECONDS)
    seconds = time.monotonic() - began
    assert (process.returncode, errors) == (0, "")
    told = json.loads(output)
    parent = Answers(**told["answers"])
    answers = sum((read_answers(path.read_text()) for path in tmp_path.iterdir()), parent)
    figures(
        f"children by {method}, parent busy",
        seconds=seconds,
        tried=answers.tried,
        doubled=len(answers.numbers) - len(set(answers.numbers)),
        wrong=answers.wrong,
        failed=answers.failed,
    )
    assert answers.right, answers.problems
    assert counted(backend, counter) == len(answers.numbers)
    assert told["codes"] == [0] * children
    assert answers.tried - parent.tried == children * operations
    before, after = told["connections"]
    assert after == before, "a connection of the parent was lost"


@pytest.mark.parametrize("first", ["read", "write", "indexed write"])
def test_the_first_operation_after_a_thaw_succeeds(
    first: str, backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv, amount: Amount, figures: Figures
) -> None:
    """The process is stopped while its pooled sessions are ended, and goes on without noticing."""
    name = new_id("frozen")
    set_env(PGAPPNAME=name)
    prop = get_property(backend)
    freezes = amount(2, 20)
    slowest = 0.0
    with running("tests.faults.frozen", str(IDLE), actor_id) as process:
        assert line_of(process) == "ready"
        for number in range(freezes):
            value = f"value{number}"
            prop.set(actor_id, "color", value)
            freeze_and_thaw(process, pg, name)
            began = time.monotonic()
            if first == "read":
                assert ask(process, "read", "color") == value
            else:
                column = "email" if first == "indexed write" else "color"
                assert ask(process, "write", column, f"new-{value}") is True
                assert prop.get(actor_id, column) == f"new-{value}"
            slowest = max(slowest, time.monotonic() - began)
    figures(f"{first} after a thaw", tried=freezes, faults=freezes * IDLE, lost=0, wrong=0, slowest_seconds=slowest)


def freeze_and_thaw(process: subprocess.Popen[str], pg: PgConnection, name: str) -> None:
    """Stop the process, end all its sessions, let it go on."""
    sessions = "FROM pg_stat_activity WHERE application_name = %s"
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    ended = pg.execute(f"SELECT pg_terminate_backend(pid) {sessions}".encode(), [name]).rowcount
    assert ended >= 1
    wait_until(lambda: pg.execute(f"SELECT {sessions}".encode(), [name]).rowcount == 0)
    process.send_signal(signal.SIGCONT)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(process: subprocess.Popen[str], *words: str) -> object:
    """Let the process do one operation and return its answer."""
    assert process.stdin is not None
    print(*words, file=process.stdin, flush=True)
    return json.loads(line_of(process))


def test_threads_that_share_a_small_pool_get_no_wrong_row(
    backend: Backend, set_env: SetEnv, amount: Amount, figures: Figures
) -> None:
    set_env(PG_POOL_MAX_SIZE="3")
    counter = make_counter(backend)
    began = time.monotonic()
    answers = work(1, amount(1600, 8000), 16, counter)
    figures(
        "16 threads on 3 connections",
        seconds=time.monotonic() - began,
        tried=answers.tried,
        doubled=len(answers.numbers) - len(set(answers.numbers)),
        wrong=answers.wrong,
        failed=answers.failed,
    )
    assert answers.right, answers.problems
    assert counted(backend, counter) == len(answers.numbers)
    assert get_pool().get_stats()["pool_size"] <= 3


@pytest.mark.no_aio  # it is about the synchronous calls; tests/aio has the other
def test_calls_inside_a_running_event_loop_do_not_deadlock(backend: Backend, amount: Amount) -> None:
    """They block the loop while they run, and that is all."""
    counter = make_counter(backend)
    workers = [Worker(backend, number, counter) for number in range(3)]

    async def task(worker: Worker) -> Answers:
        for _ in range(amount(10, 50)):
            worker.run(5)
            await asyncio.sleep(0)
        return worker.answers

    async def tasks() -> list[Answers]:
        return await asyncio.wait_for(asyncio.gather(*map(task, workers)), SECONDS)

    for answers in asyncio.run(tasks()):
        assert answers.right, answers.problems


def test_more_calls_of_to_thread_than_connections_do_not_deadlock(
    backend: Backend, set_env: SetEnv, amount: Amount, figures: Figures
) -> None:
    set_env(PG_POOL_MAX_SIZE="10")
    counter = make_counter(backend)
    workers = [Worker(backend, number, counter) for number in range(64)]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    async def tasks() -> list[Answers]:
        # By default a loop has fewer threads than that, and would never have 64 callers.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
        ticking = asyncio.create_task(tick())
        calls = (asyncio.to_thread(worker.run, amount(10, 100)) for worker in workers)
        try:
            return await asyncio.wait_for(asyncio.gather(*calls), SECONDS)
        finally:
            ticking.cancel()

    began = time.monotonic()
    answers = sum(asyncio.run(tasks()), Answers())
    figures(
        "64 calls of asyncio.to_thread on 10 connections",
        seconds=time.monotonic() - began,
        tried=answers.tried,
        doubled=len(answers.numbers) - len(set(answers.numbers)),
        wrong=answers.wrong,
        failed=answers.failed,
    )
    assert answers.right, answers.problems
    assert counted(backend, counter) == len(answers.numbers)
    assert ticks > 3, "the loop was blocked"


# Many more than end before the task is cancelled.
CALLS = 2000


def test_a_call_whose_task_is_cancelled_gives_its_connection_back(backend: Backend, set_env: SetEnv) -> None:
    """The thread cannot be interrupted: the call ends in its own time and harms nobody."""
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1")
    worker = Worker(backend, 1, make_counter(backend))

    async def cancel() -> None:
        task = asyncio.create_task(asyncio.to_thread(worker.run, CALLS))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert worker.run(CALLS).right
    assert worker.answers.tried == 2 * CALLS
    assert get_pool().get_stats()["pool_size"] == 1
