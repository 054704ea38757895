"""Values that a careless layer trips over, given to every argument whatever it expects."""

import sys
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum, StrEnum
from typing import Any

__all__ = ["HOSTILE", "LONG", "NAMES", "SHORT_TEXTS", "deep"]

LONG = 255
"""Texts with more characters can be too large for a column of some backend."""

MEGABYTE = 1_000_000

SHORT_TEXTS = (
    *("", " ", "a ", " a", "A", "\t\n\r", "0", "null", "None", "NaN", "true", "-1"),
    *("'", '"', "''", "\\", "\\'", "`", "$$", "$1", "?", "\\x00", "\\u0000", "\x01", "\x7f", "\x85", "\u2028"),
    *("%", "%%", "%s", "%(id)s", "%(id)", "%d%n", "_", "{}", "{0}", "{actors}", "{table}", ":name", ":0", "#name"),
    *("'; DROP TABLE actors; --", "' OR '1'='1", "') OR 1=1 --", "1; DELETE FROM properties", "/* */ --"),
    *("attribute_exists(id)", "${jndi:ldap://x}", "<script>", "=1+1", "a\nINFO forged line"),
    *("../../etc/passwd", "/", "C:\\x", "a/../b", "file:///x", "."),
    *("list:", "list:x", "list:x:0", "list", ":", "a:b", ":a", "a:", "a:b:c", "::", "peer:sub", "target:sub", "sub:1"),
    *("e\u0301", "\u00e9", "\u1100\u1161", "\uac00", "\u0130", "\u00df", "\ufb01", "\u2126", "\u03a9", "\uff21"),
    *(
        "\u202eabc",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u200f",
        "\u200b",
        "\ufeff",
        "a\u0300\u0316\u0301",
        "\U0001f468\u200d\U0001f469",
    ),
    *("\uffee", "\uffff", "\U0001f600", chr(sys.maxunicode)),
    *("\x00", "a\x00", "\x00a", "\ud800", "a\udfff", "\ud83d\ude00", "\udc80\x00"),
)

_LENGTHS = (LONG, LONG + 1, 1024, 1025, 2048, 2049, 2600, 2601, MEGABYTE)
_LONG_TEXTS = [*("k" * length for length in _LENGTHS), "\u00e9" * 512, "\u00e9" * 513, "\U0001f600" * 64, ":" * 1025]

NAMES = (
    *('a"b', "a'b", "a;b", "a\nb", "a\\b", "a b", "a%b", "%s", "%(id)s", "{}", "{actors}", ":name", "$1", "--", "a.b"),
    *('"; DROP SCHEMA public CASCADE; --', "'; DROP TABLE actors; --", "select", "\u00fc\u20ac", "\u202ea", "a\tb"),
    *("x" * 200, "a\x00b", "\x00", "a\ud800b"),
)
"""Names of schemas, databases, users and tables, as a hostile environment would set them."""


class _Text(str):
    """A text that lies about itself."""

    __slots__ = ()

    def __len__(self) -> int:
        return 1

    def __str__(self) -> str:
        raise RuntimeError("__str__")

    def __repr__(self) -> str:
        return "_Text()"

    def __contains__(self, part: object) -> bool:
        return False

    def isascii(self) -> bool:
        return True

    def encode(self, *_: Any, **__: Any) -> bytes:
        return b"other"


class _Number(int):
    def __str__(self) -> str:
        return "0; DROP TABLE actors"


class _Colour(IntEnum):
    RED = 1


class _Mixed(int, Enum):
    ONE = 1


class _Word(StrEnum):
    NAME = "name"


class _Raising:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        return "_Raising()"


class _NoOffset(tzinfo):
    """A zone that does not know its offset, which makes a datetime naive."""

    def utcoffset(self, _: datetime | None, /) -> None:
        return None

    def dst(self, _: datetime | None, /) -> None:
        return None

    def tzname(self, _: datetime | None, /) -> str:
        return "none"


def deep(levels: int) -> Any:
    """Return a list in a list and so on."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def _own_member() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


_NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, True, False, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**37, 10**38 - 1),
    *(10**38, -(10**38), 10**400, 10**5000, 0.0, -0.0, 0.5, 1.0, 1e308, 5e-324, 2.0**60),
    *(float("nan"), float("inf"), float("-inf"), 1j, _Number(7), _Colour.RED, _Mixed.ONE),
)
_TIMES: tuple[Any, ...] = (
    *("2024-01-02", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05+25:00", "9999-12-31T23:59:59-01:00", "20240102"),
    *("0001-01-01T00:00:00+01:00", "2024-01-02T03:04:05.1234567", "2024-02-30", "infinity", "-infinity", "now"),
    *(datetime.min, datetime.max, datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=_NoOffset())),
    *(datetime.min.replace(tzinfo=timezone(timedelta(hours=5))), datetime(2024, 1, 2).date(), timedelta(1)),
)
_STRUCTURES: tuple[Any, ...] = (
    *([], {}, (), set(), frozenset({1}), ["x"], [None], ["", 0], [b"x"], [7], ["name", "name"], [["name"]]),
    *({"a": 1}, {"a": float("nan")}, {"a": [float("inf")]}, {1: "a"}, {1: "a", "1": "b"}, {None: 1}, {(1, 2): 3}),
    *(
        {"a\x00": 1},
        {"a": "\x00"},
        {"\ud800": "\udfff"},
        dict.fromkeys(("\ud800", "\udfff"), 1),
        {"": ""},
        {"__proto__": {}},
    ),
    *({"chain_id": "chain"}, {"chain_id": ["\ud800"]}, {"chain_id": 10**400}, {"chain_id": None}, {"n": 10**400}),
    *({"n": 10**5000}, {"n": 1e308}, {"n": 5e-324}, {"n": -0.0}, {"n": 2**63}, {"t": (1, 2)}, {b"x": 1}),
    *(deep(50), deep(200), deep(10_000), _own_member(), {"a": deep(10_000)}, [_Raising()], {"a": _Text("a\x00b")}),
)
_OBJECTS: tuple[Any, ...] = (
    *(b"", b"bytes", b"\xff", bytearray(b"x"), memoryview(b"x"), object, _Raising(), NotImplementedError(), len),
    *(_Text("text"), _Text("a\x00b"), _Text("\ud800"), _Text("k" * 5000), _Word.NAME, ..., range(3)),
)

HOSTILE: tuple[Any, ...] = (*SHORT_TEXTS, *_LONG_TEXTS, *_NUMBERS, *_TIMES, *_STRUCTURES, *_OBJECTS)
