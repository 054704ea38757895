"""How a record lies in its table, and where that table is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actingweb.db.dynamodb.transport import Transport, transport_to
from actingweb.db.records import Record
from actingweb.db.settings import get_settings

__all__ = ["DELIMITER", "Layout", "TableMeta", "compose", "forget_names", "meta_of", "names_of"]


DELIMITER = ":"


@dataclass(frozen=True)
class Layout:
    """How a record lies in its table.

    Attributes:
        suffix: the end of the table's name.
        composed: the range attribute that is made of all key parts after the first, if there is one.
        sparse: texts that are left out of the item when they are empty.
        ttl: the attribute at whose epoch second the database removes the item.
    """

    record: type[Record]
    suffix: str
    composed: str | None = None
    sparse: frozenset[str] = frozenset()
    ttl: str | None = None

    @property
    def hash(self) -> str:
        """The hash attribute."""
        return self.record.key[0]

    @property
    def range(self) -> str | None:
        """The range attribute, if there is one."""
        return self.composed or (self.record.key[1] if len(self.record.key) > 1 else None)

    @property
    def part(self) -> str | None:
        """The attribute that tells which pair holds a composed key: with that text, its first part names the pair."""
        return self.record.key[1] if self.composed else None

    def key_texts(self, values: tuple[Any, ...]) -> list[str]:
        """Return the texts of the key attributes for a whole key."""
        texts = list(map(str, values))
        return [texts[0], compose(texts[1:])] if self.composed else texts

    @property
    def key_names(self) -> list[str]:
        """The key attributes."""
        return [self.hash, self.range] if self.range else [self.hash]


def compose(parts: list[str]) -> str:
    """Return the composed key of parts; an empty one is left out."""
    return DELIMITER.join(part for part in parts if part)


class _Bound:
    """A value taken from the settings at first use and kept until `forget_names`; assigning it overrides that."""

    def __init__(self, compute: Callable[["TableMeta"], Any]) -> None:
        self._compute = compute

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, meta: "TableMeta", owner: type) -> Any:
        if self._name in meta.assigned:
            return meta.assigned[self._name]
        if self._name not in meta.bound:
            meta.bound[self._name] = self._compute(meta)
        return meta.bound[self._name]

    def __set__(self, meta: "TableMeta", value: Any) -> None:
        meta.assigned.pop(self._name, None)
        if value != self.__get__(meta, TableMeta):
            meta.assigned[self._name] = value


class TableMeta:
    """Where a table is, as the `Meta` of its pynamodb models."""

    billing_mode = "PAY_PER_REQUEST"
    max_retry_attempts = 3
    connect_timeout_seconds = None
    read_timeout_seconds = None
    max_pool_connections = None
    extra_headers = None
    aws_access_key_id = None
    aws_secret_access_key = None
    aws_session_token = None

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.assigned: dict[str, Any] = {}
        self.bound: dict[str, Any] = {}

    table_name = _Bound(lambda meta: meta.names()[0])
    region = _Bound(lambda _: get_settings().aws_default_region)
    host = _Bound(lambda _: get_settings().aws_db_host)

    def names(self) -> list[str]:
        """Return the names that the table may have, the preferred one first; only one when it is known."""
        if "table_name" in self.assigned:
            return [self.assigned["table_name"]]
        if "names" not in self.bound:
            self.bound["names"] = names_of(get_settings().aws_db_prefix, self.suffix)
        return list(self.bound["names"])

    def settle(self, name: str) -> None:
        """Keep the name that the table has."""
        if "table_name" not in self.assigned:
            self.bound.update(table_name=name, names=[name])

    def transport(self) -> Transport:
        """Return the way to the table's endpoint."""
        return transport_to(self.region, self.host)


def names_of(prefix: str, suffix: str) -> list[str]:
    """Return the names that a table may have, the preferred one first."""
    if prefix.endswith("_"):
        # Earlier releases always put an underscore between the two.
        return [f"{prefix}{suffix}", f"{prefix}_{suffix}"]
    return [f"{prefix}_{suffix}"]


_metas: dict[str, TableMeta] = {}


def meta_of(suffix: str) -> TableMeta:
    """Return the one `TableMeta` of a table."""
    return _metas.setdefault(suffix, TableMeta(suffix))


def forget_names() -> None:
    """Let every table take name, region and host from the settings again, unless they were assigned."""
    for meta in _metas.values():
        meta.bound.clear()
