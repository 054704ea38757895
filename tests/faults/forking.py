"""A process with a used pool that starts children while its threads go on working.

`python -m tests.faults.forking METHOD CHILDREN OPERATIONS COUNTER DIRECTORY` works on the backend that the environment
names. METHOD is `fork` or `spawn`, as in `multiprocessing`, or `preload`, which forks as gunicorn does after it has
loaded the application. Each child writes its `Answers` to a file in DIRECTORY; those of the parent are printed with how
many connections it had made before the children were there and after they had ended.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from actingweb.db import load_backend
from actingweb.db.postgresql.connection import get_pool
from tests.faults.answers import Answers, Worker, work, write_answers
from tests.faults.frozen import fill

_THREADS = 4
# More than the threads use, so that children would find idle ones.
_CONNECTIONS = 8
_AT_A_TIME = 20

Child = Callable[[int], None]


class Busy:
    """Threads that work on the pool until the block ends."""

    def __init__(self, counter: str) -> None:
        self._process = os.getpid()
        self._ended = threading.Event()
        self._workers = [Worker(load_backend(), -1 - number, counter) for number in range(_THREADS)]
        self._threads = ThreadPoolExecutor(_THREADS)
        self._running: list[Future[None]] = []

    def __enter__(self) -> Busy:
        self._running = [self._threads.submit(self._work, worker) for worker in self._workers]
        self.go_on()
        return self

    def __exit__(self, *_exception: object) -> None:
        # A child that ends as Python does comes by here too, and has none of the threads.
        if os.getpid() == self._process:
            self._ended.set()
            for thread in self._running:
                thread.result()

    def go_on(self) -> None:
        """Wait until each thread has worked some more."""
        goals = [(worker, worker.answers.tried + 2 * _AT_A_TIME) for worker in self._workers]
        while any(worker.answers.tried < goal for worker, goal in goals):
            time.sleep(0.01)

    @property
    def answers(self) -> Answers:
        """All that the threads were answered."""
        return sum((worker.answers for worker in self._workers), Answers())

    def _work(self, worker: Worker) -> None:
        while not self._ended.is_set():
            worker.run(_AT_A_TIME)


def _by_multiprocessing(method: str, children: int, child: Child) -> list[int]:
    context = multiprocessing.get_context(method)
    # What the contexts have in common is not declared there.
    processes = [getattr(context, "Process")(target=child, args=(number,)) for number in range(children)]  # noqa: B009
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode or 0 for process in processes]


def _preloaded(children: int, child: Child) -> list[int]:
    pids = []
    for number in range(children):
        pid = os.fork()
        if pid == 0:
            _end_after(child, number)
        pids.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def _end_after(child: Child, number: int) -> None:
    """Work and end this process; every other one without what Python does at its end."""
    try:
        child(number)
    except BaseException:  # noqa: BLE001 - it ends this process
        traceback.print_exc()
        os._exit(1)
    if number % 2:
        os._exit(0)
    sys.exit(0)


def _child(operations: int, counter: str, directory: str, number: int) -> None:
    Path(directory, str(number)).write_text(write_answers(work(number, operations, 1, counter)))


def main(method: str, children: str, operations: str, counter: str, directory: str) -> None:
    """Use the pool, fork, and go on using it."""
    start = _preloaded if method == "preload" else partial(_by_multiprocessing, method)
    fill(_CONNECTIONS)
    with Busy(counter) as busy:
        before = get_pool().get_stats()["connections_num"]
        codes = start(int(children), partial(_child, int(operations), counter, directory))
        busy.go_on()
    made = [before, get_pool().get_stats()["connections_num"]]
    print(json.dumps({"codes": codes, "connections": made, "answers": asdict(busy.answers)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
