"""Calls of the interface for the model test, as strategies of Hypothesis, in groups that work on the same tables."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]


@dataclass(frozen=True)
class Step:
    """One call.

    Attributes:
        accessor: what makes the object, without `get_`.
        slot: which of the objects of this accessor, or for suspensions the actor.
        method: the method.
        arguments: its arguments by name.
    """

    accessor: str
    slot: Any
    method: str
    arguments: dict[str, Any]


def _one_of(*values: Any) -> Strategy:
    return st.sampled_from(values)


_AWKWARD = ("\u00e9", "e\u0301", "🎈", "\uffee", "list:a", "b:a", ":", "100%", "x\ud800", "x\ufffd", "A")
_ABSENT = ("", None, "n\x00", "n" * 5000)
ACTORS = ("a", "a:b", "🎈")

_actor = _one_of(*["a"] * 12, *["a:b"] * 4, "🎈", "nobody", "a\x00", "", None, "x\udc00")
_key = _one_of(*["a"] * 12, *["b"] * 6, *["a:b"] * 6, *_AWKWARD, *_ABSENT)
_new_key = _key.filter(lambda key: key is None or len(key) < 100)
_text = _one_of(*["v"] * 8, *["w"] * 4, "", "", None, None, *_AWKWARD)
_new_text = _one_of(*["v"] * 8, *["w"] * 4, "", None, "v\x00", *_AWKWARD)
_flag = _one_of(True, False)
_time = _one_of(
    datetime(2024, 1, 2, 12, 0, tzinfo=UTC),
    datetime(2024, 7, 2, 12, 0, 0, 123456),
    datetime(2024, 1, 2, 12, 0, tzinfo=timezone(timedelta(hours=2))),
    "2024-01-02T03:04:05Z",
    "2024-07-02T03:04:05.5",
)
_no_time = _one_of(None, None, "")
_number = _one_of(0, 0, 0, 1, 1, 1, 2, 2, 3, 10, -1)


def _step(accessor: str, method: str, /, **arguments: Strategy) -> Strategy:
    return st.builds(Step, st.just(accessor), _one_of(0, 0, 1), st.just(method), st.fixed_dictionaries(arguments))


def _list_steps(accessor: str) -> list[Strategy]:
    return [_step(accessor, "fetch", actor_id=_actor), _step(accessor, "delete")]


_PERSON = _one_of("me", "Me", "Me@X.se", "me@x.se", "", None, "x\udfff", "Å@x")
_ACTOR = [
    _step("actor", "get", actor_id=_actor),
    _step("actor", "get_by_creator", creator=_PERSON),
    _step("actor", "create", actor_id=_actor, creator=_PERSON, passphrase=_new_text),
    _step("actor", "modify", creator=_PERSON, passphrase=_text),
    _step("actor", "delete"),
    _step("actor_list", "fetch"),
]

_LIFE = [
    _step("actor", "get", actor_id=_actor),
    _step("actor", "create", actor_id=_actor, creator=_PERSON, passphrase=_text),
    _step("actor", "delete"),
]

_name = st.one_of(_one_of("email", "email", "oauthId"), _key)
_new_name = st.one_of(_one_of("email", "email", "oauthId"), _new_key)
_value = st.one_of(_new_text, _one_of("v", "w", "v", "w", 5, 0, False, [], {"a": "x\ud800"}, [1.5, None]))
_bound = _one_of(
    "", "", "a", "a", "b", "b", "email", "oauthId", "e\u0301", "f", "\uffee", "🎈", "\U0010ffff", None, "x\ud800"
)
_SLICE = {"actor_id": _actor, "keys_only": _flag}
_PROPERTY = [
    _step("property", "get", actor_id=_actor, name=_name),
    _step("property", "set", actor_id=_actor, name=_new_name, value=_value),
    _step("property", "set", actor_id=_actor, name=_one_of("email", "oauthId"), value=_one_of("v", "w", "")),
    _step("property", "get_many", actor_id=_actor, names=st.lists(_name, max_size=4)),
    _step("property", "set_many", actor_id=_actor, values=st.dictionaries(_new_name, _value, max_size=4)),
    _step(
        "property",
        "set_many",
        actor_id=_actor,
        values=st.dictionaries(_one_of("email", "oauthId", "a"), _one_of("v", "w", ""), max_size=3),
        chunk_size=_one_of(None, 1, 2),
    ),
    _step("property", "delete"),
    _step("property", "create_if_not_exists", actor_id=_actor, name=_new_name, value=_value),
    _step("property", "set_if_value_equals", actor_id=_actor, name=_one_of("email", "a"), expected=_text, value=_text),
    _step("property", "delete_if_value_equals", actor_id=_actor, name=_name, value=_text),
    _step("property", "batch_delete", actor_id=_actor, names=st.lists(_name, max_size=4)),
    _step("property", "get_actor_id_from_property", name=_one_of("email", "oauthId"), value=_text),
    _step("property", "get_range", lower=_bound, upper=_bound, **_SLICE),
    _step("property", "get_prefix", prefix=_key, **_SLICE),
    _step("property", "get_last_in_range", actor_id=_actor, lower=_bound, upper=_bound),
    _step("property_list", "fetch_all_including_lists", actor_id=_actor),
    *_list_steps("property_list"),
]

_TRUST = [
    _step("trust", "get", actor_id=_actor, peerid=_key, token=_text),
    _step("trust", "get", actor_id=_actor, peerid=st.none(), token=_text),
    _step("trust", "is_token_in_db", actor_id=_actor, token=_text),
    _step(
        "trust",
        "create",
        actor_id=_actor,
        peerid=_new_key,
        baseuri=_one_of("", "uri"),
        peer_type=_one_of("", "type"),
        relationship=_one_of("", "friend"),
        secret=_text.map(lambda text: text or ""),
        approved=_one_of(True, False, "no", "yes"),
        desc=_new_text.map(lambda text: text or ""),
        established_via=_one_of(None, "OAuth2", "fax"),
        created_at=_time,
        last_accessed=st.one_of(_time, _no_time),
        last_connected_via=_one_of(None, "trust", " MCP"),
        client_name=_one_of(None, "", "client"),
    ),
    _step(
        "trust",
        "modify",
        desc=_text,
        secret=_text,
        approved=_one_of(None, True, "off"),
        client_name=_text,
        last_accessed=st.one_of(_time, _no_time),
    ),
    _step("trust", "get_many", actor_id=_actor, peerids=st.lists(_key, max_size=4)),
    _step("trust", "delete"),
    *_list_steps("trust_list"),
]

_type = _one_of("t", "u", "", None)
_TRUSTEE = [
    _step("peer_trustee", "get", actor_id=_actor, peerid=_key, peer_type=_type),
    _step("peer_trustee", "get", actor_id=_actor, peerid=st.none(), peer_type=_type),
    _step(
        "peer_trustee",
        "create",
        actor_id=_actor,
        peerid=_new_key,
        peer_type=_type,
        baseuri=_new_text,
        passphrase=_text,
    ),
    _step("peer_trustee", "modify", peer_type=_type, baseuri=_text),
    _step("peer_trustee", "delete"),
    *_list_steps("peer_trustee_list"),
]

_pair = st.tuples(_new_key, _new_key)
_SUBSCRIPTION = [
    _step("subscription", "get", actor_id=_actor, peerid=_key, subid=_key),
    _step(
        "subscription",
        "create",
        actor_id=_actor,
        peerid=_new_key,
        subid=_new_key,
        target=_new_text,
        seqnr=_number,
        callback=_flag,
    ),
    _step("subscription", "modify", peerid=_one_of(None, "a"), target=_text, seqnr=_number, callback=_flag),
    _step("subscription", "increment_seqnr", by=_number),
    _step("subscription", "delete"),
    *_list_steps("subscription_list"),
]

_triple = st.one_of(
    st.tuples(_new_key, _number, _new_text),
    st.tuples(_one_of("a", "b", "a:b"), _number, _text),
    st.tuples(_one_of("a"), _number, _text),
)
_some_number = st.one_of(st.none(), _number)
_DIFF = [
    _step("subscription_diff", "get", actor_id=_actor, subid=_key, seqnr=_some_number),
    _step("subscription_diff", "get"),
    _step("subscription_diff", "create", actor_id=_actor, subid=_new_key, diff=_new_text, seqnr=_number),
    _step("subscription_diff", "create", actor_id=_one_of(*ACTORS), subid=_one_of("a", "b"), diff=_text, seqnr=_number),
    _step("subscription_diff", "create_many", actor_id=_actor, diffs=st.lists(_triple, max_size=4)),
    _step("subscription_diff", "delete"),
    _step("subscription_diff_list", "fetch", actor_id=_actor, subid=_key),
    _step("subscription_diff_list", "fetch", actor_id=_one_of(*ACTORS), subid=_one_of(None, "a", "b")),
    _step("subscription_diff_list", "delete", seqnr=_some_number),
]


def _suspension_step(method: str, /, **arguments: Strategy) -> Strategy:
    given = st.fixed_dictionaries(arguments)
    return st.builds(Step, st.just("subscription_suspension"), _actor, st.just(method), given)


_SUSPENSION = [
    _suspension_step("suspend", target=_new_key, subtarget=_new_key),
    _suspension_step("suspend", target=_one_of("a", "a:b"), subtarget=_one_of(None, "a", "b")),
    _suspension_step("is_suspended", target=_key, subtarget=_key),
    _suspension_step("is_suspended", target=_one_of("a", "a:b"), subtarget=_one_of(None, "a", "b")),
    _suspension_step("resume", target=_key, subtarget=_one_of(None, None, "a", "b", "a:b")),
    _suspension_step("get_all_suspended"),
    _suspension_step("delete_all"),
]

_json = st.recursive(
    _one_of(None, True, False, 0, 1, 1.0, -2.5, 2**53, "", "v", "x\ud800", "🎈"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_one_of("a", "b", "chain_id"), inner, max_size=3),
    max_leaves=4,
)
_chain = _one_of("c", 1, 1.0, True, None, "")
_data = st.one_of(_json, _one_of(None, True, 1, 1.0, {"a": 1}), st.builds(lambda chain: {"chain_id": chain}, _chain))
_bucket = st.one_of(_one_of("a", "a", "a", "a:b"), _new_key)
_CELL = {"actor_id": _actor, "bucket": _bucket, "name": _key}
_NEW_CELL = {"actor_id": _actor, "bucket": _bucket, "name": _new_key}
_WRITE = {"timestamp": st.one_of(_no_time, _time), "ttl_seconds": _one_of(None, None, 0, 100, -3600, -5000, -5000)}
_buckets = st.one_of(st.none(), st.lists(_one_of("a", "b", "a:b", "list:a"), max_size=3))
_ATTRIBUTE = [
    _step("attribute", "get_attr", **_CELL),
    _step("attribute", "get_attr_strict", **_CELL),
    _step("attribute", "get_bucket", actor_id=_actor, bucket=_key),
    _step("attribute", "set_attr", data=_data, **_NEW_CELL, **_WRITE),
    _step("attribute", "delete_attr", **_CELL),
    _step("attribute", "delete_attr_conditional", **_CELL),
    _step("attribute", "conditional_update_attr", old_data=_data, new_data=_data, **_CELL, **_WRITE),
    _step("attribute", "delete_bucket", actor_id=_actor, bucket=_key),
    _step("attribute", "delete_expired", buckets=_buckets),
    _step("attribute", "delete_by_chain", actor_id=_actor, buckets=_buckets, chain_id=_chain, defer_name=_key),
    _step("attribute_bucket_list", "fetch", actor_id=_actor),
    _step("attribute_bucket_list", "fetch_timestamps", actor_id=_actor),
    _step("attribute_bucket_list", "delete", actor_id=_actor),
]

GROUPS = {
    "actors": _ACTOR,
    "properties": _PROPERTY,
    "trusts": _TRUST,
    "peer trustees": _TRUSTEE,
    "subscriptions": _SUBSCRIPTION,
    "diffs": _DIFF,
    "suspensions": _SUSPENSION,
    "attributes": _ATTRIBUTE,
}


_NEAR = {"actor_id": "a", "peerid": "a", "subid": "a", "bucket": "a", "name": "email", "target": "a"}


def _near(strategy: Strategy) -> Strategy:
    """Return the strategy with its steps moved to one object and one row, where they meet."""

    def moved(step: Step) -> Step:
        keys = {name: _NEAR[name] for name in step.arguments if name in _NEAR and step.method != "modify"}
        return Step(step.accessor, 0 if isinstance(step.slot, int) else "a", step.method, {**step.arguments, **keys})

    return strategy.map(moved)


def steps(group: str) -> Strategy:
    """Return a strategy of up to thirty steps that mostly work on the tables of one group; "all" mixes them."""
    chosen = list(itertools.chain.from_iterable(GROUPS.values())) if group == "all" else [*GROUPS[group], *_LIFE]
    step = st.one_of(*chosen, *map(_near, chosen))
    # A list of a length drawn before it is longer than what `st.lists` makes on its own.
    return st.integers(1, 30).flatmap(lambda length: st.lists(step, min_size=length, max_size=length))


SEED = [Step("actor", 0, "create", {"actor_id": actor, "creator": "me", "passphrase": "p"}) for actor in ACTORS]
"""Store the actors that most steps are about."""

_WHOLE = {
    "properties": ("property_list", "fetch_all_including_lists"),
    "trusts": ("trust_list", "fetch"),
    "peer trustees": ("peer_trustee_list", "fetch"),
    "subscriptions": ("subscription_list", "fetch"),
    "diffs": ("subscription_diff_list", "fetch"),
    "attributes": ("attribute_bucket_list", "fetch"),
}


def look(group: str) -> list[Step]:
    """Return steps that read all that the tables of a group, or of all groups, hold."""
    groups = [name for name in GROUPS if group in (name, "all") and name != "actors"]
    return [
        Step("actor_list", 0, "fetch", {}),
        *(_read(name, actor) for name in groups for actor in (*ACTORS, "nobody")),
    ]


def _read(group: str, actor_id: str) -> Step:
    if group == "suspensions":
        return Step("subscription_suspension", actor_id, "get_all_suspended", {})
    subid = {"subid": None} if group == "diffs" else {}
    accessor, method = _WHOLE[group]
    return Step(accessor, 0, method, {"actor_id": actor_id, **subid})
