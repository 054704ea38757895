"""The differences between a source and PostgreSQL, and the report that lists them."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from actingweb.migration.private_files import open_private

__all__ = ["Difference", "Kind", "Report", "TableResult", "Tally", "ValidationResult"]


class Kind(StrEnum):
    """What is wrong with a row.

    Attributes:
        MISSING: the source has the row, PostgreSQL does not.
        EXTRA: PostgreSQL has the row, the source does not.
        DIFFERENT: a column differs. Each such column is a difference of its own.
        DUPLICATE: the source has several rows with this key.
        ORPHAN: the actor of the row does not exist on the side that has the row.
        UNREADABLE: PostgreSQL cannot store a document of the source.
        LOOK_UP: a look-up row does not match the properties, or a look-up would have another result.
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
        key: the columns of the primary key; of an unreadable document, those that it has.
        column: the column that differs; None if the difference concerns the whole row.
        reason: further explanation, without stored values.
        values: the values of the column in the source and in PostgreSQL, as text, None for NULL; of a look-up, the
            actors that are found, None for none. None if they are not to be shown.
    """

    table: str
    kind: Kind
    key: dict[str, Any]
    column: str | None = None
    reason: str | None = None
    values: tuple[str | None, str | None] | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields of its line in the report."""
        fields = {"table": self.table, "kind": str(self.kind), "key": self.key, "column": self.column}
        if self.reason is not None:
            fields["reason"] = self.reason
        if self.values is not None:
            fields["source"], fields["postgresql"] = self.values
        return fields


@dataclass
class TableResult:
    """The result for one table.

    Attributes:
        source, target: the numbers of rows; None on a side that does not have the table.
        kinds: the numbers of differences, by kind.
        rejected: how many of the differences are rows that an import is known to have rejected.
        accepted: how many rows differ, and are accepted; they are not among the differences.
        repaired: how many of the differences were repaired.
    """

    source: int | None = 0
    target: int | None = 0
    kinds: dict[Kind, int] = field(default_factory=dict)
    rejected: int = 0
    accepted: int = 0
    repaired: int = 0

    @property
    def differences(self) -> int:
        """The number of differences."""
        return sum(self.kinds.values())


class Tally:
    """Counts differences, by table."""

    def __init__(self) -> None:
        self.tables: dict[str, TableResult] = {}

    def add(self, difference: Difference) -> None:
        """Add a difference of a table that is in `tables`."""
        kinds = self.tables[difference.table].kinds
        kinds[difference.kind] = kinds.get(difference.kind, 0) + 1


class Report(Tally):
    """Counts differences, keeps the first `limit` and writes all to a file, as one JSON object per line.

    Only its owner may read the file, which replaces any file of that name. Without differences there is none.
    """

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__()
        if path.is_file():
            path.unlink()
        self._path = path
        self._file = open_private(path)
        self._limit = limit
        self.first: list[Difference] = []

    def add(self, difference: Difference) -> None:
        """Add a difference of a table that is in `tables`, and write it."""
        super().add(difference)
        if len(self.first) < self._limit:
            self.first.append(difference)
        self._file.write(json.dumps(difference.fields()).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._path.is_file() and self._path.stat().st_size == 0:
            self._path.unlink()


@dataclass(frozen=True)
class ValidationResult:
    """The result of a validation.

    Attributes:
        tables: the results, by table.
        first: the first differences.
        unknown: the number of rows of the source with an attribute that the layout does not know, by table and
            attribute.
        without_claims: whether the results of look-ups were not compared because the source has no claims.
        server: the server, its version, and the schema.
    """

    tables: dict[str, TableResult]
    first: list[Difference]
    unknown: dict[str, dict[str, int]]
    without_claims: bool = False
    server: str = ""

    @property
    def differences(self) -> int:
        """The number of differences that were found."""
        return sum(table.differences for table in self.tables.values())

    @property
    def repaired(self) -> int:
        """The number of those that were repaired."""
        return sum(table.repaired for table in self.tables.values())

    @property
    def accepted(self) -> int:
        """The number of rows that differ and are accepted."""
        return sum(table.accepted for table in self.tables.values())

    @property
    def rejected(self) -> int:
        """The number of differences that are rows which the import is known to have rejected."""
        return sum(table.rejected for table in self.tables.values())
