"""What a command returns, and the texts that several commands share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from actingweb.migration.cli.display import Rows
from actingweb.migration.errors import ExitCode
from actingweb.migration.mapping import CLAIMS

__all__ = ["NO_CLAIMS", "Outcome", "unknown_attributes"]

NO_CLAIMS = f"the input has no {' or '.join(mapping.name for mapping in CLAIMS)}"


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        rows: the table of the summary.
        facts: what only the machine-readable summary contains.
        notes: the lines below the table, which only the summary for people contains.
        warnings: what the user has to know; both summaries contain it.
    """

    exit_code: ExitCode
    rows: Rows
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def unknown_attributes(unknown: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a line for each attribute that the layout does not know, from the number of rows by table and name."""
    return [
        f"{table}: {count:,} rows have {json.dumps(name)}, for which PostgreSQL has no column"
        for table, names in unknown.items()
        for name, count in names.items()
    ]
