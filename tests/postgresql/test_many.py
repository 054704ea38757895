"""Bulk calls on PostgreSQL: one transaction in one round trip, all or nothing, without avoidable deadlocks."""

# ruff: noqa: PT012 - what is tested is how a block ends

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from actingweb.db import (
    DbError,
    DbInputError,
    DbOutcomeUnknownError,
    DbUnknownActorError,
    get_property,
    get_subscription_diff,
    get_subscription_diff_list,
    get_trust,
    transaction,
)
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy
from tests.contract.support.property_tables import properties
from tests.support import race

from .conftest import PgConnection
from .test_claims import owners

pytestmark = pytest.mark.backends("postgresql")

NAMES = [f"n{number:03}" for number in range(500)]
INDEXED = {"email": "a@b", "externalUserId": "x", "oauthId": "y"}


@pytest.fixture
def prop(backend: Backend) -> DbPropertyProtocol:
    return get_property(backend)


def test_any_number_takes_one_round_trip(
    backend: Backend, prop: DbPropertyProtocol, actor_id: str, proxy: TcpProxy
) -> None:
    diff, trust = get_subscription_diff(backend), get_trust(backend)
    calls: dict[str, Callable[[int], object]] = {
        "set": lambda turn: prop.set_many(actor_id, {**dict.fromkeys(NAMES, turn), **INDEXED, "email": turn}),
        "get": lambda turn: prop.get_many(actor_id, NAMES),
        "delete": lambda turn: prop.set_many(actor_id, dict.fromkeys([*NAMES, *INDEXED])),
        "create": lambda turn: diff.create_many(actor_id, [("s", number, "d") for number in range(turn, 400 + turn)]),
        "trusts": lambda turn: trust.get_many(actor_id, NAMES),
    }
    taken: dict[str, set[int]] = {}
    prop.get(actor_id, "n")
    for turn in range(7):
        for name, call in calls.items():
            before = proxy.flights
            call(turn)
            taken.setdefault(name, set()).add(proxy.flights - before)
    assert taken == {name: {1} for name in calls}


def test_an_unknown_actor_is_refused(backend: Backend, prop: DbPropertyProtocol, pg: PgConnection) -> None:
    with pytest.raises(DbUnknownActorError):
        prop.set_many("nobody", {"a": "v", "email": "a@b"})
    with pytest.raises(DbUnknownActorError):
        get_subscription_diff(backend).create_many("nobody", [("s", 1, "d")])
    assert prop.set_many("nobody", {"a": None, "email": None}) is True
    assert properties(backend, "nobody") == {}
    assert owners(pg) == []


@pytest.fixture
def refusing(pg: PgConnection) -> Iterator[None]:
    """Make the server reject two values."""
    pg.execute("ALTER TABLE properties ADD CONSTRAINT never CHECK (value <> 'refused') NOT VALID")
    pg.execute("ALTER TABLE subscription_diffs ADD CONSTRAINT never CHECK (diff <> 'refused') NOT VALID")
    yield
    pg.execute("ALTER TABLE properties DROP CONSTRAINT never")
    pg.execute("ALTER TABLE subscription_diffs DROP CONSTRAINT never")


def test_a_value_that_the_server_refuses_changes_nothing(
    backend: Backend, prop: DbPropertyProtocol, actor_id: str, pg: PgConnection, refusing: None
) -> None:
    prop.set_many(actor_id, {"a": "old", "b": "old", **INDEXED})
    before, claimed = properties(backend, actor_id), owners(pg)
    for chunk_size in (None, 1):
        with pytest.raises(DbError):
            prop.set_many(
                actor_id, {"a": "new", "b": None, "email": "c@d", "oauthId": None, "z": "refused"}, chunk_size
            )
    assert properties(backend, actor_id) == before
    assert owners(pg) == claimed
    with pytest.raises(DbError):
        get_subscription_diff(backend).create_many(actor_id, [("s", 1, "d"), ("s", 2, "refused")])
    assert get_subscription_diff_list(backend).fetch(actor_id) == []


def test_a_number_over_64_bits_refuses_all(backend: Backend, actor_id: str) -> None:
    with pytest.raises(DbInputError):
        get_subscription_diff(backend).create_many(actor_id, [("s", 1, "d"), ("s", 2**63, "d")])
    largest = [("s", 2**63 - 1, "d"), ("s", -(2**63), "d")]
    assert get_subscription_diff(backend).create_many(actor_id, largest) == [True, True]


def test_texts_with_the_signs_of_arrays_are_only_texts(
    backend: Backend, prop: DbPropertyProtocol, actor_id: str
) -> None:
    texts = ['"', "\\", "{}", "{a,b}", "NULL", "null", ",", " a ", "\n", '\\"', "%s"]
    prop.set_many(actor_id, dict(zip(texts, reversed(texts), strict=True)))
    assert prop.get_many(actor_id, texts) == dict(sorted(zip(texts, reversed(texts), strict=True)))
    get_subscription_diff(backend).create_many(actor_id, [(text, 1, text) for text in texts])
    assert sorted(row["diff"] for row in get_subscription_diff_list(backend).fetch(actor_id)) == sorted(texts)


def test_a_lost_answer_is_an_unknown_outcome(
    backend: Backend, prop: DbPropertyProtocol, actor_id: str, proxy: TcpProxy
) -> None:
    writes: list[Callable[[], object]] = [
        lambda: prop.set_many(actor_id, {"a": "v"}),
        lambda: get_subscription_diff(backend).create_many(actor_id, [("s", 1, "d")]),
    ]
    for write in writes:
        prop.get(actor_id, "n")
        proxy.losses = 1
        with pytest.raises(DbOutcomeUnknownError):
            write()
    assert prop.get(actor_id, "a") == "v"
    assert get_subscription_diff(backend).create_many(actor_id, [("s", 1, "d")]) == [False]


def test_in_a_transaction(backend: Backend, prop: DbPropertyProtocol, actor_id: str, pg: PgConnection) -> None:
    with pytest.raises(ZeroDivisionError), transaction(backend):
        prop.set_many(actor_id, {"a": "v", **INDEXED})
        assert get_subscription_diff(backend).create_many(actor_id, [("s", 1, "d")]) == [True]
        assert prop.get_many(actor_id, ["a", "email"]) == {"a": "v", "email": "a@b"}
        raise ZeroDivisionError
    assert prop.get_many(actor_id, ["a", "email"]) == {}
    assert owners(pg) == []


@pytest.fixture
def slow_deletes(pg: PgConnection) -> Iterator[None]:
    """Make each delete of properties pause after it has run."""
    pg.execute(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$"
    )
    pg.execute("CREATE TRIGGER pause AFTER DELETE ON properties FOR EACH STATEMENT EXECUTE FUNCTION pause()")
    yield
    pg.execute("DROP FUNCTION pause CASCADE")


def test_two_that_store_what_the_other_deletes_take_turns(backend: Backend, actor_id: str, slow_deletes: None) -> None:
    """In a transaction a deadlock would be an error, for nothing is repeated there."""
    get_property(backend).set_many(actor_id, {"a": "old", "b": "old"})
    values = iter([{"a": "new", "b": None}, {"a": None, "b": "new"}])

    def change() -> None:
        with transaction(backend):
            get_property(backend).set_many(actor_id, next(values))

    race(2, change)
    assert properties(backend, actor_id) in ({"a": "new"}, {"b": "new"})


@pytest.fixture
def slow_inserts(pg: PgConnection) -> Iterator[None]:
    """Make each insert of a diff pause before it is stored."""
    pg.execute(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$"
    )
    pg.execute("CREATE TRIGGER pause BEFORE INSERT ON subscription_diffs FOR EACH ROW EXECUTE FUNCTION pause()")
    yield
    pg.execute("DROP FUNCTION pause CASCADE")


def test_the_order_of_diffs_is_not_that_of_their_locks(backend: Backend, actor_id: str, slow_inserts: None) -> None:
    """Two callers with the same numbers in opposite orders: the second waits for the first and finds them taken."""
    diffs = [("s", number, "d") for number in range(4)]
    orders = iter([diffs, diffs[::-1]])

    def create() -> list[bool]:
        with transaction(backend):
            return get_subscription_diff(backend).create_many(actor_id, next(orders))

    assert sorted(race(2, create)) == [[False] * 4, [True] * 4]
