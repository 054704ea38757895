"""Export, import, copy and validation come to the right end, whatever fails and however often they are killed."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.migration.documents import Document
from actingweb.migration.mapping import MAPPINGS
from testbed.dynamodb_proxy import failing
from testbed.servers import DynamoDBTables
from tests.conftest import SetEnv
from tests.faults.conftest import Amount, Figures
from tests.faults.migration_trouble import KILLED, Ended, Trouble, trouble_between
from tests.migration.loads import Rows, expected, key_reader, stored, table_exists, versions
from tests.migration.tables import put_documents
from tests.migration.validation import validate

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TIME = "2024-01-02T03:04:05.678901+0000"
CANARY = "canary-5c1f"
SECRETS = {"PG_DB_PASSWORD": f"{CANARY} of 'PostgreSQL'", "AWS_SECRET_ACCESS_KEY": f"{CANARY}ofAWS"}

ACTORS = [f"actor {number}" for number in range(12)]
DOCUMENTS: dict[str, list[Document]] = {
    "actors": [{"id": actor, "creator": "c", "passphrase": CANARY} for actor in ACTORS],
    "properties": [
        {"id": actor, "name": name, "value": f"{CANARY} {actor} {name} {'v' * 3000}"}
        for actor in ACTORS
        for name in ("email", *(f"n{number}" for number in range(7)))
    ],
    "attributes": [
        {
            "id": actor,
            "bucket_name": f"b:{name}",
            "bucket": "b",
            "name": name,
            "data": json.dumps({"token": f"{CANARY} {name}"}),
            "timestamp": TIME,
        }
        for actor in ACTORS
        for name in ("one", "two")
    ],
    "trusts": [
        {
            "id": actor,
            "peerid": "p",
            "baseuri": "u",
            "type": "t",
            "relationship": "friend",
            "secret": f"{CANARY} {actor}",
            "desc": "",
            "created_at": TIME,
        }
        for actor in ACTORS
    ],
    "peertrustees": [
        {"id": actor, "peerid": "p", "baseuri": "u", "type": "t", "passphrase": CANARY} for actor in ACTORS
    ],
    "subscriptions": [
        {"id": actor, "peer_sub_id": "p:s", "peerid": "p", "subid": "s", "seqnr": 3, "callback": True}
        for actor in ACTORS
    ],
    "subscription_diffs": [
        {"id": actor, "subid_seqnr": f"s:{number}", "subid": "s", "seqnr": number, "diff": CANARY, "timestamp": TIME}
        for actor in ACTORS
        for number in range(1, 4)
    ],
    "subscription_suspensions": [
        {"id": actor, "target_key": "t", "target": "t", "suspended_at": TIME} for actor in ACTORS
    ],
}
ROWS = sum(map(len, DOCUMENTS.values()))

SOURCE, TARGET, USAGE, DUPLICATE = 6, 7, 2, "duplicate key"
MOST_RUNS = 40
"""In this time a run is given more than a thousand times the time of the first."""
LOG = ("--log-level", "DEBUG")
WIPE = "TRUNCATE actors, attributes CASCADE"


@pytest.fixture
def trouble(ddb: DynamoDBClient, dynamodb_tables: DynamoDBTables, tmp_path: Path, set_env: SetEnv) -> Iterator[Trouble]:
    """Return two servers in trouble; DynamoDB holds the documents."""
    put_documents(ddb, dynamodb_tables.environment["AWS_DB_PREFIX"], DOCUMENTS)
    with trouble_between(dynamodb_tables, SECRETS, tmp_path, set_env) as made:
        yield made
    dynamodb_tables.wipe()


class Migration:
    """One migration by commands that are begun again until they end well.

    Attributes:
        trouble: between whose servers it is.
        runs: how often the tool was started.
    """

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self._patience = trouble.patience
        self.runs = 0

    def finish(self, command: str, *arguments: str, codes: set[int]) -> None:
        """Run a command until it ends with 0. It may fail with `codes`, that is of a server that failed."""
        for ended in self._tries(command, *arguments):
            if ended.code == 0:
                return
            assert ended.code in codes | {KILLED}, ended.output

    def load(self, command: str, *arguments: str, codes: set[int]) -> None:
        """Run a command that loads until it ends with 0.

        A run that was stopped after its last commit has loaded everything. Begun again, it finds its own rows, as
        duplicates; it must not touch them.
        """
        for ended in self._tries(command, *arguments):
            if ended.code == 0:
                return
            if self._is_loaded():
                break
            assert ended.code in codes | {KILLED}, ended.output
            assert DUPLICATE not in ended.output
        before = versions(self.trouble.target)
        self.finish(command, *arguments, "--skip-duplicates", codes=codes)
        assert versions(self.trouble.target) == before

    def _tries(self, *arguments: str) -> Iterator[Ended]:
        """Run a command again and again, and yield how each run ended."""
        self.trouble.patience = self._patience
        for _ in range(MOST_RUNS):
            ended = self.trouble.run(*arguments)
            self.runs += 1
            check_output(ended.output)
            yield ended
            # On a machine that has become slower, no run might ever end.
            self.trouble.patience *= 1.2
        pytest.fail(f"{MOST_RUNS} runs did not end well")

    def _is_loaded(self) -> bool:
        """Tell whether all is done, the table of unfinished work being gone."""
        target = self.trouble.target
        return not table_exists(target, "migration_progress") and stored(target) == expected(DOCUMENTS)


class Losses:
    """What is not as it was, counted over all migrations."""

    def __init__(self) -> None:
        self.lost = 0
        self.doubled = 0
        self.wrong = 0

    def count_rows(self, found: Rows) -> None:
        """Count the rows of PostgreSQL; one that nobody wrote counts as doubled."""
        for mapping in MAPPINGS:
            wanted = expected(DOCUMENTS)[mapping.name]
            self._count(
                dict(zip(map(key_reader(mapping), wanted), wanted, strict=True)),
                found[mapping.name],
                key_reader(mapping),
            )

    def count_documents(self, directory: Path) -> None:
        """Count the documents of an export."""
        for mapping in MAPPINGS:
            key = itemgetter(*mapping.layout.key_names)
            wanted = {key(document): document for document in DOCUMENTS[mapping.name]}
            self._count(wanted, json.loads((directory / f"{mapping.name}.json").read_text()), key)

    def _count(self, wanted: dict[Any, Any], found: list[Any], key: Callable[[Any], Any]) -> None:
        keys = [key(row) for row in found]
        self.lost += len(wanted.keys() - set(keys))
        self.doubled += len(keys) - len(set(keys) & wanted.keys())
        self.wrong += sum(row != wanted[key(row)] for row in found if key(row) in wanted)


def check_output(output: str) -> None:
    """Check that nothing was printed that is no answer or nobody's business."""
    assert "Traceback" not in output, output
    assert CANARY not in output, output


Way = Callable[[Migration, Losses, Path], None]


def by_copy(migration: Migration, losses: Losses, directory: Path) -> None:
    """Copy, and compare with the tables of DynamoDB."""
    migration.load("copy", "--rejects-dir", str(directory), *LOG, codes={SOURCE, TARGET})
    migration.finish("validate", "--source", "dynamodb", *LOG, codes={SOURCE, TARGET})


def by_files(migration: Migration, losses: Losses, directory: Path) -> None:
    """Export, import, and compare with the files."""
    migration.finish("export", "--output-dir", str(directory), "--resume", *LOG, codes={SOURCE})
    losses.count_documents(directory)
    migration.load("import", "--input-dir", str(directory), *LOG, codes={TARGET})
    migration.finish("validate", "--input-dir", str(directory), *LOG, codes={TARGET})
    assert validate(migration.trouble.target, directory).differences == 0


def test_nothing_is_lost_under_faults(trouble: Trouble, tmp_path: Path, amount: Amount, figures: Figures) -> None:
    started = time.monotonic()
    migration, losses = Migration(trouble), Losses()
    ways: Iterator[Way] = itertools.cycle([by_copy, by_files])
    done = 0
    while time.monotonic() - started < amount(1, 150) or not trouble.faults["kill of the tool"]:
        next(ways)(migration, losses, tmp_path / f"files {done}")
        losses.count_rows(stored(trouble.target))
        with trouble.target.connect() as connection:
            connection.execute(WIPE)
        done += 1
    figures(
        "migration under faults",
        seconds=time.monotonic() - started,
        tried=migration.runs,
        faults=sum(trouble.faults.values()),
        lost=losses.lost,
        doubled=losses.doubled,
        wrong=losses.wrong,
        kills_of_the_tool=trouble.faults["kill of the tool"],
        kills_of_the_server=trouble.faults["kill server"],
        migrations=done,
        rows=done * ROWS,
    )
    assert (losses.lost, losses.doubled, losses.wrong) == (0, 0, 0)
    assert trouble.faults["spoiled requests"]


def test_a_fault_that_stays_is_named(trouble: Trouble, tmp_path: Path) -> None:
    files = ("--input-dir", str(tmp_path / "files"))
    live = ("--source", "dynamodb")
    trouble.is_on = False
    assert trouble.run("export", "--output-dir", str(tmp_path / "files")).code == 0
    trouble.source.always = failing("ExpiredTokenException", message=CANARY)
    for arguments in (("export", "--output-dir", str(tmp_path / "other")), ("copy",), ("validate", *live)):
        check_failure(trouble.run(*arguments), SOURCE, "ExpiredTokenException")
    trouble.source.always = None
    trouble.proxy.stop()
    for arguments in (("import", *files), ("copy",), ("validate", *files), ("validate", *live)):
        check_failure(trouble.run(*arguments), TARGET, "OperationalError")


def check_failure(ended: Ended, code: int, text: str) -> None:
    """Check that the tool failed with this code and said why."""
    assert (ended.code, ended.output.partition(" ")[0]) == (code, "ERROR:"), ended.output
    assert text in ended.output
    check_output(ended.output)
