"""What the type checker says of wrong code: of records, and of backends that lack a verb."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import actingweb.db

PACKAGE = Path(actingweb.db.__file__).parent
DELETED = [
    ("dynamodb/trust.py", "DbTrust", "_upsert"),
    ("postgresql/trust.py", "DbTrust", "_upsert"),
    ("postgresql/actor.py", "DbActorList", "_stream"),
]
PREAMBLE = "from actingweb.db.records import ActorRecord, PropertyRecord, TrustRecord\n"
RIGHT = 'ActorRecord(id="a", creator="c", passphrase="p")'
WRONG = {
    'ActorRecord(id="a", creator="c", pasphrase="p")': '"pasphrase"',
    'ActorRecord(id=3, creator="c", passphrase="p")': 'expected "str"',
    'PropertyRecord(id="a", name="n")': 'Missing named argument "value"',
    'PropertyRecord("a", "n", "v")': "positional",
    f'{RIGHT}.id = "b"': "read-only",
    f"{RIGHT}.passphrase + 1": "operand",
}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says of records, and of a copy of the package in which each of `DELETED` lacks a verb.

    It runs once, because most of its time is for what the package imports.
    """
    copy = tmp_path_factory.mktemp("copy")
    (copy / "made.py").write_text(PREAMBLE + "\n".join([RIGHT, *WRONG]) + "\n")
    shutil.copytree(PACKAGE.parent, copy / "actingweb", ignore=shutil.ignore_patterns("__pycache__"))
    for source, cls, verb in DELETED:
        path = copy / "actingweb" / "db" / source
        path.write_text(_without(path.read_text(), cls, verb))
    checked = ["made.py", *(f"actingweb/db/{source}" for source, _, _ in DELETED)]
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "/dev/null", *checked]
    *errors, summary = subprocess.run(
        command, cwd=copy, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    assert summary.startswith(f"Found {len(errors)} errors")
    return errors


@pytest.fixture(scope="module")
def of_records(output: list[str]) -> dict[int, str]:
    """What it says, by line number, of the wrong lines, which follow the right one."""
    errors: dict[int, str] = {}
    for line in output:
        if line.startswith("made.py:"):
            _, number, text = line.split(":", 2)
            errors[int(number)] = errors.get(int(number), "") + text
    return errors


@pytest.fixture(scope="module")
def of_backends(output: list[str]) -> list[str]:
    """What it says of the copy."""
    return [line for line in output if not line.startswith("made.py:")]


@pytest.mark.parametrize(("number", "expected"), list(enumerate(WRONG.values(), 3)), ids=list(WRONG))
def test_a_record_that_is_made_wrongly_is_found(number: int, expected: str, of_records: dict[int, str]) -> None:
    assert expected in of_records[number]


def test_a_record_that_is_made_rightly_is_taken(of_records: dict[int, str]) -> None:
    assert sorted(of_records) == list(range(3, 3 + len(WRONG)))


@pytest.mark.parametrize(("source", "cls", "verb"), DELETED)
def test_a_missing_verb_is_found(source: str, cls: str, verb: str, of_backends: list[str]) -> None:
    assert [line for line in of_backends if source in line and "abstract" in line and f"{cls}Protocol" in line]


def test_nothing_but_the_missing_verbs_is_found(of_backends: list[str]) -> None:
    assert len(of_backends) == len(DELETED), "\n".join(of_backends)


def _without(source: str, cls: str, method: str) -> str:
    """Return the source of a module without a method of a class."""
    tree = ast.parse(source)
    (owner,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls)
    (found,) = (node for node in owner.body if isinstance(node, ast.FunctionDef) and node.name == method)
    first = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    lines = source.splitlines(keepends=True)
    return "".join([*lines[: first - 1], *lines[found.end_lineno :]])
