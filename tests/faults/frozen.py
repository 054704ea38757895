"""A process that does one operation for each line it reads, and is frozen in between.

`python -m tests.faults.frozen CONNECTIONS ACTOR` fills its pool, prints "ready" and then, for each `read NAME` or
`write NAME VALUE`, the answer as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from actingweb.db import get_property, load_backend
from actingweb.db.exceptions import DbError
from actingweb.db.postgresql.connection import get_connection
from tests.support import PATIENCE


def fill(connections: int) -> None:
    """Have so many idle connections in the pool."""
    barrier = threading.Barrier(connections)

    def hold() -> None:
        with get_connection():
            barrier.wait(PATIENCE)

    with ThreadPoolExecutor(connections) as threads:
        for done in [threads.submit(hold) for _ in range(connections)]:
            done.result()


def _answer(actor_id: str, verb: str, *words: str) -> object:
    prop = get_property(load_backend())
    try:
        return prop.get(actor_id, *words) if verb == "read" else prop.set(actor_id, *words)
    except DbError as error:
        return repr(error)


def main(connections: str, actor_id: str) -> None:
    """Answer until there is nothing more to read."""
    fill(int(connections))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(actor_id, *line.split())), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
