"""The classes whose objects hold one row, and their lists, as data for the rules that all of them share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from actingweb.db import (
    DbInputError,
    get_actor,
    get_peer_trustee,
    get_peer_trustee_list,
    get_subscription,
    get_subscription_diff,
    get_subscription_diff_list,
    get_subscription_list,
    get_trust,
    get_trust_list,
)
from actingweb.db.registry import Backend
from actingweb.db.spi import Record

NFC, NFD = "\u00e9", "e\u0301"
AWKWARD_TEXTS = [
    *("\n", " ", "#", "100%", "A", "a", "a!b", "a:b", "ab", "back\\slash", NFD, "list:x", "quote'\""),
    *("sub target ", "under_score", NFC, "\u4e2d", "\uffee", "🎈"),
]
"""Texts that are keys like any other, in the order of their UTF-8 bytes."""


def unset_texts(record: type[Record]) -> dict[str, str]:
    """Return what a result shows for the optional texts of a record that has none of them."""
    return {name: "" for name, kind in record.types.items() if kind == str | None}


FLAGS: list[tuple[Any, bool]] = [
    (True, True),
    (False, False),
    (1, True),
    (0, False),
    (None, False),
    ("true", True),
    ("anything", True),
    ("", False),
    ("0", False),
    (" False ", False),
    ("NO", False),
    ("off", False),
]
"""What a flag may be given as, and what it then is."""


@dataclass(frozen=True)
class Entity:
    """A class of one row.

    Attributes:
        make: its accessor.
        key: the arguments that with the actor's id name a row, and their values.
        other_key: the same of another row of the same actor.
        values: further arguments of `create`.
        row: the fields of the handle that `create` with `key` and `values` sets, without the id.
        result: the dict that `get` then answers, without the id.
        changes: arguments of `modify`, each with a new value; empty if there is no `modify`.
        columns: the field of the handle for each of `changes`.
        text: an argument of `create` that takes any text.
    """

    name: str
    make: Callable[[Any], Any]
    key: Mapping[str, Any]
    other_key: Mapping[str, Any]
    values: Mapping[str, Any]
    row: Mapping[str, Any]
    result: Mapping[str, Any]
    text: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    def create(self, backend: Backend, actor_id: str, /, **arguments: Any) -> Any:
        """Store the row of `key`, changed by `arguments`; return the object."""
        made = self.make(backend)
        assert made.create(**{"actor_id": actor_id, **self.key, **self.values, **arguments}) is True
        return made

    def load(self, backend: Backend, actor_id: str) -> Any:
        """Return a new object that has loaded the row of `key`."""
        made = self.make(backend)
        assert made.get(actor_id=actor_id, **self.key)
        return made

    def stored(self, backend: Backend, actor_id: str, /, **key: Any) -> Any:
        """Return what another object reads under `key`, changed by the arguments."""
        return self.make(backend).get(**{"actor_id": actor_id, **self.key, **key})


ACTOR = Entity(
    name="actor",
    make=get_actor,
    key={},
    other_key={"actor_id": "another"},
    values={"creator": "canary-creator", "passphrase": "canary-phrase"},
    row={"creator": "canary-creator", "passphrase": "canary-phrase"},
    result={"creator": "canary-creator", "passphrase": "canary-phrase"},
    text="creator",
    changes={"creator": "new", "passphrase": "newer"},
    columns={"creator": "creator", "passphrase": "passphrase"},
)

_TRUST = {
    "peerid": "p1",
    "baseuri": "canary-uri",
    "relationship": "friend",
    "secret": "canary-secret",
    "desc": "canary-desc",
    "approved": True,
    "peer_approved": False,
    "verified": True,
    "verification_token": "canary-token",
}
TRUST = Entity(
    name="trust",
    make=get_trust,
    key={"peerid": "p1"},
    other_key={"peerid": "p2"},
    values={
        **{name: value for name, value in _TRUST.items() if name != "peerid"},
        "peer_type": "urn:x",
        "created_at": "2024-01-02T03:04:05Z",
    },
    row={**_TRUST, "type": "urn:x"},
    result={
        **_TRUST,
        "type": "urn:x",
        "created_at": "2024-01-02T03:04:05+00:00",
        "last_accessed": "2024-01-02T03:04:05+00:00",
        "last_connected_at": "2024-01-02T03:04:05+00:00",
    },
    text="desc",
    changes={"desc": "new", "client_name": "newer"},
    columns={"desc": "desc", "client_name": "client_name"},
)

_TRUSTEE = {"peerid": "p1", "baseuri": "canary-uri", "type": "urn:x", "passphrase": "canary-phrase"}
PEER_TRUSTEE = Entity(
    name="peer trustee",
    make=get_peer_trustee,
    key={"peerid": "p1"},
    other_key={"peerid": "p2"},
    values={"baseuri": "canary-uri", "peer_type": "urn:x", "passphrase": "canary-phrase"},
    row=_TRUSTEE,
    result=_TRUSTEE,
    text="baseuri",
    changes={"peer_type": "new", "baseuri": "newer"},
    columns={"peer_type": "type", "baseuri": "baseuri"},
)

_SUBSCRIPTION = {
    "peerid": "p1",
    "granularity": "high",
    "target": "canary-target",
    "subtarget": "canary-subtarget",
    "resource": "canary-resource",
    "callback": True,
}
SUBSCRIPTION = Entity(
    name="subscription",
    make=get_subscription,
    key={"peerid": "p1", "subid": "s1"},
    other_key={"peerid": "p1", "subid": "s2"},
    values={**{name: value for name, value in _SUBSCRIPTION.items() if name != "peerid"}, "seqnr": 7},
    row={**_SUBSCRIPTION, "subid": "s1", "seqnr": 7},
    result={**_SUBSCRIPTION, "subscriptionid": "s1", "sequence": 7},
    text="target",
    changes={"target": "new", "resource": "newer"},
    columns={"target": "target", "resource": "resource"},
)

DIFF = Entity(
    name="subscription diff",
    make=get_subscription_diff,
    key={"subid": "s1", "seqnr": 3},
    other_key={"subid": "s1", "seqnr": 4},
    values={"diff": "canary-diff"},
    row={"subid": "s1", "seqnr": 3, "diff": "canary-diff"},
    result={"subscriptionid": "s1", "sequence": 3, "data": "canary-diff"},
    text="diff",
)

ENTITIES = [ACTOR, TRUST, PEER_TRUSTEE, SUBSCRIPTION, DIFF]
OWNED = [TRUST, PEER_TRUSTEE, SUBSCRIPTION, DIFF]
MODIFIABLE = [ACTOR, TRUST, PEER_TRUSTEE, SUBSCRIPTION]
CREATED_ONCE = [ACTOR, PEER_TRUSTEE, SUBSCRIPTION, DIFF]


@dataclass(frozen=True)
class Listing:
    """A list class.

    Attributes:
        entity: the class of its rows.
        make: its accessor.
        member: the attribute that holds the last fetch.
        part: the argument of `create` that orders the rows of one actor.
        shown: the key of `part` in an entry.
    """

    entity: Entity
    make: Callable[[Any], Any]
    member: str
    part: str
    shown: str

    @property
    def name(self) -> str:
        """The name of the class of its rows."""
        return self.entity.name

    def add(self, backend: Backend, actor_id: str, *parts: str) -> None:
        """Store a row for each of these values of `part`."""
        for value in parts:
            self.entity.create(backend, actor_id, **{self.part: value})

    def parts(self, backend: Backend, actor_id: str) -> list[str]:
        """Return the value of `part` of each row, as listed by a new object."""
        return [entry[self.shown] for entry in self.make(backend).fetch(actor_id=actor_id)]


LISTS = [
    Listing(TRUST, get_trust_list, "trusts", "peerid", "peerid"),
    Listing(PEER_TRUSTEE, get_peer_trustee_list, "peertrustees", "peerid", "peerid"),
    Listing(SUBSCRIPTION, get_subscription_list, "subscriptions", "peerid", "peerid"),
    Listing(DIFF, get_subscription_diff_list, "diffs", "subid", "subscriptionid"),
]


def each(cases: list[Any]) -> pytest.MarkDecorator:
    """Parametrize a test by `entity` or `listing`, as these cases are."""
    kind = "listing" if isinstance(cases[0], Listing) else "entity"
    return pytest.mark.parametrize(kind, cases, ids=[case.name for case in cases])


@contextmanager
def refusal(match: str | None = None) -> Iterator[pytest.ExceptionInfo[DbInputError]]:
    """Expect that the block raises `DbInputError` and nothing more special."""
    with pytest.raises(DbInputError, match=match) as raised:
        yield raised
    assert type(raised.value) is DbInputError
