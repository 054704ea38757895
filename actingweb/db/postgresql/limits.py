"""What the columns can hold."""

from typing import Any

from actingweb.db.policy.entity import Limits
from actingweb.db.records import Record

__all__ = ["IDS", "ID_CHARACTERS", "KEY_BYTES", "LIMITS"]

IDS = frozenset({"id", "peerid", "subid", "actor_id"})
ID_CHARACTERS = 255
KEY_BYTES = 2600
_NUL = "\x00"


class _PostgresLimits(Limits):
    def key(self, record: type[Record], values: tuple[Any, ...]) -> str | None:
        size = 0
        for value in values:
            if value.__class__ is not str:
                if (problem := self.number(value)) is not None:
                    return problem
            elif _NUL in value:
                return "a key contains U+0000"
            else:
                size += len(value)
        # A character has at most four bytes in UTF-8.
        return self._long_key(record, values) if size > ID_CHARACTERS else None

    def field(self, record: type[Record], name: str, value: str) -> str | None:  # noqa: ARG002 - one rule for all
        if _NUL in value:
            return f"{name} contains U+0000"
        if name in IDS and len(value) > ID_CHARACTERS:
            return f"{name} has {len(value)} characters: at most {ID_CHARACTERS}"
        return None

    def limited(self, record: type[Record]) -> frozenset[str]:
        return super().limited(record) | (IDS & set(record.fields))

    def number(self, value: int) -> str | None:
        if -(2**63) <= value < 2**63:
            return None
        return f"a number has {value.bit_length()} bits: at most 63 and a sign"

    def _long_key(self, record: type[Record], values: tuple[Any, ...]) -> str | None:
        texts = [(name, value) for name, value in zip(record.key, values, strict=False) if isinstance(value, str)]
        problems = (self.field(record, name, value) for name, value in texts)
        if (problem := next(filter(None, problems), None)) is not None:
            return problem
        size = sum(len(value.encode()) for _, value in texts)
        return f"the key has {size} bytes: at most {KEY_BYTES}" if size > KEY_BYTES else None


LIMITS = _PostgresLimits()
