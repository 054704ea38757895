"""Reads environment variables as typed values, with a parser for each kind of value."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.utils import clean_text

__all__ = [
    "SSL_MODES",
    "Environment",
    "choice",
    "command",
    "count",
    "endpoint",
    "has_control",
    "host",
    "names",
    "parse_bool",
    "plain",
    "ports",
    "region",
    "seconds",
    "table_prefix",
    "url",
    "without_line_end",
]

T = TypeVar("T")

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_URL_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
_URL_START = r"([A-Za-z][A-Za-z0-9+.-]*)://"
# As seconds it is eleven days; neither libpq nor a Python lock can wait much longer.
_HIGHEST = 1_000_000
_REGION = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_TABLE_PREFIX = r"[A-Za-z0-9_.-]{1,200}"
# The characters of Unicode's categories Cc, Zl and Zp.
_CONTROL = frozenset({*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"})
_BRACKETS = "[]{}()\"'`"


class Environment:
    """One captured environment.

    White space and line ends around a value are removed, because a variable filled from a file often ends in a line
    end. Of a password only one final line end is removed. An empty variable counts as unset.

    A method deletes its local copies of a value before it raises, because error reports show local variables.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def get(self, variable: str, default: T, parse: Callable[[str, str], T]) -> T:
        """Return `parse(text, variable)` for the text of a variable, `default` if it is unset.

        Raise `ConfigurationError` for a bad value.
        """
        return self._parsed(variable, self._raw(variable).strip(), default, parse)

    def untrimmed(self, variable: str, default: T, parse: Callable[[str, str], T]) -> T:
        """Do the same as `get`, but pass the text to `parse` with the white space around it."""
        return self._parsed(variable, self._raw(variable), default, parse)

    def _parsed(self, variable: str, text: str, default: T, parse: Callable[[str, str], T]) -> T:
        if not text:
            return default
        try:
            return parse(text, variable)
        except ConfigurationError as error:
            refusal = str(error)
        del text
        raise ConfigurationError(refusal)

    def _raw(self, variable: str) -> str:
        text = self._values.get(variable, "")
        if "\x00" not in text and clean_text(text) == text:
            return text
        del text
        raise ConfigurationError(f"{variable}: must be text in UTF-8 without U+0000")


def parse_bool(text: str, variable: str = "value") -> bool:
    """Return True for `1 true yes on` and False for `0 false no off`, ignoring case and surrounding white space.

    Raise a `ConfigurationError` that names `variable` for any other text.
    """
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ConfigurationError(f"{variable} is {text!r}: must be one of 1, true, yes, on, 0, false, no, off")


def has_control(text: str) -> bool:
    """Tell whether a text contains a control character or a line end."""
    return not _CONTROL.isdisjoint(text)


def plain(text: str, variable: str) -> str:
    """Return the text. Reject control characters and line ends."""
    if has_control(text):
        raise ConfigurationError(f"{variable}: must be without control characters and line ends")
    return text


def without_line_end(text: str, _: str = "") -> str:
    """Return a password without the final line end that a file may have."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def host(text: str, variable: str) -> str:
    """Return the text: the name or address of a host, the directory of its socket, or several of these."""
    if "@" in text:
        # The text is not quoted: it looks like a URL, which can hold a password.
        raise ConfigurationError(f"{variable}: must be the name of a host, without user and password")
    return plain(text, variable)


def seconds(low: float) -> Callable[[str, str], float]:
    """Return a parser for seconds, at least `low`."""
    return _number(low, float)


def count(low: int) -> Callable[[str, str], int]:
    """Return a parser for whole numbers, at least `low`."""
    number = _number(low, int)
    return lambda text, variable: int(number(text, variable))


def _number(low: float, kind: type[int] | type[float]) -> Callable[[str, str], float]:
    def parse(text: str, variable: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= _HIGHEST:
            name = "a whole number" if kind is int else "a number"
            raise ConfigurationError(f"{variable} is {text!r}: must be {name} from {low:g} to {_HIGHEST:,}")
        return value

    return parse


def choice(*allowed: str) -> Callable[[str, str], str]:
    """Return a parser for one of these words, in any case."""

    def parse(text: str, variable: str) -> str:
        word = text.lower()
        if word not in allowed:
            raise ConfigurationError(f"{variable} is {text!r}: must be one of {', '.join(allowed)}")
        return word

    return parse


def names(text: str, variable: str) -> tuple[str, ...]:
    """Return the names in a list separated by commas."""
    found = tuple(name for name in (part.strip() for part in text.split(",")) if name)
    if any(name[0] in _BRACKETS or name[-1] in _BRACKETS for name in found):
        raise ConfigurationError(
            f"{variable}: must be names separated by commas, as in email,oauthId, without brackets and quotes"
        )
    return tuple(plain(name, variable) for name in found)


def command(text: str, variable: str) -> tuple[str, ...]:
    """Return a program and its arguments."""
    import shlex

    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        # The text is not quoted: it may hold a secret.
        raise ConfigurationError(f"{variable} must be a program and its arguments, quoted as for a shell")
    return tuple(words)


def ports(text: str, variable: str) -> str:
    """Return a port, or several separated by commas."""
    found = [port.strip() for port in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536 for port in found):
        raise ConfigurationError(f"{variable} is {text!r}: must be a port from 1 to 65535, or one for each host")
    return ",".join(found)


def url(text: str, variable: str) -> str:
    """Return a URL with its scheme replaced by `postgresql`, and other text, such as a conninfo string, unchanged."""
    if text.lower().startswith("jdbc:"):
        raise ConfigurationError(
            f"{variable} has the form of JDBC, jdbc:...: must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    found = re.match(_URL_START, text)
    if found is None:
        return text
    scheme = found[1]
    if scheme.lower() not in _URL_SCHEMES:
        raise ConfigurationError(f"{variable} has the scheme {scheme!r}: must be one of {', '.join(_URL_SCHEMES)}")
    return "postgresql" + text[len(scheme) :]


def table_prefix(text: str, variable: str) -> str:
    """Return the text. Reject one with which no name of a DynamoDB table can begin."""
    if re.fullmatch(_TABLE_PREFIX, text) is None:
        raise ConfigurationError(f"{variable} is {text[:300]!r}: must be up to 200 of A-Z a-z 0-9 _ . -")
    return text


def region(text: str, variable: str) -> str:
    """Return the text. Reject one that cannot be the name of an AWS region."""
    if re.fullmatch(_REGION, text) is None:
        raise ConfigurationError(f"{variable} is {text[:300]!r}: must be the name of a region, such as us-west-1")
    return text


def endpoint(text: str, variable: str) -> str:
    """Return the text. Reject one that is not an HTTP or HTTPS URL."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    # `urlsplit` drops line ends; the driver does not.
    if not usable or not text.isprintable() or " " in text:
        raise ConfigurationError(f"{variable} must be a URL such as http://localhost:8000")
    return text
