"""Utilities (2.4)."""

import hashlib
import importlib
import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from actingweb.db import DbInputError
from actingweb.db.registry import Backend
from actingweb.db.utils import (
    canonical_connection_method,
    compute_lookup_key,
    ensure_timezone_aware_iso,
    sanitize_json_data,
)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T03:04:05+00:00"),
        (datetime(2024, 1, 2, 3, 4, 5, 6), "2024-01-02T03:04:05.000006+00:00"),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05+00:00"),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-5))), "2024-01-02T03:04:05-05:00"),
    ],
)
def test_ensure_timezone_aware_iso_takes_naive_as_utc_and_keeps_an_offset(moment: datetime, text: str) -> None:
    assert ensure_timezone_aware_iso(moment) == text


@pytest.mark.parametrize(
    ("data", "result"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udfff", "\ufffd"),
        ("\ud83d\ude00", "\ufffd\ufffd"),
        ("\U0001f600é\x00", "\U0001f600é\x00"),
        ({"k\udc00": ["v\ud800", {"n": "\ud801"}]}, {"k\ufffd": ["v\ufffd", {"n": "\ufffd"}]}),
        ([1, 1.5, True, None], [1, 1.5, True, None]),
        ({1: "\ud800"}, {1: "\ufffd"}),
        (None, None),
        (7, 7),
    ],
)
def test_sanitize_replaces_each_surrogate_in_keys_and_values(data: Any, result: Any) -> None:
    assert sanitize_json_data(data) == result


def test_sanitize_walks_tuples() -> None:
    assert list(sanitize_json_data(("\ud800", ["\ud800"]))) == ["\ufffd", ["\ufffd"]]


def test_sanitize_makes_a_new_structure() -> None:
    data = {"k": ["\ud800", {"n": "x"}]}
    result = sanitize_json_data(data)
    assert data == {"k": ["\ud800", {"n": "x"}]}
    assert result is not data
    assert result["k"] is not data["k"]
    assert result["k"][1] is not data["k"][1]


def test_sanitize_refuses_keys_that_become_equal() -> None:
    with pytest.raises(DbInputError):
        sanitize_json_data([{f"a{chr(0xD800)}": 1, f"a{chr(0xDC00)}": 2}])


def test_sanitize_warns_once_with_a_count_and_no_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sanitize_json_data({"secretname\ud800": "secretvalue\ud800", "x": "clean"}, log_source="remote storage")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name == "actingweb.db.utils"
    assert "remote storage" in record.getMessage()
    assert "2" in record.getMessage()
    assert "secret" not in record.getMessage()


@pytest.mark.parametrize(("data", "source"), [("clean", "remote storage"), ("\ud800", "")])
def test_sanitize_is_silent_without_a_replacement_or_a_source(
    data: str, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sanitize_json_data(data, log_source=source)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("method", "canonical"),
    [
        ("oauth", "oauth"),
        ("OAuth2_interactive", "oauth"),
        (" oauth2-web ", "oauth"),
        ("trust", "trust"),
        (" Trust ", "trust"),
        ("SUBSCRIPTION", "subscription"),
        ("Mcp", "mcp"),
        ("Carrier Pigeon", "Carrier Pigeon"),
        ("mcp2", "mcp2"),
        ("", None),
        (" \t", None),
        (None, None),
        (7, None),
        (b"oauth", None),
    ],
)
def test_canonical_connection_method(method: Any, canonical: str | None) -> None:
    assert canonical_connection_method(method) == canonical
    assert canonical_connection_method(canonical) == canonical


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("email", "joe@example.com", "628d3025b8c11a6e9e0c883544423955fdf42573c09d30c70f239371fdb4a08b"),
        ("oauthId", "ü\U0001f600", "564db83752cbce078550c60cdfab8f0e565ce2fe526be8fa91993deb40a97be4"),
        ("", "", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ],
)
def test_the_lookup_key_never_changes(name: str, value: str, key: str) -> None:
    assert compute_lookup_key(name, value) == key


def test_the_lookup_key_is_the_digest_of_name_zero_byte_and_value() -> None:
    assert compute_lookup_key("a", "b") == hashlib.sha256(b"a\x00b").hexdigest()
    assert compute_lookup_key("ab", "c") != compute_lookup_key("a", "bc")


@pytest.mark.backends("dynamodb", "postgresql")
def test_both_lookup_modules_have_the_lookup_key(backend: Backend) -> None:
    module = importlib.import_module(f"actingweb.db.{backend.database}.property_lookup")
    assert module.compute_lookup_key is compute_lookup_key
