"""The columns of each table as pydantic models, which turn documents into rows that PostgreSQL can store.

`data` of the attributes is JSON text in a document; as a PostgreSQL row it goes into `jsonb`.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from operator import itemgetter
from types import NoneType
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError, from_json

from actingweb.db.dynamodb.layouts import Layout, compose
from actingweb.db.dynamodb.stored_types import (
    Attribute,
    column_of,
    in_utc,
    is_needed,
    time_of,
    value_of,
)
from actingweb.db.faults import Fault
from actingweb.db.postgresql.jsonb import normalized
from actingweb.db.postgresql.limits import ID_CHARACTERS, IDS, LIMITS
from actingweb.db.records import AttributeRecord, Record
from actingweb.migration.documents import is_dynamodb_json
from actingweb.migration.mapping import TableMapping

__all__ = ["ColumnValues", "StorableRow", "list_validator", "row_model", "to_tuples"]

M = TypeVar("M", bound="ColumnValues")

_NUL = "\x00"


class ColumnValues(BaseModel):
    """The columns of a row, each valid by itself; `problem` tells whether PostgreSQL can store the row.

    Validating a document raises `pydantic.ValidationError`, which names the column and quotes no content. Attributes
    that the layout does not know are in `model_extra`.
    """

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    layout: ClassVar[Layout]

    def problem(self) -> str | None:
        """Return why PostgreSQL cannot store the row, None if it can."""
        values = self.__dict__
        for name, value in values.items():
            if value.__class__ is str and _NUL in value:
                return f"{name} contains U+0000"
        record = self.layout.record
        return LIMITS.key(record, tuple(values[name] for name in record.key)) or self.key_problem()

    def key_problem(self) -> str | None:
        """Return what is wrong with a composed key, None if nothing is."""
        name, extra, values = self.layout.composed, self.__pydantic_extra__, self.__dict__
        if not extra or name not in extra:
            return None
        parts = [str(values[part]) for part in self.layout.record.key[1:]]
        return None if extra[name] == compose(parts) else f"{name} does not match the other parts of the key"


class StorableRow(ColumnValues):
    """A row that PostgreSQL can store; its fields are the columns of the record type."""

    @model_validator(mode="after")
    def _is_storable(self) -> Self:
        if (problem := self.problem()) is not None:
            raise _unstorable(problem)
        return self


@cache
def row_model(mapping: TableMapping) -> type[StorableRow]:
    """Return the model of a table's rows."""
    return _model(mapping, StorableRow)


@cache
def list_validator(mapping: TableMapping) -> TypeAdapter[list[ColumnValues]]:
    """Return the fast validator of many documents. It leaves `ColumnValues.problem` to the caller."""
    model = _model(mapping, ColumnValues)
    return TypeAdapter(list[model])  # type: ignore[valid-type]


def _model(mapping: TableMapping, base: type[M]) -> type[M]:
    fields: dict[str, Any] = {name: _field(mapping.record, name) for name in mapping.record.fields}
    model = create_model(f"{base.__name__}Of{mapping.record.__name__}", __base__=base, **fields)
    model.layout = mapping.layout
    return model


def to_tuples(mapping: TableMapping, rows: Iterable[ColumnValues]) -> Iterator[tuple[Any, ...]]:
    """Yield PostgreSQL rows, in the order of the record's fields; times are aware, JSON is text."""
    return map(itemgetter(*mapping.record.fields), map(vars, rows))


def _unstorable(reason: str) -> PydanticCustomError:
    # The template must be constant: braces in it are placeholders.
    return PydanticCustomError("unstorable", "{reason}", {"reason": reason})


def _moment(value: Any) -> datetime:
    """Return the time that the library would read from this value, in UTC."""
    try:
        return in_utc(value) if isinstance(value, datetime) else time_of(value)
    except (TypeError, ValueError):
        raise _unstorable("this is not a time") from None


def _json_text(value: Any) -> str | None:
    """Return JSON text that PostgreSQL stores unchanged, with numbers that come back equal.

    A value other than text is serialized; DynamoDB JSON is first converted to what the library reads from it.
    """
    if isinstance(value, dict) and is_dynamodb_json(value):
        value = value["S"] if "S" in value else _native(value)
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        _check_json(text)
    except RecursionError:
        # Too deeply nested to judge here: PostgreSQL has a limit of its own.
        return text
    return normalized(text)


def _check_json(text: str) -> None:
    """Raise an error if PostgreSQL cannot store JSON text."""
    try:
        content = _decoded(text)
    except json.JSONDecodeError:
        raise _unstorable("data is not JSON that PostgreSQL can hold") from None
    except ValueError:
        digits = sys.get_int_max_str_digits()
        raise _unstorable(f"data holds a whole number of more than {digits} digits") from None
    if "\\u0000" in text and _has_nul(content):
        raise _unstorable("data contains U+0000")


def _native(attribute: Attribute) -> Any:
    try:
        return value_of(AttributeRecord, "data", attribute)
    except Fault as fault:
        raise _unstorable(str(fault.reason)) from None


def _decoded(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        # The fast parser supports 200 levels of nesting only.
        return json.loads(text, parse_constant=_reject_constant)


def _reject_constant(name: str) -> None:
    raise json.JSONDecodeError("not a JSON number", name, 0)


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_NUL in key or _has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and _NUL in value


_Integer = Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
_Moment = Annotated[datetime, PlainValidator(_moment)]
_KINDS: dict[Any, Any] = {str: StrictStr, bool: StrictBool, int: _Integer, datetime: _Moment}
_ABSENT: dict[Any, Any] = {str: "", bool: False, int: 0}
_KEY_LENGTHS = {True: Field(min_length=1, max_length=ID_CHARACTERS), False: Field(min_length=1)}


def _field(record: type[Record], name: str) -> tuple[Any, Any]:
    """Return type and default of a column. The default is what the library reads when the attribute is absent."""
    declared = record.types[name]
    if declared is Any:
        return Annotated[StrictStr | None, BeforeValidator(_json_text)], None
    kind = _KINDS[column_of(declared)]
    if NoneType in get_args(declared):
        return kind | None, None
    if is_needed(record, name):
        return (Annotated[StrictStr, _KEY_LENGTHS[name in IDS]] if declared is str else kind), ...
    return kind, ... if declared is datetime else _ABSENT[declared]
