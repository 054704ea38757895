"""What of the file `.env` counts beside the environment, so that the two do not make up one log-in between them."""

from collections.abc import Mapping

__all__ = ["counting"]

_URLS = ("PG_DB_URL", "DATABASE_URL")
_PASSWORDS = ("PG_DB_PASSWORD", "PG_DB_PASSWORD_COMMAND")
_WHOSE = ("PG_DB_HOST", "PG_DB_PORT", "PG_DB_USER")
_DEFAULT_PORT = {"PG_DB_PORT": "5432"}


def counting(file: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the file that count: those that the environment does not have, with two exceptions.

    A URL of the file does not count if the environment names a server, and a password of the file does not if the
    environment has one, or names another server or user than the file does.
    """
    own = {name: value for name, value in file.items() if value is not None}
    dropped = set(_URLS) if any(_text(environment, name) for name in (*_URLS, "PG_DB_HOST")) else set()
    if any(_text(environment, name) for name in _PASSWORDS) or _names_another(own, environment):
        dropped |= set(_PASSWORDS)
    return {name: value for name, value in own.items() if name not in environment and name not in dropped}


def _names_another(file: Mapping[str, str], environment: Mapping[str, str]) -> bool:
    whose = {name: _text(file, name) for name in _WHOSE}
    if whose["PG_DB_HOST"]:
        whose = _DEFAULT_PORT | {name: text for name, text in whose.items() if text}
    return any(text and _text(environment, name) not in ("", text) for name, text in whose.items())


def _text(variables: Mapping[str, str], name: str) -> str:
    return variables.get(name, "").strip()
