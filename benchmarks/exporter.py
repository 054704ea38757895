"""Export the DynamoDB tables that the settings name; print how many rows it read in a second of processor time.

`python -P exporter.py` uses the `actingweb` that PYTHONPATH names, of this commit or an earlier one.
"""

import tempfile
import time
from pathlib import Path

from actingweb.db.settings import get_settings
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.source.scan import DynamoDBSource

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        source = DynamoDBSource(None, None, get_settings().aws_db_host, None)
        began = time.process_time()
        rows = sum(export_tables(source, Path(place) / "export").read.values())
        print(rows / (time.process_time() - began))
