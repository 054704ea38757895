"""The conversion of documents to PostgreSQL rows."""

import json
from dataclasses import dataclass

from pydantic import ValidationError

from actingweb.db.postgresql.limits import KEY_BYTES
from actingweb.migration.batches import Reject, RowPairs
from actingweb.migration.columns import ColumnValues, list_validator, row_model, to_tuples
from actingweb.migration.documents import Document, content_of, corrected, read_error
from actingweb.migration.mapping import TableMapping

__all__ = ["Conversion", "convert"]

# Validation does not release the GIL, so a slice is how long other threads wait.
_SLICE = 200


@dataclass(frozen=True)
class Conversion:
    """What became of the documents of a batch.

    Attributes:
        rows: the rows that PostgreSQL should be able to store, in the order of the documents.
        rejects: the other documents.
        unknown: how many documents have an attribute that the layout does not know, by attribute.
    """

    rows: RowPairs
    rejects: list[Reject]
    unknown: dict[str, int]


def convert(mapping: TableMapping, documents: list[bytes]) -> Conversion:
    """Convert documents to rows."""
    whole = Conversion([], [], {})
    for start in range(0, len(documents), _SLICE):
        part = _convert(mapping, documents[start : start + _SLICE])
        whole.rows.extend(part.rows)
        whole.rejects.extend(part.rejects)
        for name, count in part.unknown.items():
            whole.unknown[name] = whole.unknown.get(name, 0) + count
    return whole


def _convert(mapping: TableMapping, documents: list[bytes], texts: list[bytes] | None = None) -> Conversion:
    """Convert documents; `texts` are read in their place."""
    read = documents if texts is None else texts
    together = b"[" + b",".join(read) + b"]"
    try:
        columns = list_validator(mapping).validate_json(together)
    except ValidationError as error:
        if texts is None:
            return _convert(mapping, documents, [_corrected(mapping, document) for document in documents])
        return _without_rejects(mapping, documents, read, _errors(mapping, read, error))
    if len(columns) != len(documents):
        # A document contains two objects, or part of one.
        return _without_rejects(mapping, documents, read, _errors_one_by_one(mapping, read))
    if problems := _problems(mapping, columns, read, together):
        return _without_rejects(mapping, documents, read, problems)
    rows = list(zip(to_tuples(mapping, columns), documents, strict=True))
    return Conversion(rows, [], _unknown(mapping, columns))


def _corrected(mapping: TableMapping, document: bytes) -> bytes:
    """Return a document whose values have the types of the layout, as far as the library can read them."""
    content = _attributes(document)
    read = corrected(mapping.record, content)
    return document if read is content else json.dumps(read).encode()


def _attributes(document: bytes) -> Document:
    """Return the attributes of a document; empty if it is not a JSON object."""
    content = content_of(document)
    return content if isinstance(content, dict) else {}


def _without_rejects(
    mapping: TableMapping, documents: list[bytes], texts: list[bytes], errors: dict[int, str]
) -> Conversion:
    good = [index for index in range(len(documents)) if index not in errors]
    rest = _convert(mapping, [documents[index] for index in good], [texts[index] for index in good])
    rejects = [Reject(documents[index], reason) for index, reason in errors.items()]
    return Conversion(rest.rows, rejects + rest.rejects, rest.unknown)


def _errors(mapping: TableMapping, documents: list[bytes], error: ValidationError) -> dict[int, str]:
    """Return the first error of each invalid document, by its index."""
    errors: dict[int, str] = {}
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        if not detail["loc"]:
            return _errors_one_by_one(mapping, documents)
        index, *column = detail["loc"]
        if index not in errors:
            errors[int(index)] = _reason(mapping, documents[int(index)], detail["msg"], column)
    return errors


def _errors_one_by_one(mapping: TableMapping, documents: list[bytes]) -> dict[int, str]:
    errors = {}
    for index, document in enumerate(documents):
        try:
            row_model(mapping).model_validate_json(document)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            errors[index] = _reason(mapping, document, first["msg"], list(first["loc"]))
    return errors


def _reason(mapping: TableMapping, document: bytes, message: str, column: list[int | str]) -> str:
    if not column:
        return message
    text = f"{'.'.join(map(str, column))}: {message}"
    why = read_error(mapping.record, _attributes(document), str(column[0]))
    return text if why is None else f"{text}; {why}"


def _problems(
    mapping: TableMapping, columns: list[ColumnValues], documents: list[bytes], together: bytes
) -> dict[int, str]:
    """Return what is wrong with rows as a whole, by index. Rows that cannot have such a problem are not examined.

    JSON can contain U+0000 as an escape sequence only, and no key has more bytes than its document.
    """
    found: dict[int, str] = {}
    if mapping.layout.composed:
        found = {index: problem for index, row in enumerate(columns) if (problem := row.key_problem())}
    escaped = b"u0000" in together
    if escaped or max(map(len, documents), default=0) > KEY_BYTES:
        for index, document in enumerate(documents):
            if (escaped or len(document) > KEY_BYTES) and (problem := columns[index].problem()):
                found[index] = problem
    return found


def _unknown(mapping: TableMapping, columns: list[ColumnValues]) -> dict[str, int]:
    known = mapping.layout.composed
    unknown: dict[str, int] = {}
    for row in columns:
        for name in row.__pydantic_extra__ or ():
            if name != known:
                unknown[name] = unknown.get(name, 0) + 1
    return unknown
