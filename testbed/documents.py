"""Documents for the migration: as the files of an export, and as the items of DynamoDB's tables."""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actingweb.db.dynamodb.batching import batched
from actingweb.migration.documents import Document, item_of
from actingweb.migration.mapping import CLAIMS, MAPPINGS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Documents = Mapping[str, Iterable[Document]]
"""The documents of each table."""

_PUTS_PER_REQUEST = 25
_REQUESTS_IN_MEMORY = 100


def write_input(directory: Path, documents: Documents, indent: int | None = None) -> Path:
    """Write one file a table, as the export does, or with `indent` as by hand; return the directory.

    There is a file of claims only if the documents have them, as in an export of an earlier release.
    """
    directory.mkdir(exist_ok=True)
    for mapping in (*MAPPINGS, *(mapping for mapping in CLAIMS if mapping.name in documents)):
        content = documents.get(mapping.name, ())
        with (directory / f"{mapping.name}.json").open("w") as file:
            if indent is not None:
                json.dump(list(content), file, indent=indent)
                continue
            file.write("[")
            file.writelines(f"{',' if number else ''}\n{json.dumps(one)}" for number, one in enumerate(content))
            file.write("\n]\n")
    return directory


def put_documents(
    client: "DynamoDBClient", prefix: str, documents: Documents, *, puts: int = _PUTS_PER_REQUEST, threads: int = 1
) -> None:
    """Store the items of documents, so many in a request, by so many threads."""
    with ThreadPoolExecutor(threads) as workers:
        for mapping in (*MAPPINGS, *CLAIMS):
            table = f"{prefix}_{mapping.layout.suffix}"
            requests = ({"PutRequest": {"Item": item_of(one)}} for one in documents.get(mapping.name, ()))
            batches: Any = ({table: batch} for batch in batched(requests, puts))
            # A part at a time, so that not all wait in memory.
            while part := list(islice(batches, _REQUESTS_IN_MEMORY)):
                for answer in workers.map(lambda batch: client.batch_write_item(RequestItems=batch), part):
                    assert not answer["UnprocessedItems"]
