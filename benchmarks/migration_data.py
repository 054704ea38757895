"""Generated rows, in the forms that the steps of the migration's benchmark read."""

import hashlib
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actingweb.migration.columns import row_model, to_tuples
from actingweb.migration.documents import Document, item_of
from actingweb.migration.mapping import MAPPINGS, TableMapping

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["fill_tables", "write_files"]

_SHARES = {"actors": 0.02, "properties": 0.68, "attributes": 0.2, "subscription_diffs": 0.05, "trusts": 0.05}
_TIME = "2024-01-02T03:04:05.678901+0000"
_LARGEST = 395_000
"""An item may have 400 KB."""
_PUTS = 25
_PUT_BYTES = 2_000_000
_THREADS = 4


def documents(mapping: TableMapping, rows: int, value_bytes: int) -> Iterator[Document]:
    """Yield the documents of one table out of `rows` in all, values having `value_bytes` on average."""
    count = int(rows * _SHARES.get(mapping.name, 0))
    actors = max(1, int(rows * _SHARES["actors"]))
    chance = random.Random(mapping.name)
    for number in range(count):
        size = min(chance.randrange(value_bytes // 2, value_bytes * 3 // 2), _LARGEST)
        value = json.dumps({"n": number, "texte": "é", "text": "x" * size})
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
    "trusts": lambda number, _: {
        "peerid": f"peer{number}",
        "baseuri": "https://peer.example.com/",
        "type": "urn:actingweb:example.com:peer",
        "relationship": "friend",
        "secret": _id(number),
        "desc": "",
        "approved": True,
        "peer_approved": True,
        "verified": False,
        "created_at": _TIME,
        "last_accessed": _TIME,
    },
}


def _id(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


def write_files(directory: Path, rows: int, value_bytes: int) -> None:
    """Write, for each table, the file of an export and the text of a COPY."""
    for mapping in MAPPINGS:
        with (
            (directory / f"{mapping.name}.json").open("w") as file,
            (directory / f"{mapping.name}.copy").open("w") as text,
        ):
            separator = "[\n"
            for document in documents(mapping, rows, value_bytes):
                line = json.dumps(document)
                file.write(separator + line)
                separator = ",\n"
                (row,) = to_tuples(mapping, [row_model(mapping).model_validate_json(line)])
                text.write("\t".join(map(_field, row)) + "\n")
            file.write("[\n]\n" if separator == "[\n" else "\n]\n")


def _field(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return value.isoformat() if isinstance(value, datetime) else str(value)


def fill_tables(client: "DynamoDBClient", prefix: str, rows: int, value_bytes: int) -> None:
    """Store the same rows in DynamoDB."""
    with ThreadPoolExecutor(_THREADS) as workers:
        for mapping in MAPPINGS:
            table = f"{prefix}_{mapping.layout.suffix}"
            batches = _put_batches(mapping, rows, value_bytes)
            # A part at a time, so that not all wait in memory.
            while part := list(islice(batches, 100)):
                for answer in workers.map(lambda puts: client.batch_write_item(RequestItems={table: puts}), part):  # noqa: B023
                    assert not answer["UnprocessedItems"]


def _put_batches(mapping: TableMapping, rows: int, value_bytes: int) -> Iterator[list[Any]]:
    size = max(1, min(_PUTS, _PUT_BYTES // value_bytes))
    puts = ({"PutRequest": {"Item": item_of(document)}} for document in documents(mapping, rows, value_bytes))
    while batch := list(islice(puts, size)):
        yield batch
