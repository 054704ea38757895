"""DynamoDB to PostgreSQL on the real servers: prepared, scanned, followed and applied."""

from __future__ import annotations

from actingweb.migration.live.keys import BY_NAME
from actingweb.migration.mapping import ACTORS, MAPPINGS, PROPERTIES
from tests.live.sides import Sides
from tests.migration.loads import DOCUMENTS

ATTRIBUTES = BY_NAME["attributes"]


def store_all(sides: Sides) -> None:
    for mapping in MAPPINGS:
        sides.put(mapping, *DOCUMENTS[mapping.name])


def test_a_scan_and_the_changes_behind_it(sides: Sides) -> None:
    store_all(sides)
    sides.prepare()
    sides.scan()
    assert sides.stored() == sides.expected()
    sides.put(ACTORS, {"id": "a3", "passphrase": "x"})
    sides.put(PROPERTIES, {"id": "a1", "name": "email", "value": "new@example.com"})
    sides.delete(PROPERTIES, {"id": "a1", "name": "größe"})
    sides.delete(ATTRIBUTES, {"id": "a1", "bucket_name": "b:c:n"})
    sides.catch_up()
    assert sides.stored() == sides.expected()
    assert sides.rejects() == {}
