"""How DbProperty encodes the values given to `set` and `create_if_not_exists`."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from actingweb.db import DbInputError, get_property
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.contract.support.property_tables import properties


class _Labelled:
    def __init__(self, label: str) -> None:
        self._label = label

    def __str__(self) -> str:
        return self._label


WRITERS = ["set", "set_many", "create_if_not_exists"]

ENCODINGS = [
    ("text", "text"),
    ('{"a":1}', '{"a":1}'),
    (" ", " "),
    ("null", "null"),
    (0, "0"),
    (False, "false"),
    (True, "true"),
    ([], "[]"),
    ({}, "{}"),
    ((), "[]"),
    (-1.5, "-1.5"),
    (10**30, "1" + "0" * 30),
    (float("nan"), "NaN"),
    (float("inf"), "Infinity"),
    ({"b": 1, "a": [1, None, True]}, '{"b": 1, "a": [1, null, true]}'),
    ((1, "x"), '[1, "x"]'),
    ({1: "int", None: "none", False: "bool"}, '{"1": "int", "null": "none", "false": "bool"}'),
    ({1.5: "float"}, '{"1.5": "float"}'),
    (["é", "🎈"], '["\\u00e9", "\\ud83c\\udf88"]'),
    (["a\ud800"], '["a\\ufffd"]'),
    ({"k\ud800": {"l\udfff": "v\ud800"}}, '{"k\\ufffd": {"l\\ufffd": "v\\ufffd"}}'),
    (b"bytes", "b'bytes'"),
    ({"only"}, "{'only'}"),
    (Decimal("1.50"), "1.50"),
    (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02 03:04:05+00:00"),
    ([Decimal("1.50")], "[Decimal('1.50')]"),
    ({(1, 2): "a key that is not JSON"}, "{(1, 2): 'a key that is not JSON'}"),
    (_Labelled("labelled"), "labelled"),
    (_Labelled("lone \ud800"), "lone \ufffd"),
]


def _write(backend: Backend, writer: str, actor_id: str, value: Any) -> Any:
    if writer == "set_many":
        return get_property(backend).set_many(actor_id, {"n": value})
    call: Callable[..., Any] = getattr(get_property(backend), writer)
    return call(actor_id=actor_id, name="n", value=value)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(("value", "stored"), ENCODINGS, ids=[stored for _, stored in ENCODINGS])
def test_the_stored_text(backend: Backend, actor_id: str, writer: str, value: Any, stored: str) -> None:
    assert _write(backend, writer, actor_id, value) is True
    assert properties(backend, actor_id) == {"n": stored}


@pytest.mark.parametrize("empty", [None, "", _Labelled("")], ids=["None", "text", "str()"])
def test_a_value_whose_encoding_is_empty_deletes(backend: Backend, actor_id: str, empty: Any) -> None:
    _write(backend, "set", actor_id, "old")
    assert _write(backend, "set", actor_id, empty) is True
    assert properties(backend, actor_id) == {}
    assert _write(backend, "create_if_not_exists", actor_id, empty) is False


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    "value",
    [
        {1: "a", "1": "b"},
        dict.fromkeys(["a\ud800", "a\udc00"], 1),
        [{"deep": {None: 1, "null": 2}}],
        _Labelled("a\x00b"),
    ],
    ids=["converted", "cleaned", "nested", "zero byte"],
)
def test_a_refused_value_changes_nothing(backend: Backend, actor_id: str, writer: str, value: Any) -> None:
    _write(backend, "set", actor_id, "old")
    with pytest.raises(DbInputError):
        _write(backend, writer, actor_id, value)
    assert properties(backend, actor_id) == {"n": "old"}


def test_the_argument_is_not_changed(prop: DbPropertyProtocol, actor_id: str) -> None:
    value = {"k\ud800": ["v\ud800"]}
    prop.set(actor_id, "n", value)
    assert value == {"k\ud800": ["v\ud800"]}
