"""DbProperty: claims under concurrency. At rest every look-up row names an actor that holds the value."""

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from actingweb.db import DbConflictError, DbUnknownActorError, get_property, get_property_list
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import requires
from actingweb.db.registry import Backend
from actingweb.db.utils import compute_lookup_key
from tests.conftest import SetEnv
from tests.contract.support.property_tables import Claims, lookup_table, properties
from tests.support import PATIENCE, race

LookupRows = Callable[[], Claims]
NewActor = Callable[..., str]

CALLERS = 8
ADDRESS = "anna@example.com"
VALUES = ["one@example.com", "two@example.com", "three@example.com"]
NAMES = ["email", "oauthId"]


@pytest.fixture(autouse=True)
def patient(set_env: SetEnv) -> None:
    """Give a call on DynamoDB the time that it takes beside seven others on a busy machine."""
    set_env(AWS_DB_TIMEOUT=str(PATIENCE))


def _set(backend: Backend, actor_id: str, value: str | None) -> bool:
    """Set the e-mail address; a conflict that outlasts the library's retries is the caller's to repeat."""
    for _ in range(20):
        with suppress(DbConflictError):
            return get_property(backend).set(actor_id, "email", value)
    raise AssertionError("20 conflicts in a row")


def _set_at_once(backend: Backend, actors: list[str], value: str) -> list[bool]:
    """Set the e-mail address of all these actors, each in a thread of its own."""
    waiting = iter(actors)
    return race(len(actors), lambda: _set(backend, next(waiting), value))


def _assert_consistent(backend: Backend, actors: list[str], rows: Claims) -> None:
    """Each look-up row stands for a value that its actor holds, and each answer of the look-up agrees with it."""
    held = {actor_id: properties(backend, actor_id) for actor_id in actors}
    justified = {
        compute_lookup_key(name, value): (name, actor_id)
        for actor_id in actors
        for name, value in held[actor_id].items()
        if rows.get(compute_lookup_key(name, value)) == (name, actor_id)
    }
    assert rows == justified
    for name, value in itertools.product(NAMES, [*VALUES, ADDRESS]):
        _, claimant = rows.get(compute_lookup_key(name, value), (name, None))
        assert get_property(backend).get_actor_id_from_property(name, value) == claimant


def _assert_all_others_were_told(caplog: pytest.LogCaptureFixture, actors: list[str], claimant: str) -> None:
    """Each actor that stored the value, but for the one with the claim, was reported once: no claim was lost."""
    collisions = [record.getMessage() for record in caplog.records if "LOOKUP_COLLISION" in record.getMessage()]
    told = [actor_id for text in collisions for actor_id in actors if f"of actor {actor_id} " in text]
    assert sorted(told) == sorted(set(actors) - {claimant})


def test_of_eight_actors_with_one_value_one_has_the_claim(
    backend: Backend, new_actor: NewActor, lookup_rows: LookupRows, caplog: pytest.LogCaptureFixture
) -> None:
    actors = [new_actor() for _ in range(CALLERS)]
    assert _set_at_once(backend, actors, ADDRESS) == [True] * CALLERS
    assert [properties(backend, actor_id) for actor_id in actors] == [{"email": ADDRESS}] * CALLERS
    [(_, claimant)] = lookup_rows().values()
    _assert_all_others_were_told(caplog, actors, claimant)
    _assert_consistent(backend, actors, lookup_rows())


def test_a_property_that_eight_callers_swap_has_one_claim(
    backend: Backend, actor_id: str, lookup_rows: LookupRows
) -> None:
    seeds = iter(range(CALLERS))

    def swap() -> None:
        chosen = random.Random(next(seeds))
        for _ in range(5):
            _set(backend, actor_id, chosen.choice(VALUES))

    race(CALLERS, swap)
    value = properties(backend, actor_id)["email"]
    assert value in VALUES
    assert lookup_rows() == {compute_lookup_key("email", value): ("email", actor_id)}


@pytest.mark.parametrize("comes_back", [False, True], ids=["former owner stays away", "former owner comes back"])
def test_taking_over_a_released_claim_does_not_beat_another_claim(
    backend: Backend,
    new_actor: NewActor,
    lookup_rows: LookupRows,
    caplog: pytest.LogCaptureFixture,
    comes_back: bool,
) -> None:
    former, *others = [new_actor() for _ in range(CALLERS + 1)]
    takers = [former, *others[1:]] if comes_back else others
    for value in [f"{number}@example.com" for number in range(8)]:
        lookup_table(backend).create("email", value, former)
        caplog.clear()
        _set_at_once(backend, takers, value)
        [(_, claimant)] = lookup_rows().values()
        assert claimant in takers
        _assert_all_others_were_told(caplog, takers, claimant)


def test_a_claim_released_while_others_want_it(backend: Backend, new_actor: NewActor, lookup_rows: LookupRows) -> None:
    owner, *others = actors = [new_actor() for _ in range(CALLERS)]
    _set(backend, owner, ADDRESS)
    changes: Iterator[tuple[str, str | None]] = iter([(owner, None), *((actor_id, ADDRESS) for actor_id in others)])

    def change() -> bool:
        actor_id, value = next(changes)
        return _set(backend, actor_id, value)

    assert race(CALLERS, change) == [True] * CALLERS
    assert properties(backend, owner) == {}
    _assert_consistent(backend, actors, lookup_rows())


def test_two_actors_that_exchange_values_again_and_again(
    backend: Backend, new_actor: NewActor, lookup_rows: LookupRows
) -> None:
    actors = [new_actor(), new_actor()]
    turns = iter(range(CALLERS))

    def exchange() -> None:
        turn = next(turns)
        for step in range(6):
            _set(backend, actors[turn % 2], VALUES[(turn // 2 + step) % 2])

    race(CALLERS, exchange)
    _assert_consistent(backend, actors, lookup_rows())


def _set_many(backend: Backend, actor_id: str, values: dict[str, str | None]) -> None:
    """Store values; a conflict that outlasts the library's retries is the caller's to repeat."""
    for _ in range(20):
        with suppress(DbConflictError):
            assert get_property(backend).set_many(actor_id, values) is True
            return
    raise AssertionError("20 conflicts in a row")


def test_of_eight_actors_with_the_same_values_each_value_has_one_claim(
    backend: Backend, new_actor: NewActor, lookup_rows: LookupRows, caplog: pytest.LogCaptureFixture
) -> None:
    actors = [new_actor() for _ in range(CALLERS)]
    values: dict[str, str | None] = {"email": ADDRESS, "oauthId": ADDRESS, "color": "red"}
    waiting = iter(actors)
    race(CALLERS, lambda: _set_many(backend, next(waiting), values))
    assert [properties(backend, actor_id) for actor_id in actors] == [values] * CALLERS
    assert sorted(name for name, _ in lookup_rows().values()) == ["email", "oauthId"]
    for name, claimant in lookup_rows().values():
        told = [record.getMessage() for record in caplog.records if f"property {name} " in record.getMessage()]
        assert sorted(text.split(" of actor ")[1].split()[0] for text in told) == sorted(set(actors) - {claimant})
    _assert_consistent(backend, actors, lookup_rows())


def test_what_eight_callers_store_in_one_actor_is_never_mixed(
    backend: Backend, actor_id: str, lookup_rows: LookupRows
) -> None:
    """The last one's values are all there, and what it deleted is not."""
    turns = iter(range(CALLERS))
    names = ["a", "email", "n", "oauthId", "z"]

    def change() -> None:
        turn = next(turns)
        for step in range(4):
            mark = f"{turn} {step}"
            _set_many(
                backend, actor_id, {name: mark if (number + turn) % 2 else None for number, name in enumerate(names)}
            )

    race(CALLERS, change)
    stored = properties(backend, actor_id)
    assert len(set(stored.values())) == 1
    assert list(stored) in (names[::2], names[1::2])
    claimed = {name: value for name, value in stored.items() if name in NAMES}
    assert lookup_rows() == {compute_lookup_key(name, value): (name, actor_id) for name, value in claimed.items()}


class _Worker:
    """Does random things to the indexed properties of a few actors."""

    def __init__(self, backend: Backend, actors: list[str], seed: int) -> None:
        self._backend = backend
        self._actors = actors
        self._random = random.Random(seed)
        self._calls = [
            self._set,
            self._set,
            self._remove,
            self._swap,
            self._drop,
            self._create,
            self._set_many,
            self._batch,
            self._wipe,
        ]

    def work(self, steps: int) -> int:
        """Take so many steps; return how many ended in a conflict that outlasted the retries."""
        conflicts = 0
        for _ in range(steps):
            key = self._random.choice(self._actors), self._random.choice(NAMES)
            try:
                self._random.choice(self._calls)(*key)
            except DbConflictError:
                conflicts += 1
        return conflicts

    def _value(self) -> str:
        return self._random.choice(VALUES)

    def _set(self, actor_id: str, name: str) -> None:
        assert get_property(self._backend).set(actor_id, name, self._value()) is True

    def _set_many(self, actor_id: str, name: str) -> None:
        values = dict(zip(NAMES, self._random.choices([*VALUES, ""], k=len(NAMES)), strict=True))
        assert get_property(self._backend).set_many(actor_id, values) is True

    def _remove(self, actor_id: str, name: str) -> None:
        prop = get_property(self._backend)
        loaded = prop.get(actor_id, name)
        assert prop.delete() is (loaded is not None)

    def _swap(self, actor_id: str, name: str) -> None:
        get_property(self._backend).set_if_value_equals(actor_id, name, self._value(), self._value())

    def _drop(self, actor_id: str, name: str) -> None:
        get_property(self._backend).delete_if_value_equals(actor_id, name, self._value())

    def _create(self, actor_id: str, name: str) -> None:
        get_property(self._backend).create_if_not_exists(actor_id, name, self._value())

    def _batch(self, actor_id: str, name: str) -> None:
        get_property(self._backend).batch_delete(actor_id, [name, "absent"])

    def _wipe(self, actor_id: str, name: str) -> None:
        stored = get_property_list(self._backend)
        found = stored.fetch(actor_id)
        assert found is not None
        assert set(found.values()) <= set(VALUES)
        assert stored.delete() is True


@pytest.mark.parametrize("seed", range(4))
def test_everything_at_once(backend: Backend, new_actor: NewActor, lookup_rows: LookupRows, seed: int) -> None:
    actors = [new_actor() for _ in range(3)]
    seeds = itertools.count(seed * CALLERS)
    steps = 15
    conflicts = race(CALLERS, lambda: _Worker(backend, actors, next(seeds)).work(steps))
    assert sum(conflicts) < CALLERS * steps / 10
    for actor_id in actors:
        assert set(properties(backend, actor_id).values()) <= set(VALUES)
    _assert_consistent(backend, actors, lookup_rows())


def test_readers_see_the_holder_or_nobody(backend: Backend, new_actor: NewActor, lookup_rows: LookupRows) -> None:
    """An address that moves between two actors never resolves to a third, and always to one that held it."""
    actors = [new_actor() for _ in range(3)]
    get_property(backend).set(actors[2], "email", "bystander@example.com")
    roles = iter(range(CALLERS))

    def act() -> set[str | None]:
        role = next(roles)
        if role < 2:
            for step in range(12):
                _set(backend, actors[role], [ADDRESS, None][step % 2])
            return set()
        return {get_property(backend).get_actor_id_from_property("email", ADDRESS) for _ in range(15)}

    answers = set().union(*race(CALLERS, act))
    assert answers <= {None, actors[0], actors[1]}
    assert get_property(backend).get_actor_id_from_property("email", ADDRESS) is None
    assert lookup_rows() == {compute_lookup_key("email", "bystander@example.com"): ("email", actors[2])}


@requires(Capability.ACTOR_REFERENCES)
def test_an_actor_deleted_while_its_properties_are_set_leaves_nothing(
    backend: Backend, new_actor: NewActor, lookup_rows: LookupRows
) -> None:
    actor_id = new_actor()
    roles = iter(range(CALLERS))

    def act() -> None:
        if next(roles) == 0:
            actor = backend.DbActor.DbActor()
            actor.get(actor_id)
            assert actor.delete() is True
            return
        for value in VALUES * 3:
            try:
                get_property(backend).set(actor_id, "email", value)
            except DbUnknownActorError:
                return

    race(CALLERS, act)
    assert properties(backend, actor_id) == {}
    assert lookup_rows() == {}
