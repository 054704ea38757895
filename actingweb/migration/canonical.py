"""The canonical form of every row: DynamoDB item, JSON document and PostgreSQL row are made of it and from it.

A *document* is the JSON form: an object with the item's attributes, as `Model.to_dict()` and the exported files have
them. `data` of the attributes is JSON text in every form; as a PostgreSQL row it goes into `jsonb`.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from operator import itemgetter
from types import NoneType
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError, from_json

from actingweb.db.dynamodb.items import Item, encode
from actingweb.db.dynamodb.tables import Layout, compose
from actingweb.db.postgresql.limits import LIMITS
from actingweb.db.records import Record

__all__ = ["CanonicalRow", "Document", "TableForm", "document_of", "item_of"]

Document = dict[str, Any]


class CanonicalRow(BaseModel):
    """A row that PostgreSQL can hold; its fields are the columns of the record type.

    Validating a document raises `pydantic.ValidationError`, whose errors name the column and whose texts hold no
    content. Attributes that the layout does not know are in `model_extra`.
    """

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    layout: ClassVar[Layout]

    @model_validator(mode="after")
    def _is_storable(self) -> Self:
        for name, value in self.__dict__.items():
            if value.__class__ is str and "\x00" in value:
                raise _unstorable(f"{name} contains U+0000")
        key = [self.__dict__[name] for name in self.layout.record.key]
        if (problem := LIMITS.key(self.layout.record, tuple(key))) is not None:
            raise _unstorable(problem)
        composed = (self.model_extra or {}).get(self.layout.composed or "")
        if composed is not None and composed != compose([str(part) for part in key[1:]]):
            raise _unstorable(f"{self.layout.composed} is not made of the other parts of the key")
        return self


@dataclass(frozen=True)
class TableForm:
    """The forms of one table's rows."""

    layout: Layout

    @property
    def record(self) -> type[Record]:
        """The record type, which names the PostgreSQL table and its columns."""
        return self.layout.record

    @property
    def name(self) -> str:
        """The PostgreSQL table, also the name of the file."""
        return self.record.table

    @cached_property
    def model(self) -> type[CanonicalRow]:
        """The canonical model."""
        fields: dict[str, Any] = {name: _field(self.record, name) for name in self.record.fields}
        model = create_model(f"Canonical{self.record.__name__}", __base__=CanonicalRow, **fields)
        model.layout = self.layout
        return model

    @cached_property
    def documents(self) -> TypeAdapter[list[CanonicalRow]]:
        """The validator of many documents at once, for speed."""
        model = self.model
        return TypeAdapter(list[model])  # type: ignore[valid-type]

    @cached_property
    def _columns(self) -> "itemgetter[Any]":
        return itemgetter(*self.record.fields)

    def row(self, canonical: CanonicalRow) -> tuple[Any, ...]:
        """Return the PostgreSQL row, in the order of the record's fields; times are aware, JSON is text."""
        return tuple(self._columns(canonical.__dict__))

    def canonical(self, row: tuple[Any, ...]) -> CanonicalRow:
        """Return the canonical form of a PostgreSQL row, read with `data` as text."""
        return self.model(**dict(zip(self.record.fields, row, strict=True)))

    def item(self, canonical: CanonicalRow) -> Item:
        """Return the DynamoDB item, in the encodings of the live tables."""
        return encode(self.layout, self.record.make(self.row(canonical)))

    def document(self, canonical: CanonicalRow) -> Document:
        """Return the document of the item."""
        return document_of(self.item(canonical))


def document_of(item: Mapping[str, Mapping[str, Any]]) -> Document:
    """Return the document of any item, without loss: what JSON cannot tell apart stays in DynamoDB's own notation."""
    return {name: _plain(dict(value)) for name, value in item.items()}


def item_of(document: Mapping[str, Any]) -> Item:
    """Return the item whose document this is."""
    return {name: _typed(value) for name, value in document.items()}


def _plain(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        kind, content = next(iter(value.items()))
        if kind in ("S", "BOOL"):
            return content
        if kind == "NULL":
            return None
        if kind == "N" and content.lstrip("-").isdigit():
            return int(content)
    return json.loads(json.dumps(value, default=_base64))


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    return {"NULL": True} if value is None else dict(value)


def _unstorable(reason: str) -> PydanticCustomError:
    # Braces in a template are placeholders.
    return PydanticCustomError("unstorable", "{reason}", {"reason": reason})


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _json_text(value: Any) -> str | None:
    """Return JSON text that PostgreSQL takes as it is; a value that is no text is written as JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        decoded_text = from_json(text, allow_inf_nan=False)
    except ValueError:
        raise _unstorable("data is not JSON that PostgreSQL can hold") from None
    if "\\u0000" in text and _has_nul(decoded_text):
        raise _unstorable("data contains U+0000")
    return text


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\x00" in key or _has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\x00" in value


_Integer = Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
_Moment = Annotated[datetime, AfterValidator(_utc)]
_KINDS: dict[Any, Any] = {str: StrictStr, bool: StrictBool, int: _Integer, datetime: _Moment}
_ABSENT: dict[Any, Any] = {str: "", bool: False, int: 0}


def _field(record: type[Record], name: str) -> tuple[Any, Any]:
    """Return type and default of a column; what may be absent reads as the library reads it."""
    declared = record.types[name]
    if declared is Any:
        return Annotated[StrictStr | None, BeforeValidator(_json_text)], None
    alternatives = get_args(declared) or (declared,)
    kind = _KINDS[next(part for part in alternatives if part is not NoneType)]
    if NoneType in alternatives:
        return kind | None, None
    if declared is datetime or (name in record.key and name != "subtarget"):
        return (Annotated[StrictStr, Field(min_length=1)] if declared is str else kind), ...
    return kind, _ABSENT[declared]
