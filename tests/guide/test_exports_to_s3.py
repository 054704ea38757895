"""The guide's commands for what DynamoDB exported to S3."""

from __future__ import annotations

from pathlib import Path

from tests.migration.exported import write_exports
from tests.migration.loads import DOCUMENTS, Documents
from tests.migration.test_claims import claim

from .blocks import section
from .reader import Reader


def test_the_exports_are_imported(reader: Reader, tmp_path: Path) -> None:
    *_, block = section("2.3 By DynamoDB itself")
    # Of two actors that hold the same value.
    documents: Documents = {**DOCUMENTS, "property_lookup_v2": [claim("a2", "one@example.com")]}
    write_exports(tmp_path, documents, "prod_")
    shown = reader.type(block.text.replace("/tmp/actingweb_s3", str(tmp_path)))
    assert "0 differences" in shown
    assert "were exported" not in shown
    assert "WARNING" not in shown
