"""Export, import and copy killed at random moments, and begun again each time, until they end."""

import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actingweb.db.settings import Settings
from actingweb.db.utils import compute_lookup_key
from actingweb.migration import batches
from actingweb.migration.documents import Document
from actingweb.migration.errors import DuplicateRowError
from actingweb.migration.jobs import export
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.jobs.load import copy_tables, import_files
from actingweb.migration.mapping import CLAIMS_V2, MAPPINGS
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables, PostgresTables
from tests.forked import CONTEXT, use_only
from tests.migration.loads import (
    expected,
    load,
    load_options,
    rejects_of,
    stored,
    table_exists,
    versions,
    write_input,
)
from tests.migration.tables import put_documents, source_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# The work is begun again some twenty times, for as long as it takes on the machine.
pytestmark = pytest.mark.timeout(900)

Environment = Mapping[str, str]
Work = Callable[[Path, Environment], None]

KILLS = 13
"""For each of the four kinds of work."""

ACTORS = [f"actor {number:02}" for number in range(40)]
EMAILS = {actor: f"{number // 2}@example.com" for number, actor in enumerate(ACTORS)}
"""Two have the same; the later one claims it."""
GOOD: dict[str, list[Document]] = {
    "actors": [{"id": actor, "passphrase": "p"} for actor in ACTORS],
    "properties": [
        *({"id": actor, "name": f"n{number}", "value": "v" * 9000} for actor in ACTORS for number in range(8)),
        *({"id": actor, "name": "email", "value": value} for actor, value in EMAILS.items()),
    ],
    "peertrustees": [{"id": actor, "peerid": "p", "baseuri": "u", "type": "t"} for actor in ACTORS],
}
ORPHANS: list[Document] = [
    {"id": "nobody 0", "name": "email", "value": "0@example.com"},
    *({"id": f"nobody {number}", "name": "n"} for number in range(1, 80)),
]
CLAIMANTS = {EMAILS[actor]: actor for actor in ACTORS} | {"0@example.com": "nobody 0"}
ALL = {
    "property_lookup_v2": [
        {"lookup_key": compute_lookup_key("email", value), "property_name": "email", "actor_id": actor}
        for value, actor in CLAIMANTS.items()
    ],
    **GOOD,
    "properties": [document for start in range(80) for document in (ORPHANS[start], *GOOD["properties"][start::80])],
}


def export_files(directory: Path, environment: Environment) -> None:
    """Export in small steps, going on with what is there."""
    export._CHECKPOINT_SECONDS = 0
    export_tables(source_of(environment), directory, resume=True)


def import_all(directory: Path, environment: Environment) -> None:
    """Import in small steps."""
    batches.MAX_ROWS = 7
    import_files(target_of(environment), ExportDirectory.at(directory), load_options(directory), lambda *_: None)


def import_duplicate(directory: Path, environment: Environment) -> None:
    """Import in small steps until a duplicate undoes all of them."""
    with pytest.raises(DuplicateRowError):
        import_all(directory, environment)


def copy_all(directory: Path, environment: Environment) -> None:
    """Copy in steps of a page."""
    copy_tables(source_of(environment), target_of(environment), load_options(directory), lambda *_: None)


def target_of(environment: Environment) -> Target:
    return Target(Settings.from_environment(environment).postgresql)


def work_alone(work: Work, directory: Path, environment: Environment) -> None:
    """Do the work in a process of its own."""
    use_only(environment)
    work(directory, environment)


class Killer:
    """Does work in processes that are killed after times drawn from a fixed seed."""

    def __init__(self, environment: Environment, seed: int) -> None:
        self._environment = environment
        self._random = random.Random(seed)
        self.kills = 0

    def seconds(self, work: Work, directory: Path) -> float:
        """Do the work undisturbed and return how long it takes."""
        started = time.monotonic()
        assert self._ends(work, directory, None)
        return time.monotonic() - started

    def rounds(self) -> Iterator[str]:
        """Yield a new name until there were kills enough."""
        for number in itertools.count():
            if self.kills >= KILLS:
                return
            yield str(number)

    def finish(self, work: Work, directory: Path, seconds: float, is_done: Callable[[], bool] = lambda: False) -> None:
        """Do the work, which takes about so long, beginning it again whenever it is killed before it is done."""
        while not self._ends(work, directory, self._random.uniform(0, seconds)):
            self.kills += 1
            if is_done():
                return
            # On a machine that has become slower, no run might ever end.
            seconds *= 1.2

    def _ends(self, work: Work, directory: Path, seconds: float | None) -> bool:
        process = CONTEXT.Process(target=work_alone, args=(work, directory, self._environment))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
        assert process.exitcode in (0, -9)
        return process.exitcode == 0


@pytest.fixture
def killer(
    request: pytest.FixtureRequest,
    postgres_tables: PostgresTables,
    dynamodb_tables: DynamoDBTables,
) -> Killer:
    """Return a killer with a seed of the test's own."""
    seed = sum(request.node.name.encode())
    return Killer({**os.environ, **postgres_tables.environment, **dynamodb_tables.environment}, seed)


@pytest.fixture
def filled(ddb: "DynamoDBClient", dynamodb_tables: DynamoDBTables) -> Iterator[None]:
    """Store the items of all documents."""
    put_documents(ddb, dynamodb_tables.environment["AWS_DB_PREFIX"], ALL)
    yield
    dynamodb_tables.wipe()


BUSY = """
SELECT EXISTS (SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = %s AND pid <> pg_backend_pid())
"""


def is_loaded(target: Target) -> bool:
    """Tell whether all is done: loading again would be a second load, of duplicates.

    The server may still be at the last statement of a process that was killed.
    """
    with target.connect() as connection:
        while connection.execute(BUSY, [target.schema]).fetchone() == (True,):
            time.sleep(0.01)
    return not table_exists(target, "migration_progress") and stored(target) == expected(GOOD)


def owners(target: Target) -> list[tuple[str, ...]]:
    """Return the keys of the look-up rows and their actors."""
    with target.connect() as connection:
        return connection.execute(
            target.sql("SELECT lookup_key, actor_id FROM {schema}.property_lookup ORDER BY actor_id")
        ).fetchall()


def check_loaded(target: Target, directory: Path) -> None:
    """Check that all rows are there, and each reject once, and nothing is left to do."""
    assert is_loaded(target)
    rejects = [reject["document"]["id"] for reject in rejects_of(directory, "properties")]
    assert sorted(rejects) == sorted(orphan["id"] for orphan in ORPHANS)
    assert [reject["document"]["actor_id"] for reject in rejects_of(directory, "property_lookup_v2")] == ["nobody 0"]
    claims = [(claim["lookup_key"], claim["actor_id"]) for claim in ALL["property_lookup_v2"]]
    assert owners(target) == sorted(claims[1:], key=itemgetter(1))
    assert not table_exists(target, CLAIMS_V2.table)


@pytest.mark.usefixtures("filled")
def test_exports(killer: Killer, tmp_path: Path) -> None:
    seconds = killer.seconds(export_files, tmp_path / "undisturbed")
    contents = sorted_lines(tmp_path / "undisturbed")
    assert {table: len(lines) for table, lines in contents.items()} == {
        mapping.name: len(ALL.get(mapping.name, ())) for mapping in (*MAPPINGS, CLAIMS_V2)
    }
    for name in killer.rounds():
        directory = tmp_path / name
        killer.finish(export_files, directory, seconds)
        assert ExportDirectory.at(directory).identities()
        assert sorted_lines(directory) == contents
        assert set(os.listdir(directory)) == set(os.listdir(tmp_path / "undisturbed"))


def sorted_lines(directory: Path) -> dict[str, list[str]]:
    """Return the documents of each file as they stand there, in an order of their own."""
    content = {
        mapping.name: json.loads((directory / f"{mapping.name}.json").read_text()) for mapping in (*MAPPINGS, CLAIMS_V2)
    }
    return {table: sorted(map(json.dumps, documents)) for table, documents in content.items()}


def test_imports(killer: Killer, target: Target, postgres_tables: PostgresTables, tmp_path: Path) -> None:
    check_loads(import_all, lambda directory: write_input(directory, ALL), killer, target, postgres_tables, tmp_path)


@pytest.mark.usefixtures("filled")
def test_copies(killer: Killer, target: Target, postgres_tables: PostgresTables, tmp_path: Path) -> None:
    check_loads(copy_all, Path.mkdir, killer, target, postgres_tables, tmp_path)


def check_loads(
    work: Work,
    prepare: Callable[[Path], object],
    killer: Killer,
    target: Target,
    tables: PostgresTables,
    directory: Path,
) -> None:
    prepare(directory / "undisturbed")
    seconds = killer.seconds(work, directory / "undisturbed")
    check_loaded(target, directory / "undisturbed")
    for name in killer.rounds():
        tables.wipe()
        place = directory / name
        prepare(place)
        killer.finish(work, place, seconds, lambda: is_loaded(target))
        check_loaded(target, place)


def test_imports_that_are_undone(killer: Killer, target: Target, tmp_path: Path) -> None:
    duplicate = GOOD["properties"][-1]
    before = write_input(tmp_path / "before", {"actors": GOOD["actors"], "properties": [duplicate]})
    load(target, before)
    rows = versions(target)
    documents = {"properties": [*ALL["properties"], duplicate]}
    seconds = killer.seconds(import_duplicate, write_input(tmp_path / "undisturbed", documents))
    for name in killer.rounds():
        directory = write_input(tmp_path / name, documents)
        killer.finish(import_duplicate, directory, seconds)
        assert versions(target) == rows
        assert rejects_of(directory, "properties") == []
