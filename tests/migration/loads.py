"""Input for loads, and what is in the target after them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

from psycopg import sql

from actingweb.migration.columns import row_model, to_tuples
from actingweb.migration.documents import Document
from actingweb.migration.jobs.load import import_files
from actingweb.migration.jobs.load_options import LoadOptions, LoadSummary
from actingweb.migration.mapping import MAPPINGS, TableMapping
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.target.connection import Target
from testbed.documents import Documents as Documents
from testbed.documents import write_input as write_input

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]

TIME = "2024-01-02T03:04:05.678901+0000"

DOCUMENTS: Documents = {
    "actors": [{"id": "a1", "creator": "one@example.com", "passphrase": "p"}, {"id": "a2", "passphrase": ""}],
    "properties": [
        {"id": "a1", "name": "email", "value": "one@example.com"},
        {"id": "a1", "name": "größe", "value": "tab\t newline\n backslash\\ \U0001f600 \\N"},
        {"id": "a2", "name": "email", "value": "one@example.com"},
    ],
    "attributes": [
        {
            "id": "a1",
            "bucket_name": "b:c:n",
            "bucket": "b:c",
            "name": "n",
            "data": '{"z": 12345678901234567890, "a": "\\u00e9"}',
            "timestamp": TIME,
            "ttl_timestamp": 4_000_000_000,
        },
        {"id": "a1", "bucket_name": "b:m", "bucket": "b", "name": "m", "data": None},
    ],
    "trusts": [
        {
            "id": "a1",
            "peerid": "p1",
            "baseuri": "https://example.com",
            "type": "urn:x",
            "relationship": "friend",
            "secret": "s",
            "desc": "",
            "approved": True,
            "created_at": TIME,
        }
    ],
    "peertrustees": [{"id": "a1", "peerid": "p1", "baseuri": "u", "type": "t", "passphrase": "p"}],
    "subscriptions": [
        {
            "id": "a1",
            "peer_sub_id": "p1:s1",
            "peerid": "p1",
            "subid": "s1",
            "target": "properties",
            "seqnr": 2**63 - 1,
            "callback": True,
        }
    ],
    "subscription_diffs": [
        {"id": "a1", "subid_seqnr": "s1:7", "subid": "s1", "seqnr": 7, "diff": "{}", "timestamp": TIME}
    ],
    "subscription_suspensions": [
        {"id": "a1", "target_key": "t:u", "target": "t", "subtarget": "u", "suspended_at": TIME}
    ],
}
"""At least one document of each table."""


ACTOR: Document = {"id": "a1", "passphrase": "p"}


def properties(count: int, actor: str = "a1") -> list[Document]:
    """Return properties of an actor."""
    return [{"id": actor, "name": f"name {number}", "value": str(number)} for number in range(count)]


def load(target: Target, directory: Path, **options: Any) -> LoadSummary:
    """Import a directory; its reject files are in its directory `rejects`."""
    return import_files(target, ExportDirectory.at(directory), load_options(directory, **options), lambda *_: None)


def load_options(directory: Path, **options: Any) -> LoadOptions:
    """Return options with the directory's reject files."""
    return replace(LoadOptions(directory / "rejects", ("email",)), **options)


def reject_path(directory: Path, table: str) -> Path:
    """Return where an import writes the rejects of a table."""
    return directory / "rejects" / f"{table}.ndjson"


def rejects_of(directory: Path, table: str) -> list[dict[str, Any]]:
    """Return the rejects of an import."""
    path = reject_path(directory, table)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def correct(directory: Path, table: str, **changes: Any) -> None:
    """Change attributes of all rejected documents of a table."""
    rejects = rejects_of(directory, table)
    lines = [json.dumps(reject | {"document": reject["document"] | changes}) + "\n" for reject in rejects]
    reject_path(directory, table).write_text("".join(lines))


def stored(target: Target) -> Rows:
    """Return the rows of all tables, in the order of their keys."""
    return _selected(target, lambda mapping: _names(mapping.record.fields))


def versions(target: Target) -> Rows:
    """Return what changes whenever a row is written."""
    return _selected(target, lambda _: sql.SQL("ctid::text, xmin::text"))


def expected(documents: Documents) -> Rows:
    """Return the rows that the documents should become."""
    return {
        mapping.name: sorted(map(row_reader(mapping), documents.get(mapping.name, ())), key=key_reader(mapping))
        for mapping in MAPPINGS
    }


def row_reader(mapping: TableMapping) -> Callable[[Document], Row]:
    """Return what makes a row, JSON decoded, of a document."""

    def row(document: Document) -> Row:
        (values,) = to_tuples(mapping, [row_model(mapping).model_validate_json(json.dumps(document))])
        return tuple(map(_decoded, mapping.record.fields, values))

    return row


def key_reader(mapping: TableMapping) -> Callable[[Row], Row]:
    """Return what takes the key from a row."""
    return lambda row: tuple(row[mapping.record.fields.index(name)] for name in mapping.record.key)


def table_exists(target: Target, name: str) -> bool:
    """Tell whether the schema has a table."""
    with target.connect() as connection:
        found = connection.execute(
            "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = %s AND tablename = %s)", [target.schema, name]
        ).fetchone()
    return found == (True,)


def _selected(target: Target, columns: Callable[[TableMapping], sql.Composable]) -> Rows:
    statement: LiteralString = "SELECT {columns} FROM {schema}.{table} ORDER BY {key}"
    with target.connect() as connection:
        return {
            mapping.name: connection.execute(
                target.sql(
                    statement,
                    columns=columns(mapping),
                    table=sql.Identifier(mapping.name),
                    key=_names(mapping.record.key),
                )
            ).fetchall()
            for mapping in MAPPINGS
        }


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _decoded(name: str, value: Any) -> Any:
    return json.loads(value) if name == "data" and value is not None else value
