"""The commands that users were promised, as they were printed, whatever our own guide says."""

from __future__ import annotations

import json

from .blocks import Block, section
from .conftest import needs_jq
from .reader import Reader

EXPORT = """
poetry run python scripts/migrate_dynamodb_to_postgresql.py export \\
  --output-dir /tmp/actingweb_export \\
  --aws-profile production \\
  --table-prefix prod_
"""
IMPORT = """
poetry run python scripts/migrate_dynamodb_to_postgresql.py import \\
  --input-dir /tmp/actingweb_export \\
  --pg-host localhost \\
  --pg-port 5432 \\
  --pg-database actingweb \\
  --pg-user actingweb \\
  --pg-password secretpassword
"""
VALIDATE = IMPORT.replace(".py import", ".py validate")
SHORT_VALIDATE = """
poetry run python scripts/migrate_dynamodb_to_postgresql.py validate \\
  --input-dir /tmp/actingweb_export \\
  --pg-host localhost \\
  --pg-database actingweb
"""
SKIP = """
poetry run python scripts/migrate_dynamodb_to_postgresql.py import \\
  --input-dir /tmp/actingweb_export \\
  --skip-duplicates \\
  --log-level DEBUG
"""
DUPLICATES = """
jq '.[] | .id + ":" + .name' /tmp/actingweb_export/properties.json | sort | uniq -d
"""
FILES = {
    "actors.json",
    "properties.json",
    "attributes.json",
    "trusts.json",
    "peertrustees.json",
    "subscriptions.json",
    "subscription_diffs.json",
}
TABLES = [name.removesuffix(".json") for name in sorted(FILES)]


def run(reader: Reader, commands: str) -> str:
    """Run promised commands with the places of the test."""
    return reader.run(Block("bash", "", commands, ("the promise",), 0))


def test_the_promised_commands(reader: Reader) -> None:
    """None but the first two need more than what is printed; the short ones take the rest from the environment."""
    del reader.environment["PG_DB_PASSWORD"]
    run(reader, EXPORT)
    assert {path.name for path in reader.export_directory.iterdir()} >= FILES
    run(reader, IMPORT)
    assert "0 differences" in run(reader, VALIDATE)
    reader.environment["PG_DB_PASSWORD"] = "secretpassword"
    assert "0 differences" in run(reader, SHORT_VALIDATE)
    again = run(reader, SKIP)
    assert "DEBUG" in again
    assert "0 differences" in run(reader, SHORT_VALIDATE)


@needs_jq
def test_the_promised_search_for_duplicates(reader: Reader) -> None:
    run(reader, EXPORT)
    assert run(reader, DUPLICATES) == ""


def test_the_promised_count(reader: Reader) -> None:
    run(reader, EXPORT)
    run(reader, IMPORT)
    counts = " UNION ALL ".join(f"SELECT '{table}', COUNT(*) FROM {table}" for table in TABLES)
    shown = reader.type(f'psql -U actingweb -d actingweb -At -c "{counts}"')
    exported = {table: len(json.loads((reader.export_directory / f"{table}.json").read_bytes())) for table in TABLES}
    assert dict(line.split("|") for line in shown.split()) == {table: str(rows) for table, rows in exported.items()}


def test_files_made_by_hand_can_be_imported(reader: Reader) -> None:
    *_, block = (block for block in section("2.2 By hand") if block.language == "python")
    reader.environment |= {"AWS_PROFILE": "production", "AWS_DB_PREFIX": "prod_"}
    reader.run(block)
    tool = "poetry run python scripts/migrate_dynamodb_to_postgresql.py"
    reader.type(f"{tool} import --input-dir by_hand")
    assert "0 differences" in reader.type(f"{tool} validate --input-dir by_hand")
    assert "0 differences" in reader.type(f"{tool} validate --source dynamodb")
