"""Records, and what the type checker says of those that are made wrongly."""

import subprocess
import sys
from pathlib import Path

import pytest

from actingweb.db import records
from actingweb.db.records import ActorRecord, AttributeRecord, EncodedAttribute

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
def type_errors(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What mypy says, by line number, of the wrong lines, which follow the right one."""
    folder = tmp_path_factory.mktemp("records")
    script = folder / "made.py"
    script.write_text(PREAMBLE + "\n".join([RIGHT, *WRONG]) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), script.name]
    environment = {"MYPYPATH": str(Path(records.__file__).parents[2]), "PATH": ""}
    output = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    errors: dict[int, str] = {}
    for line in output[:-1]:
        _, number, text = line.split(":", 2)
        errors[int(number)] = errors.get(int(number), "") + text
    return errors


@pytest.mark.parametrize(("number", "expected"), list(enumerate(WRONG.values(), 3)), ids=list(WRONG))
def test_the_type_checker_finds_a_record_that_is_made_wrongly(
    number: int, expected: str, type_errors: dict[int, str]
) -> None:
    assert expected in type_errors[number]


def test_the_type_checker_takes_a_record_that_is_made_rightly(type_errors: dict[int, str]) -> None:
    assert sorted(type_errors) == list(range(3, 3 + len(WRONG)))


@pytest.mark.parametrize("values", [{"id": "a"}, {"id": "a", "creator": "c", "pasphrase": "p"}], ids=["few", "other"])
def test_a_record_needs_a_value_for_every_column_and_no_other(values: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="argument"):
        ActorRecord(**values)


def test_a_record_is_read_only() -> None:
    record = ActorRecord(id="a", creator="c", passphrase="p")
    with pytest.raises(AttributeError):
        record.id = "b"  # type: ignore[misc]


def test_an_attribute_is_written_to_the_columns_that_are_read() -> None:
    assert EncodedAttribute.fields == AttributeRecord.fields
    assert (EncodedAttribute.table, EncodedAttribute.key) == (AttributeRecord.table, AttributeRecord.key)
    assert EncodedAttribute.types["data"] is str
