"""The canonical form of every row: DynamoDB item, JSON document and PostgreSQL row are made of it and from it.

A *document* is the JSON form: an object with the item's attributes, as `Model.to_dict()` and the exported files have
them. `data` of the attributes is JSON text in every form; as a PostgreSQL row it goes into `jsonb`.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
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

from actingweb.db.dynamodb.items import Item, encode
from actingweb.db.dynamodb.layouts import Layout, compose
from actingweb.db.dynamodb.stored_types import (
    Attribute,
    column_of,
    in_utc,
    is_needed,
    moment_of,
    value_of,
)
from actingweb.db.faults import Fault
from actingweb.db.postgresql.jsonb import normalized
from actingweb.db.postgresql.limits import ID_CHARACTERS, IDS, LIMITS
from actingweb.db.records import AttributeRecord, Record
from actingweb.migration.documents import Document, document_of, is_notation, item_of

__all__ = ["CanonicalRow", "ColumnValues", "Document", "TableForm", "document_of", "item_of"]

M = TypeVar("M", bound="ColumnValues")

_NUL = "\x00"


class ColumnValues(BaseModel):
    """The columns of a row, each of which PostgreSQL can hold by itself.

    Validating a document raises `pydantic.ValidationError`, whose errors name the column and whose texts hold no
    content. Attributes that the layout does not know are in `model_extra`.
    """

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    layout: ClassVar[Layout]

    def problem(self) -> str | None:
        """Return why PostgreSQL cannot hold the row, None if it can."""
        values = self.__dict__
        for name, value in values.items():
            if value.__class__ is str and _NUL in value:
                return f"{name} contains U+0000"
        record = self.layout.record
        return LIMITS.key(record, tuple(values[name] for name in record.key)) or self.key_problem()

    def key_problem(self) -> str | None:
        """Return the problem that only a composed key can have."""
        name, extra, values = self.layout.composed, self.__pydantic_extra__, self.__dict__
        if not extra or name not in extra:
            return None
        parts = [str(values[part]) for part in self.layout.record.key[1:]]
        return None if extra[name] == compose(parts) else f"{name} is not made of the other parts of the key"


class CanonicalRow(ColumnValues):
    """A row that PostgreSQL can hold; its fields are the columns of the record type."""

    @model_validator(mode="after")
    def _is_storable(self) -> Self:
        if (problem := self.problem()) is not None:
            raise _unstorable(problem)
        return self


@dataclass(frozen=True)
class TableForm:
    """The forms of one table's rows.

    Attributes:
        claims: the name of a table of claims, which has no counterpart in PostgreSQL; None for all others.
    """

    layout: Layout
    claims: str | None = None

    @property
    def record(self) -> type[Record]:
        """The record type, which names the PostgreSQL table and its columns."""
        return self.layout.record

    @property
    def name(self) -> str:
        """The name of the file; also the PostgreSQL table, unless the rows are claims."""
        return self.claims or self.record.table

    @property
    def table(self) -> str:
        """The table of the schema that takes the rows; that of claims lasts for one load."""
        return f"migration_{self.claims}" if self.claims else self.record.table

    @cached_property
    def model(self) -> type[CanonicalRow]:
        """The canonical model."""
        return self._model(CanonicalRow)

    @cached_property
    def documents(self) -> TypeAdapter[list[ColumnValues]]:
        """The fast validator of many documents at once, without `ColumnValues.problem`, which is for the caller."""
        model = self._model(ColumnValues)
        return TypeAdapter(list[model])  # type: ignore[valid-type]

    def _model(self, base: type[M]) -> type[M]:
        fields: dict[str, Any] = {name: _field(self.record, name) for name in self.record.fields}
        model = create_model(f"Canonical{self.record.__name__}", __base__=base, **fields)
        model.layout = self.layout
        return model

    @cached_property
    def _columns(self) -> "itemgetter[Any]":
        return itemgetter(*self.record.fields)

    def row(self, canonical: ColumnValues) -> tuple[Any, ...]:
        """Return the PostgreSQL row, in the order of the record's fields; times are aware, JSON is text."""
        return tuple(self._columns(canonical.__dict__))

    def rows(self, canonical: Iterable[ColumnValues]) -> Iterator[tuple[Any, ...]]:
        """Yield the PostgreSQL rows of many."""
        return map(self._columns, map(vars, canonical))

    def canonical(self, row: tuple[Any, ...]) -> CanonicalRow:
        """Return the canonical form of a PostgreSQL row, read with `data` as text."""
        return self.model(**dict(zip(self.record.fields, row, strict=True)))

    def item(self, canonical: CanonicalRow) -> Item:
        """Return the DynamoDB item, in the encodings of the live tables."""
        return encode(self.layout, self.record.make(self.row(canonical)))

    def document(self, canonical: CanonicalRow) -> Document:
        """Return the document of the item."""
        return document_of(self.item(canonical))


def _unstorable(reason: str) -> PydanticCustomError:
    # Braces in a template are placeholders.
    return PydanticCustomError("unstorable", "{reason}", {"reason": reason})


def _moment(value: Any) -> datetime:
    """Return the time that the library reads there, in UTC."""
    try:
        return in_utc(value) if isinstance(value, datetime) else moment_of(value)
    except (TypeError, ValueError):
        raise _unstorable("this is not a time") from None


def _json_text(value: Any) -> str | None:
    """Return JSON text that PostgreSQL takes as it is, with numbers that come back equal.

    A value that is no text is written as JSON; one in DynamoDB's own notation is a native value, which is written as
    the library reads it.
    """
    if isinstance(value, dict) and is_notation(value):
        value = value["S"] if "S" in value else _native(value)
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        content = _decoded(text)
        contains_nul = "\\u0000" in text and _has_nul(content)
    except RecursionError:
        # Nested so deeply that PostgreSQL has to judge.
        return text
    except json.JSONDecodeError:
        raise _unstorable("data is not JSON that PostgreSQL can hold") from None
    except ValueError:
        digits = sys.get_int_max_str_digits()
        raise _unstorable(f"data holds a whole number of more than {digits} digits") from None
    if contains_nul:
        raise _unstorable("data contains U+0000")
    return normalized(text)


def _native(attribute: Attribute) -> Any:
    try:
        return value_of(AttributeRecord, "data", attribute)
    except Fault as fault:
        raise _unstorable(str(fault.reason)) from None


def _decoded(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        # The fast parser gives up at 200 levels.
        return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
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
    """Return type and default of a column; what may be absent reads as the library reads it."""
    declared = record.types[name]
    if declared is Any:
        return Annotated[StrictStr | None, BeforeValidator(_json_text)], None
    kind = _KINDS[column_of(declared)]
    if NoneType in get_args(declared):
        return kind | None, None
    if is_needed(record, name):
        return (Annotated[StrictStr, _KEY_LENGTHS[name in IDS]] if declared is str else kind), ...
    return kind, ... if declared is datetime else _ABSENT[declared]
