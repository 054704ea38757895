"""What PostgreSQL has to hold when DynamoDB holds these items, worked out without the engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from actingweb.db.dynamodb.items import Item
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.documents import document_of
from actingweb.migration.mapping import ACTORS, CLAIMS_V1, CLAIMS_V2, LOOK_UPS, PROPERTIES, TableMapping
from actingweb.migration.rows import convert
from tests.live.histories.rows import ATTRIBUTES, INDEXED, SUBSCRIPTIONS, VALUES

__all__ = ["Content", "Row", "comparable", "expected_content", "row_of"]

_OWNERLESS = (ACTORS, ATTRIBUTES)

Row = tuple[Any, ...]
Key = tuple[str, ...]


@dataclass
class Content:
    """The rows of a database.

    Attributes:
        rows: of each PostgreSQL table, by its name.
        rejects: the keys of items that have no row, with the names of their tables.
    """

    rows: dict[str, set[Row]] = field(default_factory=dict)
    rejects: set[Key] = field(default_factory=set)


def expected_content(items: dict[TableMapping, list[Item]]) -> Content:
    """Return what PostgreSQL has to hold."""
    content = Content()
    actors: set[str] = set()
    for mapping in (ACTORS, PROPERTIES, ATTRIBUTES, SUBSCRIPTIONS):
        rows = content.rows[mapping.table] = set()
        for item in items.get(mapping, []):
            row = row_of(mapping, item)
            if row is None or (mapping not in _OWNERLESS and row[0] not in actors):
                content.rejects.add((mapping.name, *(item[name]["S"] for name in mapping.layout.key_names)))
            else:
                rows.add(row)
        if mapping is ACTORS:
            actors = {row[0] for row in rows}
    content.rows[LOOK_UPS] = set(_look_ups(content, items))
    return content


def row_of(mapping: TableMapping, item: Item) -> Row | None:
    """Return the PostgreSQL row of an item, None if it can have none."""
    found = convert(mapping, [json.dumps(document_of(item)).encode()]).rows
    return comparable(found[0][0]) if found else None


def comparable(row: Iterable[Any]) -> Row:
    """Return a row whose JSON texts are equal if they mean the same."""
    return tuple(json.dumps(json.loads(value)) if _is_json(value) else value for value in row)


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{")


def _look_ups(content: Content, items: dict[TableMapping, list[Item]]) -> Iterator[Row]:
    """Yield the look-up rows.

    A claimant whose property has no row keeps the value from all others. Whoever would have it waits, as a reject does.
    """
    properties = content.rows[PROPERTIES.table]
    newer = {item["lookup_key"]["S"]: item["actor_id"]["S"] for item in items.get(CLAIMS_V2, [])}
    older = {(i["property_name"]["S"], i["value"]["S"]): i["actor_id"]["S"] for i in items.get(CLAIMS_V1, [])}
    waiting = set(content.rejects)
    for name, value in sorted({(name, value) for _, name, value in properties if value in VALUES}):
        holders = {actor for actor, *held in properties if held == [name, value]}
        key = compute_lookup_key(name, value)
        for claimant in (newer.get(key), older.get((name, value)), min(holders) if name == INDEXED else None):
            if claimant in holders:
                yield key, name, claimant
                break
            if (PROPERTIES.name, claimant, name) in waiting:
                if name == INDEXED:
                    content.rejects.add((PROPERTIES.name, min(holders), name))
                break
