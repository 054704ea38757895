"""From documents to PostgreSQL rows."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from actingweb.db.postgresql.limits import KEY_BYTES
from actingweb.migration.canonical import ColumnValues, TableForm
from actingweb.migration.documents import Document, content_of, corrected, objection
from actingweb.migration.rejects import Reject

__all__ = ["Pairs", "Prepared", "prepared"]

# Other threads stand still while a slice is validated.
_SLICE = 200

Pairs = list[tuple[tuple[Any, ...], bytes]]
"""Rows, each with the document that it is made of."""


@dataclass(frozen=True)
class Prepared:
    """The rows of a batch, in its order.

    Attributes:
        rows: row and document of those that PostgreSQL should be able to hold.
        rejects: the others.
        unknown: how many documents have an attribute that the layout does not know, by attribute.
    """

    rows: Pairs
    rejects: list[Reject]
    unknown: dict[str, int]


def prepared(form: TableForm, documents: list[bytes]) -> Prepared:
    """Return the rows of documents."""
    whole = Prepared([], [], {})
    for start in range(0, len(documents), _SLICE):
        part = _prepared(form, documents[start : start + _SLICE])
        whole.rows.extend(part.rows)
        whole.rejects.extend(part.rejects)
        for name, count in part.unknown.items():
            whole.unknown[name] = whole.unknown.get(name, 0) + count
    return whole


def _prepared(form: TableForm, documents: list[bytes], texts: list[bytes] | None = None) -> Prepared:
    """Return the rows of documents; `texts` are what is read in their place."""
    read = documents if texts is None else texts
    together = b"[" + b",".join(read) + b"]"
    try:
        columns = form.documents.validate_json(together)
    except ValidationError as error:
        if texts is None:
            return _prepared(form, documents, [_corrected(form, document) for document in documents])
        return _without(form, documents, read, _faults(form, read, error))
    if len(columns) != len(documents):
        # Some document is two objects, or no whole one.
        return _without(form, documents, read, _faults_alone(form, read))
    if problems := _problems(form, columns, read, together):
        return _without(form, documents, read, problems)
    rows = list(zip(form.rows(columns), documents, strict=True))
    return Prepared(rows, [], _unknown(form, columns))


def _corrected(form: TableForm, document: bytes) -> bytes:
    """Return a document with the types of the layout, as far as the library reads what has another."""
    content = _attributes(document)
    read = corrected(form.record, content)
    return document if read is content else json.dumps(read).encode()


def _attributes(document: bytes) -> Document:
    """Return the attributes of a document, none if it is no JSON object."""
    content = content_of(document)
    return content if isinstance(content, dict) else {}


def _without(form: TableForm, documents: list[bytes], texts: list[bytes], faults: dict[int, str]) -> Prepared:
    good = [index for index in range(len(documents)) if index not in faults]
    rest = _prepared(form, [documents[index] for index in good], [texts[index] for index in good])
    rejects = [Reject(documents[index], reason) for index, reason in faults.items()]
    return Prepared(rest.rows, rejects + rest.rejects, rest.unknown)


def _faults(form: TableForm, documents: list[bytes], error: ValidationError) -> dict[int, str]:
    """Return the first fault of each document that has one, by its index."""
    faults: dict[int, str] = {}
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        if not detail["loc"]:
            return _faults_alone(form, documents)
        index, *column = detail["loc"]
        if index not in faults:
            faults[int(index)] = _text(form, documents[int(index)], detail["msg"], column)
    return faults


def _faults_alone(form: TableForm, documents: list[bytes]) -> dict[int, str]:
    faults = {}
    for index, document in enumerate(documents):
        try:
            form.model.model_validate_json(document)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            faults[index] = _text(form, document, first["msg"], list(first["loc"]))
    return faults


def _text(form: TableForm, document: bytes, message: str, column: list[int | str]) -> str:
    if not column:
        return message
    text = f"{'.'.join(map(str, column))}: {message}"
    why = objection(form.record, _attributes(document), str(column[0]))
    return text if why is None else f"{text}; {why}"


def _problems(form: TableForm, columns: list[ColumnValues], documents: list[bytes], together: bytes) -> dict[int, str]:
    """Return the problems of whole rows, looking only at those that can have one.

    U+0000 stands in JSON as an escape, and no key has more bytes than its document.
    """
    found: dict[int, str] = {}
    if form.layout.composed:
        found = {index: problem for index, row in enumerate(columns) if (problem := row.key_problem())}
    escaped = b"u0000" in together
    if escaped or max(map(len, documents), default=0) > KEY_BYTES:
        for index, document in enumerate(documents):
            if (escaped or len(document) > KEY_BYTES) and (problem := columns[index].problem()):
                found[index] = problem
    return found


def _unknown(form: TableForm, columns: list[ColumnValues]) -> dict[str, int]:
    known = form.layout.composed
    unknown: dict[str, int] = {}
    for row in columns:
        for name in row.__pydantic_extra__ or ():
            if name != known:
                unknown[name] = unknown.get(name, 0) + 1
    return unknown
