"""What every method does with texts, numbers and times: alike on every backend (1.2)."""

import importlib
import json
from typing import Any

import pytest

from actingweb.db.exceptions import DbInputError
from actingweb.db.registry import Backend

from .support.calls import TIME
from .support.signatures import MODULES
from .support.writes import ACTOR, JSON, WRITES, Write, stored

TEXTS = [(write, name) for write in WRITES for name in write.texts]
ONLY_TEXTS = [(write, name) for write, name in TEXTS if f"{write.name} {name}" not in JSON]
OTHERS = [(write, name, values) for write in WRITES for name, values in write.others.items()]
# What a careless layer normalises, trims, unescapes or cuts.
AWKWARD = ' e\u0301 \u00e9 it\'s "quoted" \\ %s %(x)s {} :name \u200b\ufeff \U0001f600\uffee a\nb\tc\x01 '

# method, arguments, answer when nothing is found; `...` is where the key goes that cannot exist
KEYS: list[tuple[str, dict[str, Any], object]] = [
    ("DbActor.get", {"actor_id": ...}, None),
    ("DbActor.get_by_creator", {"creator": ...}, []),
    ("DbProperty.get", {"actor_id": ..., "name": "n"}, None),
    ("DbProperty.get", {"actor_id": ACTOR, "name": ...}, None),
    ("DbProperty.get_many", {"actor_id": ..., "names": ["n"]}, {}),
    ("DbProperty.get_many", {"actor_id": ACTOR, "names": [...]}, {}),
    ("DbProperty.set", {"actor_id": ACTOR, "name": ..., "value": None}, True),
    ("DbProperty.set_many", {"actor_id": ACTOR, "values": {...: None}}, True),
    ("DbProperty.get_actor_id_from_property", {"name": "email", "value": ...}, None),
    ("DbProperty.get_range", {"actor_id": ..., "lower": "a", "upper": "z"}, {}),
    ("DbProperty.get_prefix", {"actor_id": ACTOR, "prefix": ...}, {}),
    ("DbProperty.get_last_in_range", {"actor_id": ..., "lower": "a", "upper": "z"}, None),
    ("DbProperty.delete_if_value_equals", {"actor_id": ACTOR, "name": ..., "value": "v"}, False),
    ("DbProperty.delete_if_value_equals", {"actor_id": ACTOR, "name": "n", "value": ...}, False),
    ("DbProperty.set_if_value_equals", {"actor_id": ACTOR, "name": "n", "expected": ..., "value": "v"}, False),
    ("DbProperty.set_if_value_equals", {"actor_id": ACTOR, "name": ..., "expected": "v", "value": "w"}, False),
    ("DbProperty.batch_delete", {"actor_id": ACTOR, "names": [...]}, None),
    ("DbPropertyList.fetch", {"actor_id": ...}, {}),
    ("DbPropertyList.fetch_all_including_lists", {"actor_id": ...}, {}),
    ("DbPropertyLookup.get", {"property_name": "email", "value": ...}, None),
    ("DbPropertyLookup.delete", {"property_name": "email", "value": ...}, False),
    ("DbTrust.get", {"actor_id": ..., "peerid": "p"}, None),
    ("DbTrust.get", {"actor_id": ACTOR, "peerid": ...}, None),
    ("DbTrust.get", {"actor_id": ACTOR, "token": ...}, None),
    ("DbTrust.get_many", {"actor_id": ..., "peerids": ["p"]}, []),
    ("DbTrust.get_many", {"actor_id": ACTOR, "peerids": [...]}, []),
    ("DbTrust.is_token_in_db", {"actor_id": ACTOR, "token": ...}, False),
    ("DbTrust.is_token_in_db", {"actor_id": ..., "token": "t"}, False),
    ("DbTrustList.fetch", {"actor_id": ...}, []),
    ("DbPeerTrustee.get", {"actor_id": ACTOR, "peerid": ...}, None),
    ("DbPeerTrustee.get", {"actor_id": ACTOR, "peer_type": ...}, None),
    ("DbPeerTrusteeList.fetch", {"actor_id": ...}, []),
    ("DbSubscription.get", {"actor_id": ACTOR, "peerid": ..., "subid": "s"}, None),
    ("DbSubscription.get", {"actor_id": ACTOR, "peerid": "p", "subid": ...}, None),
    ("DbSubscriptionList.fetch", {"actor_id": ...}, []),
    ("DbSubscriptionDiff.get", {"actor_id": ACTOR, "subid": ..., "seqnr": 1}, None),
    ("DbSubscriptionDiff.get", {"actor_id": ACTOR, "subid": ...}, None),
    ("DbSubscriptionDiffList.fetch", {"actor_id": ..., "subid": "s"}, []),
    ("DbSubscriptionDiffList.fetch", {"actor_id": ACTOR, "subid": ...}, []),
    ("DbSubscriptionSuspension.is_suspended", {"target": ...}, False),
    ("DbSubscriptionSuspension.is_suspended", {"target": "t", "subtarget": ...}, False),
    ("DbSubscriptionSuspension.resume", {"target": ...}, False),
    ("DbSubscriptionSuspension.resume", {"target": "t", "subtarget": ...}, False),
    ("DbAttribute.get_attr", {"actor_id": ..., "bucket": "b", "name": "n"}, None),
    ("DbAttribute.get_attr", {"actor_id": ACTOR, "bucket": ..., "name": "n"}, None),
    ("DbAttribute.get_attr_strict", {"actor_id": ACTOR, "bucket": "b", "name": ...}, None),
    ("DbAttribute.get_bucket", {"actor_id": ACTOR, "bucket": ...}, {}),
    ("DbAttribute.set_attr", {"actor_id": ACTOR, "bucket": "b", "name": ..., "data": None}, True),
    ("DbAttribute.delete_attr", {"actor_id": ACTOR, "bucket": "b", "name": ...}, True),
    ("DbAttribute.delete_attr_conditional", {"actor_id": ACTOR, "bucket": "b", "name": ...}, False),
    (
        "DbAttribute.conditional_update_attr",
        {"actor_id": ACTOR, "bucket": "b", "name": ..., "old_data": 1, "new_data": 2},
        False,
    ),
    ("DbAttribute.delete_bucket", {"actor_id": ACTOR, "bucket": ...}, True),
    ("DbAttribute.delete_by_chain", {"actor_id": ACTOR, "buckets": [...], "chain_id": "c"}, 0),
    ("DbAttributeBucketList.fetch", {"actor_id": ...}, {}),
    ("DbAttributeBucketList.fetch_timestamps", {"actor_id": ...}, {}),
    ("DbAttributeBucketList.delete", {"actor_id": ...}, True),
]


def identify(value: object) -> str | None:
    return value.name if isinstance(value, Write) else None


every_text = pytest.mark.parametrize(("write", "argument"), TEXTS, ids=identify)
every_key = pytest.mark.parametrize(("method", "arguments", "nothing"), KEYS)


@every_text
def test_a_text_with_a_zero_character_is_refused(write: Write, argument: str, backend: Backend, actor_id: str) -> None:
    write.make(backend, actor_id)
    before = stored(backend, actor_id)
    for text in ("\x00", "a\x00b"):
        with pytest.raises(DbInputError) as caught:
            write(backend, actor_id, **{argument: text})
        assert type(caught.value) is DbInputError
    assert stored(backend, actor_id) == before


@every_text
def test_each_lone_surrogate_is_stored_as_one_replacement_character(
    write: Write, argument: str, backend: Backend, actor_id: str
) -> None:
    assert write(backend, actor_id, **{argument: "left\ud800\udfffright"})
    assert "left\ufffd\ufffdright" in _texts(stored(backend, actor_id))


@every_text
def test_a_text_comes_back_as_it_was(write: Write, argument: str, backend: Backend, actor_id: str) -> None:
    assert write(backend, actor_id, **{argument: AWKWARD})
    assert AWKWARD in _texts(stored(backend, actor_id))


@pytest.mark.parametrize(("write", "argument"), ONLY_TEXTS, ids=identify)
def test_another_type_where_text_is_needed_is_refused(
    write: Write, argument: str, backend: Backend, actor_id: str
) -> None:
    write.make(backend, actor_id)
    before = stored(backend, actor_id)
    for value in (7, 1.5, ["x"], {"x": 1}, object()):
        with pytest.raises(DbInputError):
            write(backend, actor_id, **{argument: value})
    assert stored(backend, actor_id) == before


@pytest.mark.parametrize(("write", "argument", "values"), OTHERS, ids=identify)
def test_a_value_that_cannot_be_stored_is_refused(
    write: Write, argument: str, values: tuple[Any, ...], backend: Backend, actor_id: str
) -> None:
    write.make(backend, actor_id)
    before = stored(backend, actor_id)
    for value in values:
        with pytest.raises(DbInputError):
            write(backend, actor_id, **{argument: value})
    assert stored(backend, actor_id) == before


@every_key
def test_a_key_that_cannot_exist_finds_nothing(
    method: str, arguments: dict[str, Any], nothing: object, backend: Backend, actor_id: str
) -> None:
    _fill(backend, actor_id)
    before = stored(backend, actor_id)
    for key in ("k" * 5000, "n\x00", "\x00"):
        assert _call(backend, actor_id, method, arguments, key) == nothing
    assert stored(backend, actor_id) == before


@every_key
def test_another_type_where_a_key_is_needed_is_refused(
    method: str, arguments: dict[str, Any], nothing: object, backend: Backend, actor_id: str
) -> None:
    with pytest.raises(DbInputError):
        _call(backend, actor_id, method, arguments, 7)


def _call(backend: Backend, actor_id: str, name: str, arguments: dict[str, Any], key: object) -> object:
    cls, _, method = name.partition(".")
    module = importlib.import_module(f"actingweb.db.{backend.database}.{MODULES[cls]}")
    made = getattr(module, cls)(*([actor_id] if cls == "DbSubscriptionSuspension" else []))
    meant = {name: _meant(value, actor_id, key) for name, value in arguments.items()}
    return getattr(made, method)(**meant)


def _meant(value: object, actor_id: str, key: object) -> object:
    if value == [...]:
        return [key]
    if value == {...: None}:
        return {key: None}
    return key if value is ... else actor_id if value is ACTOR else value


def _fill(backend: Backend, actor_id: str) -> None:
    """Store rows whose keys are close to those that are asked for."""
    for name in ("n", "k", "email"):
        backend.DbProperty.DbProperty().set(actor_id, name, "v")
    backend.DbTrust.DbTrust().create(actor_id, "p", secret="t", created_at=TIME)
    backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, "p", "n")
    backend.DbSubscription.DbSubscription().create(actor_id, "p", "s")
    backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, "n", "d")
    backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id).suspend("n", "n")
    backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", "n", {"chain_id": "c"})


@pytest.mark.parametrize(
    "data",
    [{"a": "x\x00"}, {"a\x00": 1}, ["\x00"], {"a": [{"b": "\x00"}]}, {"a": {"\x00": 1}}],
)
def test_a_zero_character_anywhere_in_attribute_data_is_refused(data: Any, backend: Backend, actor_id: str) -> None:
    attribute = backend.DbAttribute.DbAttribute
    assert attribute.set_attr(actor_id, "b", "n", "old")
    with pytest.raises(DbInputError):
        attribute.set_attr(actor_id, "b", "n", data)
    with pytest.raises(DbInputError):
        attribute.conditional_update_attr(actor_id, "b", "n", "old", data)
    assert attribute.get_attr(actor_id, "b", "n") == {"data": "old", "timestamp": None}


@pytest.mark.parametrize(
    "data",
    [{f"k{chr(0xD800)}": 1, f"k{chr(0xDC00)}": 2}, {"1": "a", 1: "b"}, {"true": 1, True: 2}, {"null": 1, None: 2}],
    ids=["cleaning", "number", "bool", "null"],
)
def test_keys_that_become_equal_are_refused(data: Any, backend: Backend, actor_id: str) -> None:
    for nested in (data, [data], {"x": data}):
        with pytest.raises(DbInputError):
            backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", "n", nested)
    assert backend.DbAttribute.DbAttribute.get_attr(actor_id, "b", "n") is None


def test_surrogates_anywhere_in_attribute_data_are_replaced(backend: Backend, actor_id: str) -> None:
    attribute = backend.DbAttribute.DbAttribute
    assert attribute.set_attr(actor_id, "b", "n", {"k\ud800": ["v\udfff", {"x": "\ud83d\ude00"}]})
    assert attribute.get_attr(actor_id, "b", "n")["data"] == {"k\ufffd": ["v\ufffd", {"x": "\ufffd\ufffd"}]}


def test_an_id_of_255_characters_fits(backend: Backend, actor_id: str) -> None:
    trust = backend.DbTrust.DbTrust()
    assert trust.create(actor_id, "é" * 255)
    assert trust.get(actor_id, "é" * 255)["peerid"] == "é" * 255


@pytest.mark.backends("dynamodb", "postgresql")
def test_a_refused_key_is_named_with_limit_and_size(backend: Backend, actor_id: str) -> None:
    with pytest.raises(DbInputError, match="1300") as caught:
        backend.DbTrust.DbTrust().create(actor_id, "k" * 1300)
    limit = {"dynamodb": "1024", "postgresql": "255"}[backend.database]
    assert limit in (caught.value.reason or "")
    assert backend.DbTrust.DbTrustList().fetch(actor_id) == []


def _texts(value: Any) -> set[str]:
    """Return all texts in a structure."""
    if isinstance(value, str):
        return {value} | (_texts(json.loads(value)) if value.startswith("{") else set())
    if isinstance(value, dict):
        return set(value) | {text for item in value.values() for text in _texts(item)}
    if isinstance(value, list | tuple):
        return {text for item in value for text in _texts(item)}
    return set()
