"""Checks of a sample of each table, taken from all over it: what PostgreSQL cannot hold, and what belongs to nobody."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from actingweb.migration.documents import content_of
from actingweb.migration.findings import Finding, good, unchecked, warning
from actingweb.migration.live.dynamodb import DynamoDB, read_items
from actingweb.migration.live.keys import RowKey
from actingweb.migration.mapping import ACTORS, CLAIMS, PROPERTIES, TableMapping
from actingweb.migration.plan.facts import TableFacts
from actingweb.migration.plan.source import SIDE
from actingweb.migration.rows import Conversion, convert
from actingweb.migration.source.scan import DynamoDBSource

__all__ = ["findings"]

_SEGMENTS = 8
_OWNERLESS = frozenset({"actors", "attributes"})
_REASONS_SHOWN = 3
_LEFT = "it is not moved; the way back leaves it in DynamoDB as it is"
_DECIDED = "the look-up tables decide who is found, else the smallest id"
_ADOPT = "they are rejects until their actor appears: delete them, or accept them by name"
_REPAIR = "they are set aside as rejects, never lost: correct them at the source, or accept them by name"


def findings(
    source: DynamoDBSource, tables: dict[str, TableFacts], indexed_properties: Sequence[str], rows: int
) -> Iterator[Finding]:
    """Yield findings about up to `rows` items of each table; add what was found to `tables`. Raise `SourceError`."""
    for mapping in source.mappings:
        table = tables[mapping.name]
        if not table.exists:
            continue
        documents, table.units, table.whole = source.sample(mapping, _SEGMENTS, max(1, rows // _SEGMENTS))
        table.sampled = len(documents)
        if table.whole:
            table.rows = table.sampled
        conversion = convert(mapping, documents)
        table.unknown = conversion.unknown
        for reject in conversion.rejects:
            table.rejects[reject.reason] = table.rejects.get(reject.reason, 0) + 1
        if mapping.name not in _OWNERLESS and mapping not in CLAIMS:
            table.orphans = _orphans(source, conversion)
        if mapping is PROPERTIES:
            table.shared = _shared(conversion, indexed_properties)
        yield from _table(mapping, table)


def _table(mapping: TableMapping, table: TableFacts) -> Iterator[Finding]:
    check = f"content of {mapping.name}"
    of = f"{table.sampled:,} rows" if table.whole else f"{table.sampled:,} rows sampled from about {table.rows:,}"
    found = [warning(SIDE, check, text, advice) for text, advice in _noteworthy(table, of)]
    if found:
        yield from found
    elif table.sampled:
        yield good(SIDE, check, f"each of {of} can be moved")
    else:
        yield unchecked(SIDE, check, "it is empty")


def _noteworthy(table: TableFacts, of: str) -> Iterator[tuple[str, str]]:
    """Yield what was found in the sample, `of` so many rows, and what to do about it."""
    if table.rejects:
        shown = "; ".join(f"{reason} ({count:,})" for reason, count in islice(table.rejects.items(), _REASONS_SHOWN))
        yield f"{sum(table.rejects.values()):,} of {of} cannot be held by PostgreSQL: {shown}", _REPAIR
    if table.orphans:
        yield f"{table.orphans:,} of {of} without their actor", _ADOPT
    for name, count in table.unknown.items():
        yield f"{count:,} of {of} with {name!r}, for which PostgreSQL has no column", _LEFT
    if table.shared:
        yield f"{table.shared:,} values of indexed properties with several holders, in {of}", _DECIDED


def _orphans(source: DynamoDBSource, conversion: Conversion) -> int:
    owners = {RowKey(ACTORS.name, row[0]) for row, _ in conversion.rows}
    known = read_items(DynamoDB(source.endpoint), source.table_name(ACTORS), sorted(owners), whole=True).found
    return sum(RowKey(ACTORS.name, row[0]) not in known for row, _ in conversion.rows)


def _shared(conversion: Conversion, indexed_properties: Sequence[str]) -> int:
    holders: defaultdict[tuple[str, str], int] = defaultdict(int)
    for _, document in conversion.rows:
        content = content_of(document)
        if content.get("name") in indexed_properties and content.get("value"):
            holders[content["name"], str(content["value"])] += 1
    return sum(count > 1 for count in holders.values())
