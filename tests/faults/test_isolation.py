"""Whatever is done for one actor, no byte of another is changed, removed or shown."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from actingweb.db import get_actor, get_attribute, get_peer_trustee, get_property, get_subscription, get_trust
from actingweb.db.accessors import get_subscription_diff, get_subscription_suspension
from actingweb.db.registry import Backend
from tests.contract.support.signatures import METHODS, SIGNATURES

from .conftest import Amount, Figures
from .hostile_calls import TABLES, TIME, Call, Side, usual
from .raw_rows import RECORDS, dynamodb_items

Texts = tuple[str, ...]
Snapshot = Callable[..., list[Any]]
"""Returns the raw rows of tables that are not the acting actor's."""

pytestmark = pytest.mark.backends("dynamodb", "postgresql")

CANARY = "Canary5113"
"""In all that the others store and nobody asks for by its text."""

ACTORS = ("actor", "a:b", "%", "a_")
_SHARED = "shared@example.com"
_CREATOR = "creator of "
_TOKEN = "token of "

# Such names as a careless query would take for another one, for a pattern, or for a part of a composed key.
NAMES = (
    *("name", "nam", "name2", "name:", "Name", "n%", "%", "_", "n_me", "list:x", "list:x:0", "email", "oauthId"),
    *("peer", "peer:sub", "sub", "sub:1", "s", "sub2", "bucket", "bucket:name", "bucke", "target", "target:sub"),
    *("", ":", "b", "a:b", "a", "na\u0301me", "n\u00e1me", "type", "chain", "\U0010ffff", "'", '"', "\\", "*"),
)


def neighbours(actor_id: str) -> Texts:
    """Return ids that are easily taken for `actor_id`."""
    near = (f"{actor_id}:", f"{actor_id}:peer", f"{actor_id}2", f"{actor_id}%", f"{actor_id} ", f"{actor_id}\u0301")
    return (*near, "b", "_", actor_id.swapcase() + "x", "\U0010ffff")


def fill(backend: Backend, actor_id: str) -> None:
    """Store rows for another actor, under the keys that the acting one uses as well."""
    get_actor(backend).create(actor_id, f"{_CREATOR}{actor_id}", f"{CANARY} passphrase")
    for name in ("name", "nam", "name:", "n%", "_", "list:x", "list:x:0", "%", "n\u00e1me"):
        get_property(backend).set(actor_id, name, f"{CANARY} {name}")
    get_property(backend).set(actor_id, "email", f"{CANARY} {actor_id}")
    get_property(backend).set(actor_id, "oauthId", _SHARED)
    for peer, sub in (("peer", "sub"), ("peer:sub", "1")):
        secret = f"{_TOKEN}{actor_id} {peer} {sub}"
        get_trust(backend).create(actor_id, peer + sub, secret=secret, desc=CANARY, verification_token=CANARY)
        get_peer_trustee(backend).create(actor_id, peer + sub, "type", CANARY, CANARY)
        get_subscription(backend).create(actor_id, peer, sub, target="target", resource=CANARY)
        get_subscription_diff(backend).create(actor_id, sub, CANARY, 1)
        get_subscription_suspension(backend, actor_id).suspend("target", f"{sub} {CANARY}")
        get_attribute(backend).set_attr(actor_id, "bucket", sub, {"chain_id": "chain", "x": CANARY}, TIME)
        get_attribute(backend).set_attr(actor_id, f"bucket:{peer}", "name", CANARY, TIME, 3600)
    get_trust(backend).create(actor_id, "peer", secret=f"{_TOKEN}{actor_id}", desc=CANARY)


@pytest.fixture
def rows_of_others(backend: Backend, request: pytest.FixtureRequest) -> Callable[[str], Snapshot]:
    """Return a function that makes the snapshots for an acting actor."""
    if backend.database == "postgresql":
        pg: psycopg.Connection[Any] = request.getfixturevalue("pg")
        return lambda actor_id: lambda *tables: _postgresql_rows(pg, actor_id, tables)
    ddb = request.getfixturevalue("ddb")
    return lambda actor_id: (
        lambda *tables: [
            (table, item)
            for table in tables
            for item in sorted(dynamodb_items(ddb, table), key=repr)
            if item[_owner(table)] != {"S": actor_id}
        ]
    )


def _owner(table: str) -> str:
    return "actor_id" if table == "property_lookup" else "id"


def _postgresql_rows(pg: psycopg.Connection[Any], actor_id: str, tables: Texts) -> list[Any]:
    """Read the rows with their places, since to write the same again is a change too.

    A claim is left out of that: one that stays another's is locked by writing it as it is.
    """
    part = sql.SQL("SELECT {}, CASE WHEN {} THEN ctid::text END, t::text FROM {} AS t WHERE {} <> {}")
    parts = [
        part.format(
            sql.Literal(table),
            sql.Literal(table != "property_lookup"),
            sql.Identifier(table),
            sql.Identifier(_owner(table)),
            sql.Literal(actor_id),
        )
        for table in tables
    ]
    return sorted(pg.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall(), key=repr)


def pointed(actor_id: str) -> list[Call]:
    """Return calls that name what the others hold: their tokens, and a value that is claimed."""
    claim = {"actor_id": actor_id, "name": "oauthId", "value": _SHARED}
    calls = [usual(f"DbProperty.{method}", **claim) for method in ("set", "create_if_not_exists")]
    swap = {**claim, "expected": _SHARED, "value": f"{actor_id} alone"}
    calls.append(usual("DbProperty.set_if_value_equals", **swap))
    calls += [usual(f"DbProperty.{method}", **claim) for method in ("set", "delete_if_value_equals", "set")]
    calls.append(usual("DbProperty.batch_delete", actor_id=actor_id, names=["oauthId", "email", "name"]))
    for other in neighbours(actor_id):
        for method in ("get", "is_token_in_db"):
            calls.append(usual(f"DbTrust.{method}", actor_id=actor_id, token=f"{_TOKEN}{other}"))
    return calls


class Chooser:
    """Chooses calls for one actor."""

    def __init__(self, seed: int, actor_id: str) -> None:
        self._random = random.Random(seed)
        self._actor_id = actor_id
        self._names = (*NAMES, actor_id, *neighbours(actor_id))
        self._tokens = [f"{_TOKEN}{other}" for other in neighbours(actor_id)]

    def call(self) -> Call:
        """Return a call of any method but those that are about all actors."""
        cls, method = self._random.choice(_OF_ONE_ACTOR)
        names = [str(name) for name, _, _ in SIGNATURES[cls][method]]
        changed = {name: self._value(name) for name in names if name != "actor_id" and self._random.random() < 0.6}
        call = usual(f"{cls}.{method}", **changed)
        own = {"actor_id": self._actor_id} if "actor_id" in names or cls == "DbSubscriptionSuspension" else {}
        return Call(call.name, {**call.arguments, **own})

    def _value(self, name: str) -> Any:
        if name in ("names", "buckets", "peerids"):
            return self._random.sample(self._names, 4)
        if name == "values":
            return {each: self._random.choice((_SHARED, "", "value")) for each in self._random.sample(self._names, 4)}
        if name == "diffs":
            return [(each, number, "diff") for number, each in enumerate(self._random.sample(self._names, 4))]
        if name in _NUMBERS:
            return self._random.choice((0, 1, 2, -1, 10**6))
        if name in ("data", "old_data", "new_data"):
            return self._random.choice(({"chain_id": "chain"}, "x", None, {"chain_id": self._name()}))
        if name in _FLAGS:
            return self._random.random() < 0.5
        if name in ("created_at", "last_accessed", "capabilities_fetched_at", "timestamp"):
            return TIME
        others = self._tokens if name == "token" else [_SHARED] if name in ("value", "expected") else []
        return self._random.choice(others) if others and self._random.random() < 0.5 else self._name()

    def _name(self) -> str:
        return self._random.choice(self._names)


_NUMBERS = frozenset({"seqnr", "by", "ttl_seconds", "now_epoch", "chunk_size", "page_size"})
_FLAGS = frozenset({"keys_only", "consistent_read", "approved", "verified", "peer_approved", "callback", "overwrite"})
# These are told to work on whatever rows they are named, whoever owns them.
_OF_ALL_ACTORS = frozenset({("DbPropertyLookup", "create"), ("DbPropertyLookup", "delete"), ("DbActorList", "iterate")})
_OF_ONE_ACTOR = [method for method in METHODS if method not in _OF_ALL_ACTORS]


@pytest.mark.parametrize("actor_id", ACTORS)
def test_calls_for_one_actor_leave_the_others_alone(
    backend: Backend,
    rows_of_others: Callable[[str], Snapshot],
    caplog: pytest.LogCaptureFixture,
    amount: Amount,
    figures: Figures,
    actor_id: str,
) -> None:
    # Collisions are wanted here, and each is an ERROR.
    caplog.set_level(logging.CRITICAL, "actingweb")
    began = time.monotonic()
    for other in neighbours(actor_id):
        fill(backend, other)
    snapshot, side = rows_of_others(actor_id), Side(backend, dict, actor=actor_id)
    untouched, before = {module: snapshot(*tables) for module, tables in TABLES.items()}, snapshot(*RECORDS)
    assert all(len(rows) >= len(neighbours(actor_id)) for rows in untouched.values())
    chooser = Chooser(5113, actor_id)
    calls = pointed(actor_id) + [chooser.call() for _ in range(amount(40, 1500))]
    for number, call in enumerate(calls):
        if number % 20 == 0:
            side.fill()
        answer = side.answer(call)
        assert CANARY not in repr(answer), call
        assert snapshot(*TABLES[call.module]) == untouched[call.module], call
    assert snapshot(*RECORDS) == before
    figures(
        f"isolation: {backend.database}, actor {actor_id}", seconds=time.monotonic() - began, tried=len(calls), wrong=0
    )
