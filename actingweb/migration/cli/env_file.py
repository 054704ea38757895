"""The file `.env`: parsed as by a shell that runs `set -a; . ./.env`, but without running commands."""

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
"""The beginning of lines that assign settings of the tool."""

_WORD_ENDS = ("", " ", "\t", "\n", ";")
_QUOTE = "put the value in single quotes"


_URLS = ("PG_DB_URL", "DATABASE_URL")
_PASSWORDS = ("PG_DB_PASSWORD", "PG_DB_PASSWORD_COMMAND")
_LOGIN = ("PG_DB_HOST", "PG_DB_PORT", "PG_DB_USER")
_DEFAULT_PORT = {"PG_DB_PORT": "5432"}


class _UnreadableError(Exception):
    """A line is not an assignment; the text is the reason."""


def load_env_file() -> None:
    """Add the variables of the nearest `.env`, in the working directory or above, to the environment, which wins.

    Raise `UsageError` if the file cannot be read, or if a line that names a setting of the tool is not an assignment.
    """
    try:
        directory = Path.cwd()
        path = next((path for parent in (directory, *directory.parents) if (path := parent / ".env").is_file()), None)
        text = "" if path is None else path.read_text("utf-8-sig")
        os.environ.update(applicable(assignments(text, os.environ), os.environ))
    except _UnreadableError as error:
        raise UsageError(f"{path}, {error}") from None
    except (ValueError, OSError):
        raise UsageError("the file .env cannot be read: it must be text in UTF-8 without U+0000") from None


def assignments(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the lines of a text assign.

    `$NAME` in them is the variable of the environment, or else of an earlier assignment.
    """
    return _Reader(text.replace("\r\n", "\n").removesuffix("\r"), environment).read()


def applicable(file: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the file that apply: those that the environment does not set, with two exceptions.

    A log-in must not be composed of parts of both. Therefore a URL of the file does not apply if the environment names
    a server, and a password of the file does not apply if the environment has one, or names another server or user than
    the file.
    """
    ignored = set(environment)
    if any(_text(environment, name) for name in (*_URLS, "PG_DB_HOST")):
        ignored |= {*_URLS, "PG_MIGRATION_URL"}
    if any(_text(environment, name) for name in _PASSWORDS) or _names_another_login(file, environment):
        ignored |= set(_PASSWORDS)
    return {name: value for name, value in file.items() if name not in ignored}


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
        """Read the whole text, and skip lines of other programs that are not assignments."""
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
                raise _UnreadableError(f"this is not an assignment NAME=value; if the value contains blanks, {_QUOTE}")

    def _word(self, end: str) -> str:
        """Return a value outside double quotes, up to the brace `end` or, if that is empty, up to a blank."""
        parts: list[str] = []
        may_be_home = True
        while (following := self._next()) not in ((end,) if end else _WORD_ENDS):
            self._position += 1
            is_home = following == "~" and may_be_home
            parts.append(self._home() if is_home else self._part(following, in_braces=bool(end)))
            may_be_home = following == ":" and not end
        return "".join(parts)

    def _part(self, character: str, *, in_braces: bool) -> str:
        """Return the meaning of the character that was read, and of what belongs to it."""
        match character:
            case "":
                raise _UnreadableError("a ${ is not closed")
            case "'":
                return self._until("'")
            case '"':
                return self._quoted('"')
            case "\\":
                return self._escaped("")
            case "$":
                return self._expanded(quoted=False)
        if character in ("`" if in_braces else "`&|<>()"):
            raise _UnreadableError(f"a shell gives {character} a meaning of its own: {_QUOTE}")
        return character

    def _quoted(self, end: str) -> str:
        """Return a value in double quotes, up to `end`, which is consumed."""
        parts: list[str] = []
        while (following := self._next()) != end:
            self._position += 1
            if following == "\\":
                parts.append(self._escaped(end))
            elif following == "$":
                parts.append(self._expanded(quoted=True))
            elif following in ("", "`", '"'):
                raise _UnreadableError(f"a quote is not closed, or contains a command: {_QUOTE}")
            else:
                parts.append(following)
        self._position += 1
        return "".join(parts)

    def _escaped(self, quote: str) -> str:
        """Return the meaning of a backslash and the next character; `quote` closes the quotes around it, if any."""
        character = self._next()
        self._position += 1
        if character == "":
            raise _UnreadableError("nothing follows the last backslash")
        if character == "\n":
            return ""
        return character if (not quote or character in f'$`"\\{quote}') else "\\" + character

    def _expanded(self, *, quoted: bool) -> str:
        """Return the meaning of a dollar sign and what follows it."""
        found = _VARIABLE.match(self._text, self._position - 1)
        if found is None:
            return self._dollar(quoted)
        self._position = found.end()
        if found[1]:
            self._reject_continuation()
        value, operator = self._value(found[1] or found[2]), found[3]
        if operator is None:
            return value or ""
        default = self._default(quoted)
        return default if value is None or (operator == ":-" and value == "") else value

    def _default(self, quoted: bool) -> str:
        """Return the default value in `${NAME-default}`, up to the brace, which is consumed."""
        if quoted:
            return self._quoted("}")
        default = self._word("}")
        self._position += 1
        return default

    def _value(self, name: str) -> str | None:
        return self._environment.get(name, self._line.get(name, self._values.get(name)))

    def _home(self) -> str:
        """Return the home directory that a tilde and a user's name, if one follows, stand for."""
        self._reject_continuation()
        user = _USER.match(self._text, self._position)
        if user is None:
            return "~"
        self._position = user.end()
        return os.path.expanduser(f"~{user[0]}") if user[0] else self._value("HOME") or "~"

    def _dollar(self, quoted: bool) -> str:
        self._reject_continuation()
        following = self._next()
        if following and (following in "{(@*#?-$!" or following.isdigit() or (not quoted and following in "'\"")):
            raise _UnreadableError(f"a shell gives ${following} a meaning of its own: {_QUOTE}")
        return "$"

    def _reject_continuation(self) -> None:
        if self._text.startswith("\\\n", self._position):
            raise _UnreadableError("a line is continued within a name: write it in one line")

    def _until(self, quote: str) -> str:
        end = self._text.find(quote, self._position)
        if end < 0:
            raise _UnreadableError("a quote is not closed")
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
