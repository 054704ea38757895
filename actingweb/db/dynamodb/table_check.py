"""Whether a table has the keys and indexes that its model needs, told from the answer to `DescribeTable`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import TableModel

__all__ = ["Description", "Problem", "problems_in", "problems_of"]

Description = dict[str, Any]

_USABLE = ("ACTIVE", "UPDATING")


class Problem(NamedTuple):
    """What is wrong with a table.

    Attributes:
        kind: in capitals, as `NO INDEX`.
        table: its name.
        text: the index or the keys.
        of_key: whether no request to the table can be right.
    """

    kind: str
    table: str
    text: str
    of_key: bool = False

    def __str__(self) -> str:
        return f"{self.kind}  {self.table}  {self.text}".rstrip()


def problems_of(model: "type[TableModel]") -> list[Problem]:
    """Return what is wrong with the table as `model.exists()` last saw it; nothing if it has not seen it."""
    return [] if model.described is None else problems_in(model, model.described)


def problems_in(model: "type[TableModel]", table: Description) -> list[Problem]:
    """Return what is wrong with a table that is described so."""
    name: str = table["TableName"]
    return [problem._replace(table=name) for problem in _problems(model, table)]


def _problems(model: "type[TableModel]", found: Description) -> Iterator[Problem]:
    status = found.get("TableStatus", "ACTIVE")
    if status not in _USABLE:
        yield Problem(f"TABLE {status}", "", "")
    types = {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]}
    needed = _keys(model.layout.key_names)
    if (has := _described(found["KeySchema"], types)) != needed:
        yield Problem("WRONG KEY", "", f"it is {has}, needed is {needed}", of_key=True)
    indexes = {index["IndexName"]: index for index in found.get("GlobalSecondaryIndexes", ())}
    for index_name, key in model.index_keys().items():
        yield from _index_problems(index_name, key, indexes.get(index_name), types)


def _index_problems(name: str, key: str, found: Description | None, types: dict[str, str]) -> Iterator[Problem]:
    if found is None:
        yield Problem("NO INDEX", "", name)
        return
    status = found.get("IndexStatus", "ACTIVE")
    if status not in _USABLE:
        yield Problem(f"INDEX {status}", "", name)
    if (has := _described(found["KeySchema"], types)) != (needed := _keys([key])):
        yield Problem("WRONG INDEX", "", f"{name}: its key is {has}, needed is {needed}")
    if found["Projection"]["ProjectionType"] != "ALL":
        yield Problem("WRONG INDEX", "", f"{name}: it does not hold all attributes")


def _keys(names: list[str]) -> str:
    """Return the key attributes, all of which are texts, as `id (S), name (S)`."""
    return ", ".join(f"{name} (S)" for name in names)


def _described(schema: list[dict[str, str]], types: dict[str, str]) -> str:
    parts = sorted(schema, key=lambda part: part["KeyType"])  # HASH comes before RANGE
    return ", ".join(f"{part['AttributeName']} ({types.get(part['AttributeName'], '?')})" for part in parts)
