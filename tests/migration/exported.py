"""Exports of DynamoDB to S3, laid out as DynamoDB lays them out."""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from actingweb.migration.documents import Document, item_of
from actingweb.migration.mapping import CLAIMS, MAPPINGS
from tests.migration.loads import Documents


def md5(content: bytes) -> str:
    """Return a checksum as DynamoDB writes it."""
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def lines_of(documents: Iterable[Document]) -> bytes:
    """Return documents as the lines of a data file."""
    lines = (json.dumps({"Item": item_of(document)}, separators=(",", ":")) for document in documents)
    return b"".join(line.encode() + b"\n" for line in lines)


def write_exports(directory: Path, documents: Documents, prefix: str = "demo_") -> Path:
    """Write an export of each table, of claims only if the documents have them; return the directory."""
    for mapping in (*MAPPINGS, *(mapping for mapping in CLAIMS if mapping.name in documents)):
        place = directory / "AWSDynamoDB" / f"01700-{mapping.name}"
        write_export(place, f"{prefix}{mapping.layout.suffix}", list(documents.get(mapping.name, ())))
    return directory


def write_export(place: Path, table: str, documents: list[Document], files: int = 2, **changes: Any) -> Path:
    """Write an export of a table, its rows in some data files, with changes of its summary; return its directory."""
    (place / "data").mkdir(parents=True)
    (place / "_started").touch()
    entries = b""
    for number in range(files):
        part = documents[number::files]
        content = gzip.compress(lines_of(part), mtime=0)
        (place / "data" / f"data{number}.json.gz").write_bytes(content)
        entry = {
            "itemCount": len(part),
            "md5Checksum": md5(content),
            "etag": "af83d6f217c19b8b0fff8023d8ca4716-1",
            "dataFileS3Key": f"some/prefix/AWSDynamoDB/{place.name}/data/data{number}.json.gz",
        }
        entries += json.dumps(entry).encode() + b"\n"
    write_manifest(place, "manifest-files", entries)
    write_manifest(place, "manifest-summary", json.dumps(summary(table, len(documents)) | changes).encode())
    return place


def write_manifest(place: Path, name: str, content: bytes) -> None:
    """Write a manifest and its checksum."""
    (place / f"{name}.json").write_bytes(content)
    (place / f"{name}.md5").write_text(md5(content))


def summary(table: str, rows: int) -> dict[str, Any]:
    """Return the summary of an export."""
    arn = f"arn:aws:dynamodb:eu-north-1:123456789012:table/{table}"
    return {
        "version": "2020-06-30",
        "exportArn": f"{arn}/export/01700",
        "startTime": "2024-01-02T03:04:05.678Z",
        "endTime": "2024-01-02T03:24:05.678Z",
        "tableArn": arn,
        "tableId": "12345a12-abcd-123a-ab12-1234abc12345",
        "exportTime": "2024-01-02T03:00:00Z",
        "s3Bucket": "bucket",
        "s3Prefix": "some/prefix",
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": "some/prefix/AWSDynamoDB/01700/manifest-files.json",
        "billedSizeBytes": 0,
        "itemCount": rows,
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    }
