"""DbAttribute: what actor ids, buckets and names may be, and keys that compose alike."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbConflictError, DbInputError
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.protocols import DbAttributeProtocol
from actingweb.db.registry import Backend
from tests.support import new_id

KEY: dict[str, Any] = {"actor_id": "a", "bucket": "b", "name": "n"}


def _get(attribute: DbAttributeProtocol) -> Any:
    entry = attribute.get_attr(**KEY)
    return None if entry is None else entry["data"]


def _random(text: str) -> str:
    """Return text of the same length that compression does not shorten."""
    return "".join(new_id("") for _ in range(len(text) // 32 + 1))[: len(text)]


def _assert_absent(attribute: DbAttributeProtocol, key: dict[str, Any]) -> None:
    assert attribute.get_attr(**key) is None
    assert attribute.get_attr_strict(**key) is None
    assert attribute.conditional_update_attr(**key, old_data=1, new_data=2) is False
    assert attribute.conditional_update_attr(**key, old_data=None, new_data=2) is False
    assert attribute.delete_attr_conditional(**key) is False
    assert attribute.delete_attr(**key) is True
    assert attribute.set_attr(**key, data=None) is True


@pytest.mark.parametrize("text", ["100%", "under_score", "a:b", ":", "quote'\"", "\n", "é", "e\u0301", "🎈"])
def test_keys_are_verbatim(attribute: DbAttributeProtocol, text: str) -> None:
    attribute.set_attr(text, text, text, "v")
    assert attribute.get_attr(text, text, text) == {"data": "v", "timestamp": None}
    assert attribute.get_bucket(text, text) == {text: {"data": "v", "timestamp": None}}


def test_keys_are_cleaned(attribute: DbAttributeProtocol) -> None:
    attribute.set_attr("a\ud800", "b\ud800", "n\ud800", "v")
    assert attribute.get_bucket("a\ufffd", "b\udfff") == {"n\ufffd": {"data": "v", "timestamp": None}}
    assert attribute.get_attr("a\udfff", "b\ufffd", "n\udc00") == {"data": "v", "timestamp": None}
    assert attribute.delete_attr_conditional("a\udfff", "b\ufffd", "n\udc00") is True


@pytest.mark.parametrize("part", [{"actor_id": "a\x00"}, {"bucket": "b\x00"}, {"name": "n\x00"}])
def test_a_write_refuses_zero_characters_and_a_read_finds_nothing(
    attribute: DbAttributeProtocol, part: dict[str, Any]
) -> None:
    attribute.set_attr(**KEY, data="v")
    with pytest.raises(DbInputError, match=r"U\+0000"):
        attribute.set_attr(**(KEY | part), data="w")
    _assert_absent(attribute, KEY | part)
    assert _get(attribute) == "v"


@pytest.mark.parametrize("part", [{"actor_id": "a" * 5000}, {"bucket": "b" * 5000}, {"name": "n" * 5000}])
def test_a_write_refuses_a_key_that_is_too_long_and_a_read_finds_nothing(
    backend: Backend, attribute: DbAttributeProtocol, part: dict[str, Any]
) -> None:
    if Capability.LONG_KEYS not in backend.capabilities:
        with pytest.raises(DbInputError, match="50"):
            attribute.set_attr(**(KEY | {name: _random(text) for name, text in part.items()}), data="w")
    _assert_absent(attribute, KEY | part)


@pytest.mark.backends("dynamodb")
def test_dynamodb_takes_composed_names_of_1024_bytes(attribute: DbAttributeProtocol) -> None:
    assert attribute.set_attr("a", "b" * 500, "n" * 523, "v")
    assert attribute.get_attr("a", "b" * 500, "n" * 523)
    with pytest.raises(DbInputError, match=r"(?s)1024.*1025|1025.*1024"):
        attribute.set_attr("a", "b" * 500, "n" * 524, "v")


@pytest.mark.parametrize("part", [{"actor_id": 1}, {"bucket": 1}, {"name": b"n"}])
def test_what_is_not_text_is_refused(attribute: DbAttributeProtocol, part: dict[str, Any]) -> None:
    calls: list[Callable[..., object]] = [
        attribute.get_attr, attribute.set_attr, attribute.delete_attr, attribute.delete_attr_conditional,
        attribute.conditional_update_attr,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(DbInputError, match="must be text"):
            call(**(KEY | part))


@requires(Capability.KEYS_BY_PARTS)
def test_pairs_with_the_same_composed_key_are_separate_attributes(attribute: DbAttributeProtocol) -> None:
    attribute.set_attr("a", "remote:abc", "x", 1)
    attribute.set_attr("a", "remote", "abc:x", 2)
    assert attribute.get_bucket("a", "remote:abc") == {"x": {"data": 1, "timestamp": None}}
    assert attribute.get_bucket("a", "remote") == {"abc:x": {"data": 2, "timestamp": None}}
    assert attribute.delete_attr_conditional("a", "remote", "abc:x") is True
    assert attribute.get_attr("a", "remote:abc", "x") == {"data": 1, "timestamp": None}


@lacks(Capability.KEYS_BY_PARTS)
def test_the_second_pair_with_the_same_composed_key_is_refused(attribute: DbAttributeProtocol) -> None:
    attribute.set_attr("a", "remote:abc", "x", 1)
    with pytest.raises(DbConflictError):
        attribute.set_attr("a", "remote", "abc:x", 2)
    _assert_absent(attribute, {"actor_id": "a", "bucket": "remote", "name": "abc:x"})
    assert attribute.get_bucket("a", "remote") == {}
    assert attribute.delete_bucket("a", "remote") is True
    assert attribute.get_attr("a", "remote:abc", "x") == {"data": 1, "timestamp": None}
