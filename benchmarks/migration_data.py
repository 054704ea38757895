"""Generated rows, in the forms that the steps of the migration's benchmark read."""

import hashlib
import json
import os
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.dynamodb.layouts import required_layouts
from actingweb.db.settings import get_settings
from actingweb.migration.documents import Document
from testbed.documents import Documents, put_documents
from testbed.servers import DynamoDBTarget

_SHARES = {"actors": 0.02, "properties": 0.68, "attributes": 0.2, "subscription_diffs": 0.05, "trusts": 0.05}
_TIME = "2024-01-02T03:04:05.678901+0000"
_TRUST = {
    "baseuri": "https://peer.example.com/",
    "type": "urn:actingweb:example.com:peer",
    "relationship": "friend",
    "desc": "",
    "approved": True,
    "peer_approved": True,
    "verified": False,
    "created_at": _TIME,
    "last_accessed": _TIME,
}
LARGEST = 395_000
"""The most bytes of a value: an item may have 400 KB."""
_PUTS, _PUT_BYTES = 25, 2_000_000
_THREADS = 4


def _documents(table: str, rows: int, value_bytes: int, letter: str) -> Iterator[Document]:
    """Yield the documents of one table, values having so many bytes on average."""
    actors = max(1, int(rows * _SHARES["actors"]))
    chance = random.Random(table)
    for number in range(rows):
        size = min(chance.randrange(value_bytes // 2, value_bytes * 3 // 2), LARGEST)
        value = json.dumps({"n": number, "texte": "é", "text": letter * size})
        actor = _id(number if table == "actors" else chance.randrange(actors))
        yield {"id": actor} | _ATTRIBUTES[table](number, value)


_ATTRIBUTES: dict[str, Any] = {
    "actors": lambda number, _: {"creator": f"user{number}@example.com", "passphrase": _id(-number)},
    "properties": lambda number, value: {"name": f"property_{number}", "value": value},
    "attributes": lambda number, value: {
        "bucket_name": f"bucket:name_{number}",
        "bucket": "bucket",
        "name": f"name_{number}",
        "data": value,
        "timestamp": _TIME,
    },
    "subscription_diffs": lambda number, value: {
        "subid_seqnr": f"sub:{number}",
        "subid": "sub",
        "seqnr": number,
        "diff": value,
        "timestamp": _TIME,
    },
    "trusts": lambda number, _: {"peerid": f"peer{number}", "secret": _id(number), **_TRUST},
}


def _id(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


def documents(rows: int, value_bytes: int, letter: str = "x", share: float = 1) -> Documents:
    """Return the documents of each table, or a share of them, out of `rows` in all; values are of one letter."""
    parts = {table: int(share * rows * part) for table, part in _SHARES.items()}
    return {table: islice(_documents(table, rows, value_bytes, letter), part) for table, part in parts.items()}


def fill_tables(rows: int, value_bytes: int, letter: str = "x", share: float = 1) -> None:
    """Store documents in DynamoDB, in the tables that the settings name."""
    for layout in required_layouts(True):
        ensure_table(layout)
    client, prefix = DynamoDBTarget(os.environ).connect(), get_settings().aws_db_prefix
    puts = max(1, min(_PUTS, _PUT_BYTES // value_bytes))
    put_documents(client, prefix, documents(rows, value_bytes, letter, share), puts=puts, threads=_THREADS)
