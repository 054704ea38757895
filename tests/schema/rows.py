"""Rows as ActingWeb 3.15 left them, with what is hard to carry over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

NOON = datetime(2024, 7, 1, 12, 0, 0, 123456)
NOON_UTC = NOON.replace(tzinfo=UTC)
LONG = "long-äöü-" * 40_000
WIDE_ID = "ï" * 255
JSON = {"chain_id": "c1", "text": "日本", "numbers": [1, 1.5, None, True]}

INSERTS: tuple[tuple[LiteralString, tuple[tuple[Any, ...], ...]], ...] = (
    (
        "INSERT INTO actors VALUES (%s, %s, %s, %s)",
        (
            ("a1", "ann@example.com", "pass", NOON),
            ("B2", "", "", None),
            (WIDE_ID, "ö" * 255, LONG, NOON),
        ),
    ),
    (
        "INSERT INTO properties VALUES (%s, %s, %s)",
        (
            ("a1", "email", "ann@example.com"),
            ("B2", "email", "ann@example.com"),
            ("a1", "oauthId", LONG),
            ("B2", "oauthId", "ünique"),
            ("a1", "externalUserId", "shared"),
            ("B2", "externalUserId", "shared"),
            ("a1", "list:email", "not indexed"),
            ("a1", "näme %s :x \\", "quote ' and \" and % and \\"),
            (WIDE_ID, "n" * 2000, ""),
            (WIDE_ID, "email", ""),
        ),
    ),
    (
        "INSERT INTO property_lookup VALUES (%s, %s, %s)",
        (("email", "ann@example.com", "B2"), ("email", "nobody holds this", "a1"), ("gone", "ä: \\ %", WIDE_ID)),
    ),
    (
        "INSERT INTO trusts VALUES (%s)".replace("%s", ", ".join(["%s"] * 23)),
        (
            (
                *("a1", "p:ß", "https://p", "mini", "friend", "sécret", "d", True, False, True, "tok", "p@x", "oauth"),
                *(NOON, NOON, "trust", "n", "1", "p", "o", "x" * 5000, "v" * 50, NOON_UTC),
            ),
            ("a1", "p2", "", "", "", "", None, False, False, False, *([None] * 13)),
        ),
    ),
    ("INSERT INTO peertrustees VALUES (%s, %s, %s, %s, %s)", (("a1", "p1", "https://p", "type", "phräse"),)),
    (
        "INSERT INTO subscriptions VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            ("a1", "p:x:y", "p:x", "y", "high", "t", "s", "r", 2147483647, True),
            ("a1", "p:y", "p", "y", None, None, None, None, 0, False),
            ("a1", "composed otherwise", "p", "x:y", "", "", "", "", -1, False),
        ),
    ),
    (
        "INSERT INTO subscription_diffs VALUES (%s, %s, %s, %s, %s, %s)",
        (
            ("a1", "s1:10", "s1", NOON, LONG, 10),
            ("a1", "s1:9", "s1", NOON, '{"ä": 1}', 9),
            ("B2", "s1:0", "s1", NOON, "", 0),
        ),
    ),
    (
        "INSERT INTO subscription_suspensions VALUES (%s, %s, %s, %s)",
        (("a1", "a:b", "", NOON_UTC), ("a1", "a", "b", NOON_UTC)),
    ),
    (
        "INSERT INTO attributes VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            ("a1", "remote:abc:x", "remote:abc", "x", Jsonb(JSON), NOON, 4102444800),
            ("a1", "remote:y", "remote", "y", Jsonb(None), None, None),
            ("no actor", "b:n", "b", "n", None, NOON, -1),
            ("a1", "b:long", "b", "long", Jsonb({"text": LONG}), None, None),
        ),
    ),
)


def fill(connection: Connection[Any]) -> None:
    """Store the rows in the layout of ActingWeb 3.15."""
    with connection.cursor() as cursor:
        for statement, rows in INSERTS:
            cursor.executemany(statement, rows)
