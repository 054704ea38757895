"""Differences between a source and PostgreSQL, and the report that lists them all."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from actingweb.migration.files import open_private

__all__ = ["Difference", "Kind", "Report", "TableResult"]


class Kind(StrEnum):
    """What is wrong with a row.

    Attributes:
        MISSING: the source has it, PostgreSQL does not.
        EXTRA: PostgreSQL has it, the source does not.
        DIFFERENT: a column differs; each such column is a difference.
        DUPLICATE: the source has its key more than once.
        ORPHAN: its actor is not where the row is.
        UNREADABLE: a document of the source is no row that PostgreSQL could hold.
        LOOK_UP: a look-up row and the properties do not fit together, or a look-up has another answer.
    """

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    DUPLICATE = "duplicate"
    ORPHAN = "orphan"
    UNREADABLE = "unreadable"
    LOOK_UP = "look-up"


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        key: the columns of the primary key, of an unreadable document as far as it has them.
        column: the column that differs; None if the difference is about the whole row.
        reason: what the kind does not say; holds no stored value.
        values: the texts of the column in the source and in PostgreSQL, None for NULL, if they are to be shown; of
            look-ups, the actors that answer, None for nobody.
    """

    table: str
    kind: Kind
    key: dict[str, Any]
    column: str | None = None
    reason: str | None = None
    values: tuple[str | None, str | None] | None = None

    def fields(self) -> dict[str, Any]:
        """Return what the report says of it."""
        fields = {"table": self.table, "kind": str(self.kind), "key": self.key, "column": self.column}
        if self.reason is not None:
            fields["reason"] = self.reason
        if self.values is not None:
            fields["source"], fields["postgresql"] = self.values
        return fields


@dataclass
class TableResult:
    """What was found in a table.

    Attributes:
        source, target: how many rows there are; None on the side that has no such table.
        kinds: how many differences there are of each kind that there is.
        rejected: how many of them are rows that an import is known to have rejected.
    """

    source: int | None = 0
    target: int | None = 0
    kinds: dict[Kind, int] = field(default_factory=dict)
    rejected: int = 0

    @property
    def differences(self) -> int:
        """How many differences there are."""
        return sum(self.kinds.values())


class Report:
    """Takes differences: counts them, keeps the first `limit` and writes each as one JSON object on a line of a file.

    The owner of the file alone may read it, also if another file was in its place.
    """

    def __init__(self, path: Path, limit: int) -> None:
        if path.is_file():
            path.unlink()
        self._file = open_private(path)
        self._limit = limit
        self.tables: dict[str, TableResult] = {}
        self.first: list[Difference] = []

    def add(self, difference: Difference) -> None:
        """Take a difference of a table that is in `tables`."""
        kinds = self.tables[difference.table].kinds
        kinds[difference.kind] = kinds.get(difference.kind, 0) + 1
        if len(self.first) < self._limit:
            self.first.append(difference)
        self._file.write(json.dumps(difference.fields()).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
