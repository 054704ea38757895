"""The tables that move, each mapped from its DynamoDB layout to its PostgreSQL table."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from actingweb.db.dynamodb import layouts
from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.records import PropertyLookupRecord, Record

__all__ = [
    "ACTORS",
    "ALL",
    "CLAIMS",
    "CLAIMS_V1",
    "CLAIMS_V2",
    "LOOK_UPS",
    "MAPPINGS",
    "PROPERTIES",
    "TableMapping",
    "Tables",
    "chosen",
]


@dataclass(frozen=True)
class TableMapping:
    """Maps one DynamoDB table to one PostgreSQL table.

    Attributes:
        layout: the DynamoDB side.
        claims: the name of a table of claims, which has no counterpart in PostgreSQL; None for all other tables.
    """

    layout: Layout
    claims: str | None = None

    @property
    def record(self) -> type[Record]:
        """The record type, which names the PostgreSQL table and its columns."""
        return self.layout.record

    @property
    def name(self) -> str:
        """The name that files, reports and messages use; also the PostgreSQL table, unless the rows are claims."""
        return self.claims or self.record.table

    @property
    def table(self) -> str:
        """The PostgreSQL table that takes the rows. A table of claims exists only while a load is unfinished."""
        return f"migration_{self.claims}" if self.claims else self.record.table

    def reported_key(self, key: dict[str, Any]) -> dict[str, Any]:
        """Return a primary key without stored values: the key of a `CLAIMS_V1` row contains the claimed value."""
        if self is not CLAIMS_V1:
            return key
        return {name: part for name, part in key.items() if name != "value"}


MAPPINGS: tuple[TableMapping, ...] = tuple(
    TableMapping(layout)
    for layout in (
        layouts.ACTORS,
        layouts.PROPERTIES,
        layouts.ATTRIBUTES,
        layouts.TRUSTS,
        layouts.PEER_TRUSTEES,
        layouts.SUBSCRIPTIONS,
        layouts.SUBSCRIPTION_DIFFS,
        layouts.SUBSCRIPTION_SUSPENSIONS,
    )
)
"""The tables other than claims, parents before children."""

ACTORS, PROPERTIES = MAPPINGS[:2]

LOOK_UPS = PropertyLookupRecord.table
"""The PostgreSQL table of look-up rows, which are derived from properties and claims."""

CLAIMS_V2 = TableMapping(layouts.PROPERTY_LOOKUPS, "property_lookup_v2")
CLAIMS_V1 = TableMapping(layouts.PROPERTY_LOOKUPS_V1, "property_lookup_v1")
"""The older table of claims, which few deployments still have."""

CLAIMS = (CLAIMS_V2, CLAIMS_V1)
"""The tables of claims, in the order in which the DynamoDB backend reads them."""

Tables = tuple[TableMapping, ...]

ALL: Tables = (*MAPPINGS, *CLAIMS)


def chosen(names: Iterable[str]) -> Tables:
    """Return the tables with these names, parents before children.

    The claims come with the properties: without them, a look-up row could name another actor than DynamoDB finds. Raise
    `ValueError` naming a table that there is not.
    """
    wanted = set(names)
    if unknown := sorted(wanted - {mapping.name for mapping in MAPPINGS}):
        raise ValueError(", ".join(unknown))
    mappings = tuple(mapping for mapping in MAPPINGS if mapping.name in wanted)
    return (*mappings, *CLAIMS) if PROPERTIES in mappings else mappings
