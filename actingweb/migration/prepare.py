"""From documents to PostgreSQL rows."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from actingweb.migration.canonical import TableForm
from actingweb.migration.rejects import Reject, reject_of

__all__ = ["Prepared", "prepared"]


@dataclass(frozen=True)
class Prepared:
    """The rows of a batch, in its order.

    Attributes:
        rows: row and document of those that PostgreSQL should be able to hold.
        rejects: the others.
        unknown: how many documents have an attribute that the layout does not know, by attribute.
    """

    rows: list[tuple[tuple[Any, ...], bytes]]
    rejects: list[Reject]
    unknown: dict[str, int]


def prepared(form: TableForm, documents: list[bytes]) -> Prepared:
    """Return the rows of documents."""
    try:
        canonical = form.documents.validate_json(b"[" + b",".join(documents) + b"]")
    except ValidationError:
        return _one_by_one(form, documents)
    known = {form.layout.composed}
    unknown: dict[str, int] = {}
    for row in canonical:
        for name in row.model_extra or ():
            if name not in known:
                unknown[name] = unknown.get(name, 0) + 1
    return Prepared(
        [(form.row(row), document) for row, document in zip(canonical, documents, strict=True)], [], unknown
    )


def _one_by_one(form: TableForm, documents: list[bytes]) -> Prepared:
    whole = Prepared([], [], {})
    for document in documents:
        try:
            form.model.model_validate_json(document)
        except ValidationError as error:
            whole.rejects.append(reject_of(form, document, _reason(error)))
            continue
        part = prepared(form, [document])
        whole.rows.extend(part.rows)
        for name, count in part.unknown.items():
            whole.unknown[name] = whole.unknown.get(name, 0) + count
    return whole


def _reason(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    column = ".".join(map(str, first["loc"]))
    return f"{column}: {first['msg']}" if column else first["msg"]
