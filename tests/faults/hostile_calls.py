"""Calls of the public methods with any arguments, made on several backends side by side."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actingweb.db import DbConflictError, DbError, DbInputError, DbUnknownActorError
from actingweb.db.registry import Backend
from tests.contract.support.signatures import METHODS, MODULES, SIGNATURES
from tests.faults.hostile_values import LONG
from tests.faults.raw_rows import Rows, plain

__all__ = ["ACTOR", "ARGUMENTS", "DIFFERENCES", "TABLES", "TIME", "Call", "Difference", "Side", "answer_of", "usual"]

ACTOR = "actor"
TIME = "2024-01-02T03:04:05+00:00"

TABLES: dict[str, tuple[str, ...]] = {
    "actor": ("actors",),
    "property": ("properties", "property_lookup"),
    "property_lookup": ("property_lookup",),
    "trust": ("trusts",),
    "peertrustee": ("peertrustees",),
    "subscription": ("subscriptions",),
    "subscription_diff": ("subscription_diffs",),
    "subscription_suspension": ("subscription_suspensions",),
    "attribute": ("attributes",),
}
"""The tables that the classes of a module write."""

_USUAL: dict[str, Any] = {
    "actor_id": ACTOR,
    "name": "name",
    "value": "value",
    "expected": "value",
    "lower": "a",
    "upper": "z",
    "prefix": "n",
    "names": ["name", "email"],
    "values": {"name": "new", "email": "ann@example.com", "other": ""},
    "peerids": ["peer", "absent"],
    "diffs": [("sub", 1, "taken"), ("sub", 2, "new"), ("other", 1, None)],
    "property_name": "email",
    "peerid": "peer",
    "token": "token",
    "subid": "sub",
    "peer_type": "type",
    "target": "target",
    "bucket": "bucket",
    "buckets": ["bucket"],
    "chain_id": "chain",
    "data": {"chain_id": "chain"},
    "old_data": {"chain_id": "chain"},
    "new_data": "new",
    "creator": "someone",
}
"""Arguments that find, store or change something."""

# An argument that is looked at only without another one.
_INSTEAD_OF = {("DbTrust.get", "token"): "peerid", ("DbPeerTrustee.get", "peer_type"): "peerid"}
_SUSPENSION = "DbSubscriptionSuspension"

ARGUMENTS: list[tuple[str, str]] = [
    *((f"{cls}.{method}", str(name)) for cls, method in METHODS for name, _, _ in SIGNATURES[cls][method]),
    *((f"{_SUSPENSION}.{method}", "actor_id") for method in SIGNATURES[_SUSPENSION]),
]
"""Every argument of every public method, the one of a constructor counted with each method."""


class Call(NamedTuple):
    """A method `class.method` and its arguments."""

    name: str
    arguments: Mapping[str, Any]

    @property
    def module(self) -> str:
        """The module of the class."""
        return MODULES[self.name.partition(".")[0]]

    def texts(self) -> Iterable[str]:
        """Yield the texts among the arguments, those in lists and objects included."""
        return _texts(list(self.arguments.values()), 100)

    def numbers(self) -> Iterable[int]:
        """Yield the integers among the arguments."""
        return (value for value in self.arguments.values() if isinstance(value, int))


def _texts(value: Any, depth: int) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple) and depth:
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        for part in parts:
            yield from _texts(part, depth - 1)


def usual(name: str, /, **changed: Any) -> Call:
    """Return a call that works, with some arguments changed."""
    cls, _, method = name.partition(".")
    known = [str(parameter) for parameter, _, _ in SIGNATURES[cls][method]]
    known += ["actor_id"] if cls == _SUSPENSION else []
    left_out = {_INSTEAD_OF.get((name, argument)) for argument in changed}
    wanted = {argument: _USUAL[argument] for argument in known if argument in _USUAL and argument not in left_out}
    if method == "modify" and changed:
        wanted = {}
    return Call(name, {**wanted, **changed})


@dataclass
class Side:
    """A backend, how its rows are read, and the actor whose rows calls are about."""

    backend: Backend
    read: Callable[..., Rows]
    before: Rows = field(default_factory=dict)
    actor: str = ACTOR

    @property
    def name(self) -> str:
        """The name of the backend."""
        return self.backend.database

    def fill(self) -> None:
        """Store the rows that calls are about."""
        backend, actor = self.backend, self.actor
        backend.DbActor.DbActor().create(actor, "someone", "phrase")
        backend.DbProperty.DbProperty().set(actor, "name", "value")
        backend.DbProperty.DbProperty().set(actor, "email", "joe@example.com")
        backend.DbTrust.DbTrust().create(actor, "peer", secret="token", created_at=TIME, last_accessed=TIME)
        backend.DbPeerTrustee.DbPeerTrustee().create(actor, "peer", "type")
        backend.DbSubscription.DbSubscription().create(actor, "peer", "sub", target="t")
        backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor, "sub", "diff", 1)
        backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor).suspend("target", "sub")
        backend.DbAttribute.DbAttribute.set_attr(actor, "bucket", "name", {"chain_id": "chain"}, TIME)

    def host(self, actor_id: Any) -> None:
        """Let an actor exist, if one of this id can."""
        if isinstance(actor_id, str) and actor_id not in ("", self.actor):
            try:
                self.backend.DbActor.DbActor().create(actor_id, "someone", "phrase")
            except DbInputError:
                return

    def answer(self, call: Call) -> Any:
        """Make a call and return the answer and the handle, or the class of the error."""
        arguments = dict(call.arguments)
        target = self._target(call, arguments)
        return answer_of(target, call.name.partition(".")[2], arguments)

    def _target(self, call: Call, arguments: dict[str, Any]) -> Any:
        cls = call.name.partition(".")[0]
        make = getattr(importlib.import_module(f"actingweb.db.{self.name}.{call.module}"), cls)
        if cls == _SUSPENSION:
            return make(arguments.pop("actor_id", self.actor))
        target = make()
        if cls.endswith("List"):
            target.fetch(*([] if cls == "DbActorList" else [self.actor]))
        elif cls in _KEYS and not call.name.endswith((".get", ".create")):
            target.get(**self._key(cls))
        return target

    def _key(self, cls: str) -> dict[str, Any]:
        of_all = {} if cls == "DbPropertyLookup" else {"actor_id": self.actor}
        return {**of_all, **_KEYS[cls]}


_KEYS: dict[str, dict[str, Any]] = {
    "DbActor": {},
    "DbProperty": {"name": "name"},
    "DbPropertyLookup": {"property_name": "email", "value": "joe@example.com"},
    "DbTrust": {"peerid": "peer"},
    "DbPeerTrustee": {"peerid": "peer"},
    "DbSubscription": {"peerid": "peer", "subid": "sub"},
    "DbSubscriptionDiff": {"subid": "sub", "seqnr": 1},
}


def answer_of(target: Any, method: str, arguments: Mapping[str, Any]) -> Any:
    """Return answer and handle of a call, or the class of the error, in a form that can be compared."""
    try:
        answer = getattr(target, method)(**arguments)
        answer = list(answer) if method == "iterate" else answer
    except DbError as error:
        # What is raised can be logged.
        f"{error} {error!r}".encode()
        return type(error)
    if method == "iterate":
        answer.sort(key=lambda row: row["id"])
    handle = getattr(target, "handle", None)
    fields = (
        None if handle is None else {name: "" if value is None else value for name, value in handle.asdict().items()}
    )
    return plain(answer), plain(fields)


class Difference(NamedTuple):
    """Where a backend may do otherwise than the others.

    Attributes:
        sentence: the line of docs/backends.md that says so.
        backends: those that may.
        applies: tells whether it is about a call.
        outcome: what it raises then, having stored nothing; None for another answer.
    """

    sentence: str
    backends: tuple[str, ...]
    applies: Callable[[Call], bool]
    outcome: type[DbError] | None


def _has_long_text(call: Call) -> bool:
    return any(str.__len__(text) > LONG for text in call.texts())


def _has_large_number(call: Call) -> bool:
    # A time to live is counted from now.
    since_epoch = int(time.time() * 2) if "ttl_seconds" in call.arguments else 0
    return any(not -(2**63) <= number + since_epoch < 2**63 for number in call.numbers())


DIFFERENCES = (
    Difference("sizes", ("dynamodb", "postgresql"), _has_long_text, DbInputError),
    Difference("numbers", ("dynamodb", "postgresql"), _has_large_number, DbInputError),
    Difference(
        "two pairs of key parts with the same composed key, as (`a:b`, `c`) and (`a`, `b:c`)",
        ("dynamodb",),
        lambda call: any(":" in text for text in call.texts()),
        DbConflictError,
    ),
    Difference(
        "a row for an actor that does not exist",
        ("postgresql",),
        lambda call: call.arguments.get("actor_id", ACTOR) != ACTOR,
        DbUnknownActorError,
    ),
    Difference("expired attributes", ("dynamodb",), lambda call: call.name == "DbAttribute.delete_expired", None),
)
"""Every difference between the backends that a hostile argument can bring about."""
