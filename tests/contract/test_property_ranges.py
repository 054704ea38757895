"""DbProperty: get_range, get_prefix and get_last_in_range."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbInputError
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.contract.support.property_tables import properties

# In the order of their UTF-8 bytes, which is not that of UTF-16 or of a locale.
NAMES = ["%", "A", "B", "_", "a", "a%", "a%b", "aXb", "a_", "ab", "b", "e\u0301", "list:x:1", "é", "\uffee", "🎈"]


def _value(name: str) -> str:
    return f"value of {name}"


def _values(names: list[str]) -> list[tuple[str, str]]:
    return [(name, _value(name)) for name in names]


@pytest.fixture
def owner(prop: DbPropertyProtocol, new_actor: Callable[..., str]) -> str:
    """Return the id of an actor with properties `NAMES`, stored in another order, beside another's."""
    actor_id, other = new_actor(), new_actor()
    for name in NAMES[::-3] + NAMES[::-1]:
        prop.set(actor_id, name, _value(name))
    for name in ("a", "m", "zz"):
        prop.set(other, name, "another's")
    return actor_id


RANGES = [
    ("", "\U0010ffff", NAMES),
    ("A", "B", ["A", "B"]),
    ("a", "a", ["a"]),
    ("a", "aXb", ["a", "a%", "a%b", "aXb"]),
    ("a ", "a~", ["a%", "a%b", "aXb", "a_", "ab"]),
    ("c", "d", []),
    ("b", "a", []),
    ("é", "🎈", ["é", "\uffee", "🎈"]),
    ("\uffee", "\uffff", ["\uffee"]),
    ("e", "f", ["e\u0301"]),
    ("", "", []),
    ("a", "", []),
    ("", "A", ["%", "A"]),
]


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize(("lower", "upper", "names"), RANGES)
def test_a_range_includes_both_bounds_in_byte_order(
    prop: DbPropertyProtocol, owner: str, lower: str, upper: str, names: list[str], consistent: bool
) -> None:
    found = prop.get_range(actor_id=owner, lower=lower, upper=upper, consistent_read=consistent)
    assert list(found.items()) == _values(names)
    keys = prop.get_range(actor_id=owner, lower=lower, upper=upper, keys_only=True, consistent_read=consistent)
    assert list(keys.items()) == [(name, "") for name in names]


@pytest.mark.parametrize(("lower", "upper", "names"), RANGES)
def test_the_last_in_range_is_the_greatest_name(
    prop: DbPropertyProtocol, owner: str, lower: str, upper: str, names: list[str]
) -> None:
    assert prop.get_last_in_range(actor_id=owner, lower=lower, upper=upper) == (names[-1] if names else None)


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("a", ["a", "a%", "a%b", "aXb", "a_", "ab"]),
        ("a%", ["a%", "a%b"]),
        ("a_", ["a_"]),
        ("%", ["%"]),
        ("_", ["_"]),
        ("a%b", ["a%b"]),
        ("e", ["e\u0301"]),
        ("é", ["é"]),
        ("🎈", ["🎈"]),
        ("list:", ["list:x:1"]),
        ("list:x:1:", []),
        ("c", []),
        ("\\", []),
    ],
)
def test_a_prefix_is_matched_byte_by_byte(
    prop: DbPropertyProtocol, owner: str, prefix: str, names: list[str], consistent: bool
) -> None:
    found = prop.get_prefix(actor_id=owner, prefix=prefix, consistent_read=consistent)
    assert list(found.items()) == _values(names)
    keys = prop.get_prefix(actor_id=owner, prefix=prefix, keys_only=True, consistent_read=consistent)
    assert list(keys.items()) == [(name, "") for name in names]


@pytest.mark.parametrize("name", ["\U0010ffff", "\U0010ffff\U0010ffff", "a\U0010ffff", "\x7f", "\x01"])
def test_names_at_the_ends_of_the_alphabet(prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
    prop.set(actor_id, name, "v")
    assert prop.get_prefix(actor_id, name[0]) == {name: "v"}
    assert prop.get_prefix(actor_id, name) == {name: "v"}
    assert prop.get_range(actor_id, "", name) == {name: "v"}
    assert prop.get_last_in_range(actor_id, name, name) == name


@pytest.mark.parametrize(
    ("lower", "upper", "names"),
    [
        ("a\x00", "b", ["ab", "b"]),
        ("a", "ab\x00", ["a", "ab"]),
        ("a\x00", "a\x00", []),
        ("", "z" * 5000, ["a", "ab", "b"]),
        ("a" + "a" * 5000, "b", ["ab", "b"]),
        ("a", "a" + "🎈" * 5000, ["a", "ab"]),
        ("b" * 5000, "b" * 6000, []),
    ],
)
def test_bounds_need_not_be_possible_names(
    prop: DbPropertyProtocol, actor_id: str, lower: str, upper: str, names: list[str]
) -> None:
    for name in ("a", "ab", "b"):
        prop.set(actor_id, name, "v")
    assert list(prop.get_range(actor_id, lower, upper)) == names
    assert prop.get_last_in_range(actor_id, lower, upper) == (names[-1] if names else None)


@pytest.mark.parametrize(
    "missing", [{"actor_id": None}, {"actor_id": ""}, {"lower": None}, {"upper": None}, {"lower": None, "upper": None}]
)
def test_a_range_without_an_actor_or_a_bound_is_empty(
    prop: DbPropertyProtocol, owner: str, missing: dict[str, Any]
) -> None:
    arguments = {"actor_id": owner, "lower": "a", "upper": "b"} | missing
    assert prop.get_range(**arguments) == {}
    assert prop.get_last_in_range(**arguments) is None


@pytest.mark.parametrize("missing", [{"actor_id": None}, {"actor_id": ""}, {"prefix": None}, {"prefix": ""}])
def test_a_prefix_read_without_an_actor_or_a_prefix_is_empty(
    prop: DbPropertyProtocol, owner: str, missing: dict[str, Any]
) -> None:
    assert prop.get_prefix(**({"actor_id": owner, "prefix": "a"} | missing)) == {}


def test_arguments_default_to_none(prop: DbPropertyProtocol) -> None:
    assert prop.get_range() == {}
    assert prop.get_prefix() == {}
    assert prop.get_last_in_range() is None


def test_bounds_and_prefixes_are_cleaned(prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n\ufffd", "v")
    assert prop.get_range(actor_id, "n\ud800", "n\udfff") == {"n\ufffd": "v"}
    assert prop.get_prefix(actor_id, "n\udc00") == {"n\ufffd": "v"}
    assert prop.get_last_in_range(actor_id, "n\ud800", "n\udfff") == "n\ufffd"


@pytest.mark.parametrize(
    ("call", "op"),
    [
        (lambda prop: prop.get_range("a", 1, "b"), "property range read"),
        (lambda prop: prop.get_prefix("a", 1), "property prefix read"),
        (lambda prop: prop.get_last_in_range("a", "a", 1), "property last-in-range read"),
    ],
)
def test_what_is_not_text_is_refused(
    prop: DbPropertyProtocol, call: Callable[[DbPropertyProtocol], object], op: str
) -> None:
    with pytest.raises(DbInputError) as refusal:
        call(prop)
    assert refusal.value.op == op


def test_an_empty_value_is_part_of_a_range(prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n", "v")
    prop.set_if_value_equals(actor_id, "n", "v", "")
    assert prop.get_range(actor_id, "a", "z") == {"n": ""}
    assert prop.get_prefix(actor_id, "n") == {"n": ""}


def test_reads_do_not_change_the_handle(prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n", "v")
    prop.get_range(actor_id, "a", "b")
    prop.get_prefix(actor_id, "x")
    prop.get_last_in_range(actor_id, "a", "b")
    assert prop.handle.name == "n"


def test_every_page_is_read(backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
    """Five values of 390,000 characters fill several DynamoDB pages of 1 MB."""
    stored = {f"n{number}": str(number) * 390_000 for number in range(5)}
    for name, value in stored.items():
        prop.set(actor_id, name, value)
    assert prop.get_range(actor_id, "n0", "n9") == stored
    assert prop.get_prefix(actor_id, "n") == stored
    assert prop.get_range(actor_id, "n0", "n9", keys_only=True) == dict.fromkeys(stored, "")
    assert prop.get_last_in_range(actor_id, "n0", "n9") == "n4"
    assert properties(backend, actor_id) == stored
