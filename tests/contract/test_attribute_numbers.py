"""Numbers in attribute data come back equal, and match if Python says that they are equal (3.10, 8 no. 8)."""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actingweb.db import DbError, DbInputError, get_attribute, get_attribute_bucket_list
from actingweb.db.protocols import DbAttributeProtocol
from actingweb.db.registry import Backend
from tests.support import ddb_table

_FEW = {"dynamodb": 40}

FLOATS: list[Any] = [
    *(0.1, -0.1, 1e15, 1e16, 9007199254740993.0, 12345678901234567.0, 1.2345678901234567e16, -1e22, 1e22, 1e23, -1e23),
    *(1.5e300, sys.float_info.max, -sys.float_info.max, sys.float_info.min, 5e-324, -5e-324, 1e-7, 2.0**53, 2.0**64),
    *(
        math.nextafter(1e16, 0),
        math.nextafter(1e16, math.inf),
        math.nextafter(1e23, math.inf),
        0.1 + 0.2,
        1700000000.1234567,
    ),
]
WHOLE: list[Any] = [
    *(2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63, 2**64 + 1, 10**16, 10**22, 10**23, int(1e23), int(1e23) + 1),
    *(10**30, 10**308, int(sys.float_info.max), 10**400, -(10**400), 10**4000 + 1, 10**4299),
]
NUMBERS = FLOATS + WHOLE

_floats = st.floats(allow_nan=False, allow_infinity=False)
_large = st.builds(lambda number, power: number * 10**power, st.integers(-(10**20), 10**20), st.integers(0, 400))
_numbers = _floats | _floats.filter(lambda number: abs(number) >= 1e15) | st.integers() | _large
_texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["1e+23", '"1e+23', "\\", '\\"1e+23', "[1e+23]"]
)
_values = st.recursive(
    _numbers | _texts | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=8,
)


def _read_everywhere(backend: Backend) -> Iterator[Any]:
    attribute = get_attribute(backend)
    for entry in (attribute.get_attr("a", "b", "n"), attribute.get_attr_strict("a", "b", "n")):
        assert entry is not None
        yield entry["data"]
    yield (attribute.get_bucket("a", "b") or {})["n"]["data"]
    yield (get_attribute_bucket_list(backend).fetch("a") or {})["b"]["n"]["data"]


def _swap(attribute: DbAttributeProtocol, old: Any, new: Any) -> bool:
    return attribute.conditional_update_attr("a", "b", "n", old_data=old, new_data=new)


def _check(backend: Backend, data: Any) -> None:
    """Check that data comes back equal wherever it is read, that it matches itself, and that a swap stores it."""
    attribute = get_attribute(backend)
    attribute.set_attr("a", "b", "n", {"x": data})
    assert list(_read_everywhere(backend)) == [{"x": data}] * 4
    assert _swap(attribute, {"x": data}, [data]) is True
    assert list(_read_everywhere(backend)) == [[data]] * 4
    # What was read matches too, of whatever type it is.
    assert _swap(attribute, next(_read_everywhere(backend)), "done") is True


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: repr(number)[:30])
def test_a_number_comes_back_equal(backend: Backend, number: Any) -> None:
    _check(backend, number)
    _check(backend, {"deep": [number, {"1e+23": [number]}, "1e+23", '"1e+23, \\']})


def test_any_data_comes_back_equal(backend: Backend) -> None:
    @settings(max_examples=_FEW.get(backend.database, 150), deadline=None, derandomize=True)
    @given(data=_values)
    def check(data: Any) -> None:
        _check(backend, data)

    check()


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other)


@pytest.mark.parametrize("stored", [1e16, 1e23, 12345678901234567.0, sys.float_info.max, 10**23, 2**53 + 1, 0.1, 1.0])
def test_numbers_match_as_python_compares_them(backend: Backend, attribute: DbAttributeProtocol, stored: Any) -> None:
    near = [int(stored), int(stored) + 1, int(stored) - 1, float(stored), math.nextafter(float(stored), 0)]
    for other in (*near, *(repr(number) for number in near), True):
        attribute.set_attr("a", "b", "n", {"x": stored})
        expected = _equal(stored, other) and not isinstance(other, bool)
        assert _swap(attribute, {"x": other}, 1) is expected, other
        attribute.set_attr("a", "b", "n", {"chain_id": stored})
        assert attribute.delete_by_chain("a", "b", other) == int(expected), other


@pytest.mark.parametrize("chain", [1e23, int(1e23), 10**23, 10**400, 1.5, 1e16])
def test_a_chain_is_found_by_an_equal_number(backend: Backend, attribute: DbAttributeProtocol, chain: Any) -> None:
    others = [chain + 1 if isinstance(chain, int) else math.nextafter(chain, 0), str(chain)]
    for name, value in zip(itertools.count(), [chain, *others]):
        attribute.set_attr("a", "b", str(name), {"chain_id": value})
    assert attribute.delete_by_chain("a", "b", chain) == 1
    assert list(attribute.get_bucket("a", "b") or {}) == ["1", "2"]


@pytest.fixture
def digits() -> Iterator[None]:
    """Set the limit of digits back."""
    before = sys.get_int_max_str_digits()
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("data", [10**5000, [-(10**4300)], {"x": {"y": 10**5000}}, {10**5000: 1}], ids=type)
def test_more_digits_than_python_converts_are_refused(attribute: DbAttributeProtocol, data: Any) -> None:
    attribute.set_attr("a", "b", "n", "old")
    writes: list[Callable[[], object]] = [
        lambda: attribute.set_attr("a", "b", "n", data),
        lambda: attribute.set_attr("a", "b", "new", data),
        lambda: _swap(attribute, "old", data),
        lambda: _swap(attribute, data, "new"),
        lambda: attribute.delete_by_chain("a", "b", data),
    ]
    for write in writes:
        with pytest.raises(DbInputError, match="holds a whole number of more than 4300 digits"):
            write()
    assert attribute.get_bucket("a", "b") == {"n": {"data": "old", "timestamp": None}}


@pytest.mark.usefixtures("digits")
def test_the_database_s_own_limit_is_named_too(attribute: DbAttributeProtocol) -> None:
    sys.set_int_max_str_digits(0)
    attribute.set_attr("a", "b", "n", "old")
    with pytest.raises(DbInputError, match="holds a whole number of more than 131072 digits"):
        attribute.set_attr("a", "b", "n", 10**131072)
    assert attribute.get_bucket("a", "b") == {"n": {"data": "old", "timestamp": None}}
    attribute.set_attr("a", "b", "n", [10**131071])
    assert attribute.get_attr("a", "b", "n") == {"data": [10**131071], "timestamp": None}


@pytest.mark.usefixtures("digits")
@pytest.mark.backends("dynamodb", "postgresql")
def test_a_number_with_more_digits_than_this_process_reads_is_an_error(attribute: DbAttributeProtocol) -> None:
    sys.set_int_max_str_digits(0)
    attribute.set_attr("a", "b", "n", {"x": 10**5000})
    attribute.set_attr("a", "b", "other", 1)
    sys.set_int_max_str_digits(4300)
    for read in (lambda: attribute.get_attr("a", "b", "n"), lambda: attribute.get_bucket("a", "b")):
        with pytest.raises(DbError, match=r"sys\.set_int_max_str_digits"):
            read()
    assert attribute.get_attr("a", "b", "other") == {"data": 1, "timestamp": None}
    sys.set_int_max_str_digits(0)
    assert attribute.get_attr("a", "b", "n") == {"data": {"x": 10**5000}, "timestamp": None}


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize("limit", [640, 0])
def test_the_largest_floats_do_not_depend_on_the_limit(backend: Backend, limit: int) -> None:
    sys.set_int_max_str_digits(limit)
    _check(backend, [sys.float_info.max, -sys.float_info.max, 1e23])


FOREIGN = {
    "1e23": 1e23,
    "1E5": 1e5,
    "[1.0e+23, -2.5E22]": [1e23, -2.5e22],
    '{"x": 0.1000000000000000055511151231257827}': {"x": 0.1},
    "100000000000000000000000.0": 1e23,
    "100000000000000000000000": 10**23,
    "1e400": 10**400,
    "[-1.5E+400]": [-15 * 10**399],
    "1e-400": 0.0,
    '["1e23", 1e23, "\\\\", 1e23]': ["1e23", 1e23, "\\", 1e23],
    "-0": 0,
}


@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize("text", FOREIGN)
def test_numbers_that_others_wrote_are_read(attribute: DbAttributeProtocol, ddb: Any, text: str) -> None:
    key = {"id": {"S": "a"}, "bucket_name": {"S": "b:n"}, "bucket": {"S": "b"}, "name": {"S": "n"}}
    ddb.put_item(TableName=ddb_table("attributes"), Item=key | {"data": {"S": text}})
    assert attribute.get_attr("a", "b", "n") == {"data": FOREIGN[text], "timestamp": None}
    assert _swap(attribute, FOREIGN[text], 1) is True


@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize("text", ["1e200000", "1e999999999999", "-1" + "0" * 400 + ".5"], ids=len)
def test_a_number_that_nothing_can_hold_is_an_error(attribute: DbAttributeProtocol, ddb: Any, text: str) -> None:
    key = {"id": {"S": "a"}, "bucket_name": {"S": "b:n"}, "bucket": {"S": "b"}, "name": {"S": "n"}}
    ddb.put_item(TableName=ddb_table("attributes"), Item=key | {"data": {"S": text}})
    with pytest.raises(DbError, match="the stored attribute data has type S, but its content is not a JSON value"):
        attribute.get_attr("a", "b", "n")


@pytest.mark.backends("postgresql")
def test_a_number_written_past_the_library_is_read_exactly(attribute: DbAttributeProtocol, pg: Any) -> None:
    for number, text in enumerate(["1e23", "1.50", "10000000000000000000000.0", "1e-5", "1" + "0" * 5000]):
        statement = "INSERT INTO attributes (id, bucket, name, data) VALUES ('a', 'b', %s, %s)"
        pg.execute(statement, [str(number), json.dumps([0]).replace("0", text)])
    found = [attribute.get_attr("a", "b", str(number)) for number in range(4)]
    assert [entry and entry["data"] for entry in found] == [[10**23], [1.5], [1e22], [1e-5]]
    with pytest.raises(DbError, match="stored JSON is unreadable"):
        attribute.get_attr("a", "b", "4")
    assert attribute.conditional_update_attr("a", "b", "0", [10**23], 1) is True
