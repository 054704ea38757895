"""Operations of one worker on an actor of its own, each answer compared with what the calls before it make it.

Nobody else writes there, so that every answer is known, and every stored value names its actor: an answer that belongs
to another session, another process or another actor is a wrong one. One counter is shared by all workers.

`python -m tests.faults.answers SEED OPERATIONS THREADS COUNTER` works on the backend that the environment names and
prints its `Answers` as JSON; COUNTER is the actor with the shared counter.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from actingweb.db import (
    get_actor,
    get_attribute,
    get_property,
    get_property_list,
    get_subscription,
    get_subscription_diff,
    get_subscription_diff_list,
    get_trust,
    get_trust_list,
    load_backend,
)
from actingweb.db.exceptions import DbError
from actingweb.db.registry import Backend
from tests.support import new_id

_PLAIN = tuple(f"n{number}" for number in range(12))
_INDEXED = ("email", "oauthId")
_PEERS = tuple(f"peer{number}" for number in range(4))
_SHARED = ("everybody", "counter")
_BUCKET = "bucket"
_DIFFS = 20


@dataclass
class Answers:
    """What a worker was answered.

    Attributes:
        tried: operations.
        wrong: answers that cannot be, and exceptions that are no `DbError`.
        failed: operations that raised `DbError`.
        numbers: what the shared counter gave.
        problems: what was wrong or failed, the first of each worker.
    """

    tried: int = 0
    wrong: int = 0
    failed: int = 0
    numbers: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __add__(self, other: Answers) -> Answers:
        return Answers(
            self.tried + other.tried,
            self.wrong + other.wrong,
            self.failed + other.failed,
            self.numbers + other.numbers,
            self.problems + other.problems,
        )

    @property
    def right(self) -> bool:
        """Whether every operation was answered, and rightly."""
        return self.wrong == self.failed == 0 and len(set(self.numbers)) == len(self.numbers)


class Worker:
    """Works on an actor of its own, which its first operation stores; `counter` names that of all workers."""

    def __init__(self, backend: Backend, seed: int, counter: str) -> None:
        self.answers = Answers()
        self._backend = backend
        self._chance = random.Random(seed)
        self._counter = counter
        self._id = new_id()
        self._begun = False
        self._serial = 0
        self._properties: dict[str, str] = {}
        self._trusts: dict[str, str] = {}
        self._attributes: dict[str, str] = {}
        self._diffs: dict[int, str] = {}
        self._former: list[tuple[str, str]] = []
        self._passphrase = self._new()
        self._steps: tuple[Callable[[], bool], ...] = (
            *(self._set, self._get, self._get, self._set_indexed, self._find, self._find_former, self._swap),
            *(self._create, self._delete, self._list, self._prefix, self._trust, self._get_trust, self._list_trusts),
            *(self._attribute, self._get_attribute, self._bucket, self._swap_attribute, self._diff, self._oldest),
            *(self._list_diffs, self._modify_actor, self._get_actor, self._increment),
        )

    def run(self, operations: int) -> Answers:
        """Do so many operations at random, and return the answers to all that were done so far."""
        for _ in range(operations):
            step = self._chance.choice(self._steps) if self._begun else self._begin
            self.answers.tried += 1
            try:
                if not step():
                    self.answers.wrong += 1
                    self._note(f"{step.__name__}: a wrong answer")
            except DbError as error:
                self.answers.failed += 1
                self._note(f"{step.__name__}: {error!r}")
            except Exception as error:  # noqa: BLE001 - what another's row makes of the code is as wrong as it
                self.answers.wrong += 1
                self._note(f"{step.__name__}: {error!r}")
        return self.answers

    def _note(self, problem: str) -> None:
        if not self.answers.problems:
            self.answers.problems.append(problem)

    def _new(self) -> str:
        self._serial += 1
        return f"{self._id} {self._serial}"

    def _begin(self) -> bool:
        self._begun = True
        return get_actor(self._backend).create(actor_id=self._id, creator=self._id, passphrase=self._passphrase)

    def _set(self) -> bool:
        name, value = self._chance.choice(_PLAIN), self._new()
        self._properties[name] = value
        return get_property(self._backend).set(self._id, name, value)

    def _get(self) -> bool:
        name = self._chance.choice(_PLAIN + _INDEXED)
        return get_property(self._backend).get(self._id, name) == self._properties.get(name)

    def _set_indexed(self) -> bool:
        name, value = self._chance.choice(_INDEXED), self._new()
        if name in self._properties:
            self._former.append((name, self._properties[name]))
        self._properties[name] = value
        return get_property(self._backend).set(self._id, name, value)

    def _find(self) -> bool:
        name = self._chance.choice(_INDEXED)
        if name not in self._properties:
            return True
        found = get_property(self._backend).get_actor_id_from_property(name, self._properties[name])
        return found == self._id

    def _find_former(self) -> bool:
        if not self._former:
            return True
        return get_property(self._backend).get_actor_id_from_property(*self._chance.choice(self._former)) is None

    def _swap(self) -> bool:
        name, value = self._chance.choice(_PLAIN), self._new()
        present = self._properties.get(name, "absent")
        if name in self._properties:
            self._properties[name] = value
        expected = name in self._properties
        return get_property(self._backend).set_if_value_equals(self._id, name, present, value) is expected

    def _create(self) -> bool:
        name, value = self._chance.choice(_PLAIN), self._new()
        expected = name not in self._properties
        self._properties.setdefault(name, value)
        return get_property(self._backend).create_if_not_exists(self._id, name, value) is expected

    def _delete(self) -> bool:
        name = self._chance.choice(_PLAIN)
        self._properties.pop(name, None)
        return get_property(self._backend).set(self._id, name, "")

    def _list(self) -> bool:
        return get_property_list(self._backend).fetch(self._id) == self._properties

    def _prefix(self) -> bool:
        expected = {name: value for name, value in self._properties.items() if name.startswith("n1")}
        return get_property(self._backend).get_prefix(self._id, "n1") == expected

    def _trust(self) -> bool:
        peer, secret = self._chance.choice(_PEERS), self._new()
        self._trusts[peer] = secret
        return get_trust(self._backend).create(self._id, peer, secret=secret, desc=secret)

    def _get_trust(self) -> bool:
        peer = self._chance.choice(_PEERS)
        if peer not in self._trusts:
            return get_trust(self._backend).get(self._id, peer) is None
        token = self._trusts[peer] if self._chance.random() < 0.5 else None
        found = get_trust(self._backend).get(self._id, None if token else peer, token)
        return found is not None and (found["peerid"], found["desc"]) == (peer, self._trusts[peer])

    def _list_trusts(self) -> bool:
        found = get_trust_list(self._backend).fetch(self._id)
        return [(row["peerid"], row["secret"]) for row in found] == sorted(self._trusts.items())

    def _attribute(self) -> bool:
        name, value = self._chance.choice(_PLAIN), self._new()
        self._attributes[name] = value
        return get_attribute(self._backend).set_attr(self._id, _BUCKET, name, {"value": value})

    def _get_attribute(self) -> bool:
        name = self._chance.choice(_PLAIN)
        found = get_attribute(self._backend).get_attr(self._id, _BUCKET, name)
        return (found and found["data"]) == (self._attributes.get(name) and {"value": self._attributes[name]})

    def _bucket(self) -> bool:
        found = get_attribute(self._backend).get_bucket(self._id, _BUCKET) or {}
        return {name: entry["data"]["value"] for name, entry in found.items()} == self._attributes

    def _swap_attribute(self) -> bool:
        name, value = self._chance.choice(_PLAIN), self._new()
        expected = name in self._attributes
        present = {"value": self._attributes.get(name)}
        if expected:
            self._attributes[name] = value
        attribute = get_attribute(self._backend)
        return attribute.conditional_update_attr(self._id, _BUCKET, name, present, {"value": value}) is expected

    def _diff(self) -> bool:
        number, text = self._chance.randrange(1, _DIFFS), self._new()
        expected = number not in self._diffs
        self._diffs.setdefault(number, text)
        return get_subscription_diff(self._backend).create(self._id, "s", text, number) is expected

    def _oldest(self) -> bool:
        found = get_subscription_diff(self._backend).get(self._id, "s")
        if not self._diffs:
            return found is None
        oldest = min(self._diffs)
        return found is not None and (found["sequence"], found["data"]) == (oldest, self._diffs[oldest])

    def _list_diffs(self) -> bool:
        diffs = get_subscription_diff_list(self._backend)
        found = {row["sequence"]: row["diff"] for row in diffs.fetch(self._id, "s")}
        right = found == self._diffs
        if len(self._diffs) == _DIFFS - 1:
            self._diffs.clear()
            right = diffs.delete() and right
        return right

    def _modify_actor(self) -> bool:
        actor = get_actor(self._backend)
        found = actor.get(self._id)
        right = found is not None and found["passphrase"] == self._passphrase
        self._passphrase = self._new()
        return actor.modify(passphrase=self._passphrase) and right

    def _get_actor(self) -> bool:
        expected = {"id": self._id, "creator": self._id, "passphrase": self._passphrase}
        return get_actor(self._backend).get(self._id) == expected

    def _increment(self) -> bool:
        subscription = get_subscription(self._backend)
        found = subscription.get(self._counter, *_SHARED)
        number = subscription.increment_seqnr()
        if found is None or number is None:
            return False
        self.answers.numbers.append(number)
        return bool(number > found["sequence"])


def make_counter(backend: Backend) -> str:
    """Store an actor with a counter for all workers and return its id."""
    actor_id = new_id()
    assert get_actor(backend).create(actor_id=actor_id, creator="creator@example.com", passphrase="secret")
    assert get_subscription(backend).create(actor_id, *_SHARED)
    return actor_id


def counted(backend: Backend, counter: str) -> int:
    """Return what the counter stands at."""
    found = get_subscription(backend).get(counter, *_SHARED)
    assert found is not None
    number: int = found["sequence"]
    return number


def work(seed: int, operations: int, threads: int, counter: str) -> Answers:
    """Let so many threads of this process do the operations together."""
    backend = load_backend()
    with ThreadPoolExecutor(threads) as pool:
        workers = [Worker(backend, seed * threads + number, counter) for number in range(threads)]
        return sum(pool.map(lambda worker: worker.run(operations // threads), workers), Answers())


def read_answers(text: str) -> Answers:
    """Return the answers that JSON holds."""
    return Answers(**json.loads(text))


def write_answers(answers: Answers) -> str:
    """Return the answers as JSON."""
    return json.dumps(asdict(answers))


def work_in_processes(processes: int, operations: int, threads: int, counter: str, seconds: float) -> Answers:
    """Let processes work at the same time and return all their answers. Raise if one does not end well in time."""
    command = [sys.executable, "-m", __name__]
    arguments = [[str(seed), str(operations), str(threads), counter] for seed in range(processes)]
    root = Path(__file__).parents[2]
    running = [subprocess.Popen([*command, *more], cwd=root, stdout=subprocess.PIPE, text=True) for more in arguments]
    try:
        return _collected(running, seconds)
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _collected(running: Iterable[subprocess.Popen[str]], seconds: float) -> Answers:
    found = Answers()
    for process in running:
        output, _ = process.communicate(timeout=seconds)
        assert process.returncode == 0
        found += read_answers(output)
    return found


def main(seed: str, operations: str, threads: str, counter: str) -> None:
    """Work and print the answers."""
    print(write_answers(work(int(seed), int(operations), int(threads), counter)))


if __name__ == "__main__":
    main(*sys.argv[1:])
