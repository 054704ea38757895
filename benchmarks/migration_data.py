"""Generated rows, in the forms that the steps of the migration's benchmark read."""

import hashlib
import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.dynamodb.batching import batched
from actingweb.db.dynamodb.layouts import required_layouts
from actingweb.db.settings import get_settings
from actingweb.migration.documents import Document, item_of
from actingweb.migration.mapping import MAPPINGS, TableMapping
from testbed.servers import DynamoDBTarget

__all__ = ["fill_tables", "write_files"]

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
_LARGEST = 395_000
"""An item may have 400 KB."""
_PUTS, _PUT_BYTES = 25, 2_000_000
_THREADS = 4


def _documents(mapping: TableMapping, rows: int, value_bytes: int, letter: str = "x") -> Iterator[Document]:
    """Yield the documents of one table out of `rows` in all, values having `value_bytes` of a letter on average."""
    actors = max(1, int(rows * _SHARES["actors"]))
    chance = random.Random(mapping.name)
    for number in range(int(rows * _SHARES.get(mapping.name, 0))):
        size = min(chance.randrange(value_bytes // 2, value_bytes * 3 // 2), _LARGEST)
        value = json.dumps({"n": number, "texte": "é", "text": letter * size})
        actor = _id(number if mapping.name == "actors" else chance.randrange(actors))
        yield {"id": actor} | _ATTRIBUTES[mapping.name](number, value)


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


def write_files(directory: Path, rows: int, value_bytes: int) -> None:
    """Write, for each table, the file of an export."""
    for mapping in MAPPINGS:
        with (directory / f"{mapping.name}.json").open("w") as file:
            separator = "[\n"
            for document in _documents(mapping, rows, value_bytes):
                file.write(separator + json.dumps(document))
                separator = ",\n"
            file.write("[\n]\n" if separator == "[\n" else "\n]\n")


def fill_tables(rows: int, value_bytes: int, *, letter: str = "x", share: float = 1) -> None:
    """Store the same rows, or a share of each table, in DynamoDB, in the tables that the settings name."""
    for layout in required_layouts(True):
        ensure_table(layout)
    client, prefix = DynamoDBTarget(os.environ).connect(), get_settings().aws_db_prefix
    size = max(1, min(_PUTS, _PUT_BYTES // value_bytes))
    with ThreadPoolExecutor(_THREADS) as workers:
        for mapping in MAPPINGS:
            stored = int(share * rows * _SHARES.get(mapping.name, 0))
            documents = islice(_documents(mapping, rows, value_bytes, letter), stored)
            puts = ({"PutRequest": {"Item": item_of(document)}} for document in documents)
            requests: Any = ({f"{prefix}_{mapping.layout.suffix}": batch} for batch in batched(puts, size))
            # A part at a time, so that not all wait in memory.
            while part := list(islice(requests, 100)):
                for answer in workers.map(lambda request: client.batch_write_item(RequestItems=request), part):
                    assert not answer["UnprocessedItems"]
