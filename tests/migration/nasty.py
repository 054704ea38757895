"""Nasty content: what applications may write through the library, and items as other writers made them."""

import json
from datetime import UTC, datetime, timedelta, timezone
from types import NoneType
from typing import Any, get_args

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from actingweb.db.dynamodb.layouts import compose
from actingweb.migration.documents import Document
from actingweb.migration.mapping import MAPPINGS, TableMapping

__all__ = ["Content", "contents", "items"]

Content = dict[str, dict[Any, Any]]
"""What one actor has: by table, and there by key."""

_INDEXED = frozenset({"creator", "value", "secret"})
"""Attributes that may not be empty in an item, as an index of the table has them as its key."""

_AWKWARD = (
    "%s {} \\N\\.\t\r\n",
    "e\u0301 é",
    "'\"$$;--",
    "\u200b\ufeff\uffff\U0001f600",
    " a ",
    "\\u0000",
    "null",
    "\x01",
)
_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12) | st.sampled_from(_AWKWARD)
_some_text = _text.filter(bool)
_long_text = st.builds(lambda text, count: text * count, _some_text, st.sampled_from([1, 1, 5000]))
_id = st.sampled_from(("a", "A", "a:b", "ä" * 255)) | _some_text
_zones = st.sampled_from((UTC, timezone(timedelta(hours=-11, minutes=-30)), timezone(timedelta(hours=14))))
_times = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=_zones)
_int64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 1)
# Beyond, equal numbers may be read as integers or as floats.
_floats = st.floats(-1e15, 1e15)
_numbers = st.integers(-(10**38), 10**38) | _floats
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


def _composed(*parts: SearchStrategy[Any]) -> SearchStrategy[list[tuple[Any, ...]]]:
    """Draw keys that stay apart when their parts are put together."""
    return st.lists(st.tuples(*parts), max_size=3, unique_by=lambda key: compose(list(map(str, key))))


def _by_key(keys: SearchStrategy[list[Any]], values: SearchStrategy[Any]) -> SearchStrategy[dict[Any, Any]]:
    return keys.flatmap(lambda drawn: st.fixed_dictionaries(dict.fromkeys(drawn, values)))


def _texts(*names: str) -> SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(dict.fromkeys(names, _text))


_trust = st.builds(
    lambda texts, flags, times: texts | flags | times,
    _texts("baseuri", "relationship", "secret", "verification_token", "desc", "client_name", "aw_supported"),
    st.fixed_dictionaries({name: st.booleans() for name in ("approved", "verified", "peer_approved")}),
    st.fixed_dictionaries(dict.fromkeys(("created_at", "last_accessed", "capabilities_fetched_at"), _times)),
)
_content: SearchStrategy[Content] = st.fixed_dictionaries(
    {
        "actors": _texts("passphrase"),
        "properties": st.dictionaries(_some_text.filter(lambda name: name != "email"), _long_text, max_size=4),
        "attributes": _by_key(_composed(_some_text, _some_text), st.tuples(_json.filter(bool), st.none() | _times)),
        "trusts": st.dictionaries(_id, _trust, max_size=2),
        "peertrustees": st.dictionaries(_id, _texts("baseuri", "passphrase"), max_size=2),
        "subscriptions": _by_key(
            _composed(_id, _id),
            st.builds(
                lambda texts, seqnr, callback: texts | {"seqnr": seqnr, "callback": callback},
                _texts("granularity", "target", "subtarget", "resource"),
                _int64,
                st.booleans(),
            ),
        ),
        "subscription_diffs": _by_key(_composed(_id, _int64.filter(lambda number: number >= 0)), _long_text),
        "subscription_suspensions": _by_key(_composed(_some_text, _text), st.none()),
    }
)


def contents() -> SearchStrategy[dict[str, Content]]:
    """Draw what some actors have, by their ids."""
    return st.dictionaries(_id, _content, min_size=1, max_size=3)


def items() -> SearchStrategy[dict[str, list[Document]]]:
    """Draw documents of items for all tables: attributes that are absent, null or unknown, times in other forms."""
    ids = st.lists(_id, min_size=1, max_size=3, unique=True)
    return ids.flatmap(
        lambda drawn: st.fixed_dictionaries(
            {mapping.name: _rows(mapping, st.sampled_from(drawn), len(drawn)) for mapping in MAPPINGS[1:]}
        ).map(lambda tables: {"actors": [{"id": name, "passphrase": name} for name in drawn], **tables})
    )


def _rows(mapping: TableMapping, ids: SearchStrategy[str], count: int) -> SearchStrategy[list[Document]]:
    return st.lists(_row(mapping, ids), max_size=2 * count, unique_by=lambda row: _item_key(mapping, row))


def _row(mapping: TableMapping, ids: SearchStrategy[str]) -> SearchStrategy[Document]:
    names = set(mapping.record.fields)
    required = {name for name in names if name in mapping.record.key or mapping.record.types[name] is datetime}
    columns = {name: ids if name == "id" else _column(mapping, name) for name in names}
    return st.fixed_dictionaries(
        {name: columns[name] for name in sorted(required - {"subtarget"})},
        optional={name: columns[name] for name in sorted(names - required | (names & {"subtarget"}))}
        | {"unknown": _text},
    ).map(lambda row: _with_key(mapping, row))


def _with_key(mapping: TableMapping, row: Document) -> Document:
    return row | {mapping.layout.composed: _item_key(mapping, row)[1]} if mapping.layout.composed else row


def _item_key(mapping: TableMapping, row: Document) -> tuple[str, ...]:
    return tuple(mapping.layout.key_texts(tuple(row.get(name, "") for name in mapping.record.key)))


def _column(mapping: TableMapping, name: str) -> SearchStrategy[Any]:
    declared = mapping.record.types[name]
    if declared is Any:
        return st.none() | _json_texts()
    kinds = get_args(declared) or (declared,)
    nothing = st.none() if NoneType in kinds and name not in mapping.record.key else st.nothing()
    if datetime in kinds:
        return nothing | _time_texts()
    if bool in kinds:
        return nothing | st.booleans()
    if int in kinds:
        return nothing | _int64
    if name in mapping.record.key and name != "subtarget":
        return _id
    return nothing | (_some_text if name in _INDEXED else _text)


def _time_texts() -> SearchStrategy[str]:
    formats = st.sampled_from(("%Y-%m-%dT%H:%M:%S.%f+0000", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S.%f"))
    return st.builds(lambda time, pattern: time.strftime(pattern), st.datetimes(datetime(1000, 1, 2)), formats)


def _json_texts() -> SearchStrategy[str]:
    """Draw JSON as other writers lay it out, with numbers of any scale and keys that stand twice."""
    plain = st.builds(
        lambda value, indent, ascii_only: json.dumps(value, indent=indent, ensure_ascii=ascii_only),
        _json,
        st.sampled_from([None, 1]),
        st.booleans(),
    )
    return plain | st.sampled_from(
        ('{"a": 1.10, "a": 1.100}', " [1E2, -0.0, 1.50e-7 ] ", '"\\ud83d\\ude00"', "1.0", "null")
    )
