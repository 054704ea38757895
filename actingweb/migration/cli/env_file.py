"""The file `.env`, read as a shell reads it that is told `set -a; . ./.env`, except that no command is run."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from actingweb.migration.errors import UsageError

__all__ = ["applicable", "assignments", "load_env_file"]

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_COMMENT = re.compile(r"#[^\n]*")
_EXPORT = re.compile(r"export(?=[ \t])")
_ASSIGNED = re.compile(rf"({_NAME})=")
_EXPORTED = re.compile(rf"{_NAME}(?=[ \t\n;]|$)")
_VARIABLE = re.compile(rf"\$({_NAME})|\$\{{({_NAME})(?:\}}|(:?-))")
_USER = re.compile(r"[A-Za-z0-9_.-]*(?=[/:\s;]|$)")
_OURS = re.compile(r"[ \t]*(?:export[ \t]+)?(?:AWS_|PG|DATABASE_|INDEXED_PROPERTIES|USE_PROPERTY_LOOKUP_TABLE)")
"""How lines begin with which the tool has to do."""

_QUOTE = "put the value in single quotes"


_URLS = ("PG_DB_URL", "DATABASE_URL")
_PASSWORDS = ("PG_DB_PASSWORD", "PG_DB_PASSWORD_COMMAND")
_LOGIN = ("PG_DB_HOST", "PG_DB_PORT", "PG_DB_USER")
_DEFAULT_PORT = {"PG_DB_PORT": "5432"}


class _UnreadableError(Exception):
    """A line is no assignment, for this reason."""


def load_env_file() -> None:
    """Put what the nearest `.env` in the working directory or above assigns into the environment, which wins over it.

    Raise `UsageError` if it cannot be read, or has a line for the tool that is no assignment.
    """
    try:
        directory = Path.cwd()
        path = next((path for place in (directory, *directory.parents) if (path := place / ".env").is_file()), None)
        text = "" if path is None else path.read_text("utf-8-sig")
        os.environ.update(applicable(assignments(text, os.environ), os.environ))
    except _UnreadableError as error:
        raise UsageError(f"{path}, {error}") from None
    except (ValueError, OSError):
        raise UsageError("the file .env cannot be read: it must be text in UTF-8 without U+0000") from None


def assignments(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the lines of a text assign; `$NAME` in them is that of the environment, else of a line before."""
    return _Reader(text.replace("\r\n", "\n").removesuffix("\r"), environment).read()


def applicable(file: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the file that apply: those that the environment does not set, with two exceptions.

    File and environment must not make up one log-in between them. So a URL of the file does not apply if the
    environment names a server. A password of the file does not apply if the environment has one, or names another
    server or user than the file.
    """
    assigned = {name: value for name, value in file.items() if value is not None}
    ignored = set(environment)
    if any(_text(environment, name) for name in (*_URLS, "PG_DB_HOST")):
        ignored |= set(_URLS)
    if any(_text(environment, name) for name in _PASSWORDS) or _names_another_login(assigned, environment):
        ignored |= set(_PASSWORDS)
    return {name: value for name, value in assigned.items() if name not in ignored}


def _names_another_login(file: Mapping[str, str], environment: Mapping[str, str]) -> bool:
    login = {name: _text(file, name) for name in _LOGIN}
    if login["PG_DB_HOST"]:
        login = _DEFAULT_PORT | {name: text for name, text in login.items() if text}
    return any(text and _text(environment, name) not in ("", text) for name, text in login.items())


def _text(variables: Mapping[str, str], name: str) -> str:
    return variables.get(name, "").strip()


class _Reader:
    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self._text = text
        self._environment = environment
        self._values: dict[str, str] = {}
        self._line: dict[str, str] = {}
        self._position = 0

    def read(self) -> dict[str, str]:
        """Read the whole text; a line that is no assignment and does not concern the tool is passed over."""
        if "\0" in self._text:
            raise ValueError
        while self._position < len(self._text):
            start = self._position
            try:
                self._line = {}
                self._read_line()
                self._values |= self._line
            except _UnreadableError as error:
                if _OURS.match(self._text, start):
                    raise _UnreadableError(f"line {self._text.count(chr(10), 0, start) + 1}: {error}") from None
                self._position = (self._text.find("\n", start) + 1) or len(self._text)
        return self._values

    def _read_line(self) -> None:
        self._take(_BLANKS)
        exports = bool(self._take(_EXPORT))
        while True:
            blanks = self._take(_BLANKS)
            if blanks or not self._line:
                self._take(_COMMENT)
            following = self._next()
            if following in ("", "\n") or (following == ";" and self._line):
                self._position += 1
                return
            if (name := _ASSIGNED.match(self._text, self._position)) is not None:
                self._position = name.end()
                self._line[name[1]] = self._word("")
            elif not (exports and self._take(_EXPORTED)):
                raise _UnreadableError(f"this is no assignment NAME=value; if the value has blanks, {_QUOTE}")

    def _word(self, end: str) -> str:
        """Return a value that is not in quotes, or only parts of it; `end` closes it, or is empty for a blank."""
        parts: list[str] = []
        may_be_home = True
        while (following := self._next()) != end and (end or following not in (" ", "\t", "\n", ";")):
            self._position += 1
            if following == "":
                raise _UnreadableError("a ${ has no end")
            if following == "'":
                parts.append(self._until("'"))
            elif following == '"':
                parts.append(self._quoted('"'))
            elif following == "\\":
                parts.append(self._escaped(""))
            elif following == "$":
                parts.append(self._expanded(quoted=False))
            elif following in ("`" if end else "`&|<>()"):
                raise _UnreadableError(f"a shell gives {following} a meaning of its own: {_QUOTE}")
            elif following == "~" and may_be_home:
                self._refuse_continuation()
                parts.append(self._home())
            else:
                parts.append(following)
            may_be_home = following == ":" and not end
        return "".join(parts)

    def _quoted(self, end: str) -> str:
        """Return what stands in double quotes up to `end`, which is passed over."""
        parts: list[str] = []
        while (following := self._next()) != end:
            self._position += 1
            if following == "\\":
                parts.append(self._escaped(end))
            elif following == "$":
                parts.append(self._expanded(quoted=True))
            elif following in ("", "`", '"'):
                raise _UnreadableError(f"a quote has no end, or holds a command: {_QUOTE}")
            else:
                parts.append(following)
        self._position += 1
        return "".join(parts)

    def _escaped(self, quote: str) -> str:
        """Return what a backslash and the character behind it stand for, in double quotes up to `quote` or outside."""
        character = self._next()
        self._position += 1
        if character == "":
            raise _UnreadableError("nothing follows the last backslash")
        if character == "\n":
            return ""
        return character if (not quote or character in f'$`"\\{quote}') else "\\" + character

    def _expanded(self, quoted: bool) -> str:
        """Return what a dollar sign and what is behind it stand for."""
        found = _VARIABLE.match(self._text, self._position - 1)
        if found is None:
            return self._dollar(quoted)
        self._position = found.end()
        if found[1]:
            self._refuse_continuation()
        name, operator = found[1] or found[2], found[3]
        value = self._value(name)
        if operator is None:
            return value or ""
        default = self._quoted("}") if quoted else self._word("}")
        if not quoted:
            self._position += 1
        return default if value is None or (operator == ":-" and value == "") else value

    def _value(self, name: str) -> str | None:
        return self._environment.get(name, self._line.get(name, self._values.get(name)))

    def _home(self) -> str:
        """Return what a tilde and the name of a user behind it stand for."""
        user = _USER.match(self._text, self._position)
        if user is None:
            return "~"
        self._position = user.end()
        return os.path.expanduser(f"~{user[0]}") if user[0] else self._value("HOME") or "~"

    def _dollar(self, quoted: bool) -> str:
        self._refuse_continuation()
        following = self._next()
        if following and (following in "{(@*#?-$!" or following.isdigit() or (not quoted and following in "'\"")):
            raise _UnreadableError(f"a shell gives ${following} a meaning of its own: {_QUOTE}")
        return "$"

    def _refuse_continuation(self) -> None:
        if self._text.startswith("\\\n", self._position):
            raise _UnreadableError("a line goes on within a name: write it in one line")

    def _until(self, quote: str) -> str:
        end = self._text.find(quote, self._position)
        if end < 0:
            raise _UnreadableError("a quote has no end")
        text, self._position = self._text[self._position : end], end + 1
        return text

    def _take(self, pattern: "re.Pattern[str]") -> str:
        found = pattern.match(self._text, self._position)
        if found is None:
            return ""
        self._position = found.end()
        return found[0]

    def _next(self) -> str:
        return self._text[self._position : self._position + 1]
