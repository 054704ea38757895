"""Greenlets that work on a backend.

`python -m tests.faults.greenlets LIBRARY MOMENT` works on the backend that the environment names, after LIBRARY (gevent
or eventlet) took the place of threads: at the MOMENT `early`, before all imports, or `late`, after them, or `used`,
after the first calls. Prints as JSON how many answers were right, how often another greenlet ran during a call, and
what the layer said where it refused to work.
"""

# ruff: noqa: E402 - the moment of imports is what it is about
import importlib
import sys

LIBRARY, MOMENT = sys.argv[1:]


def patch() -> None:
    """Let greenlets take the place of threads."""
    if LIBRARY == "gevent":
        importlib.import_module("gevent.monkey").patch_all()
    else:
        importlib.import_module("eventlet").monkey_patch()


if MOMENT == "early":
    patch()

import json
import threading
from itertools import pairwise
from typing import Any

from actingweb.db import get_actor, get_property, load_backend
from actingweb.db.exceptions import ConfigurationError
from actingweb.db.settings import get_settings
from tests.support import new_id

GREENLETS = 50
CALLS = 20

CONFIG: Any = load_backend(get_settings().database_backend)


refused: list[str] = []


def work(number: int, right: list[int], turns: list[int]) -> None:
    """Write and read what only this greenlet does."""
    try:
        _work(number, right, turns)
    except ConfigurationError as error:
        refused.append(str(error))


def _work(number: int, right: list[int], turns: list[int]) -> None:
    actor = new_id("actor")
    get_actor(CONFIG).create(actor_id=actor, creator=f"creator{number}", passphrase="p")
    for call in range(CALLS):
        value = f"{number} {call}"
        get_property(CONFIG).set(actor_id=actor, name="n", value=value)
        turns.append(number)
        if get_property(CONFIG).get(actor_id=actor, name="n") == value:
            right.append(number)


def main() -> None:
    """Work in as many greenlets as are many more than connections."""
    right: list[int] = []
    turns: list[int] = []
    threads = [threading.Thread(target=work, args=(number, right, turns)) for number in range(GREENLETS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    switches = sum(one != other for one, other in pairwise(turns))
    print(json.dumps({"right": len(right), "switches": switches, "refused": refused}))


if MOMENT == "used":
    _work(0, [], [])
if MOMENT != "early":
    patch()
main()
