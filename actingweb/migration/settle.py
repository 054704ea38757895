"""The end of a load: the look-up rows that follow from what was loaded, and the claims that wait for a replay."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from actingweb.db.utils import clean_text, compute_lookup_key
from actingweb.migration.canonical import TableForm
from actingweb.migration.documents import Document, content_of, corrected
from actingweb.migration.lookups import LookUps, StagedClaims
from actingweb.migration.progress import Counts
from actingweb.migration.rejects import Reject, RejectFile
from actingweb.migration.tables import CLAIMS_V1, PROPERTIES
from actingweb.migration.target import Connection

__all__ = ["LoadedClaims", "claimed_keys", "held_properties", "rejected_keys", "settle"]

T = TypeVar("T")

_WAITING = "the property of its actor was rejected: load that first"
_AT_ONCE = 1000
_DOCUMENTS = "SELECT document FROM pg_temp.withheld WHERE claims = %(claims)s"


@dataclass(frozen=True)
class LoadedClaims:
    """The claims of one table.

    Attributes:
        rejects: gets those that wait for a rejected property, behind those that could not be read.
        counts: `written` is how many were staged, and then how many became look-up rows.
    """

    staged: StagedClaims
    rejects: RejectFile
    counts: Counts


def settle(look_ups: LookUps, claims: Sequence[LoadedClaims], properties: RejectFile) -> tuple[int, int]:
    """Make all look-up rows; return how many are claimed and how many are not.

    `properties` has the rejected properties. A value that one of these may hold by right is left to nobody, and its
    claim is rejected, to be loaded with the property. Raise `psycopg.Error`, and `SourceError` if a reject file is
    malformed.
    """
    look_ups.begin()
    for some in _parts(held_properties(_documents(properties))):
        look_ups.add_rejected(some)
    look_ups.release()
    claimed = sum(_claim(look_ups, one) for one in claims)
    return claimed, look_ups.fill()


def _claim(look_ups: LookUps, claims: LoadedClaims) -> int:
    claimed = look_ups.claim(claims.staged)
    for keys in _parts(rejected_keys(claims.rejects)):
        look_ups.add_unreadable(keys)
    waiting = look_ups.withhold(claims.staged)
    if waiting:
        for documents in _parts(_withheld(look_ups.connection, claims.staged)):
            claims.rejects.add((None, Reject(document, _WAITING)) for document in documents)
    counts = claims.counts
    counts.skipped += counts.written - claimed - waiting
    counts.rejected += waiting
    counts.written = claimed
    return claimed


def _withheld(connection: Connection, staged: StagedClaims) -> Iterator[bytes]:
    with connection.cursor("withheld") as cursor:
        cursor.itersize = _AT_ONCE
        for (document,) in cursor.execute(_DOCUMENTS, {"claims": staged.form.name}):
            yield document.encode()


def rejected_keys(rejects: RejectFile) -> Iterator[str]:
    """Yield the look-up keys of rejected claims, as far as they have them."""
    return claimed_keys(rejects.form, _documents(rejects))


def claimed_keys(form: TableForm, documents: Iterable[bytes]) -> Iterator[str]:
    """Yield the look-up keys of claims, as far as they have them."""
    is_first = form is CLAIMS_V1
    for content in _contents(form, documents):
        texts = [content.get(name) for name in (("property_name", "value") if is_first else ("lookup_key",))]
        known = [text for text in texts if isinstance(text, str) and "\x00" not in text]
        if len(known) == len(texts):
            yield compute_lookup_key(*known) if is_first else clean_text(known[0])


def held_properties(documents: Iterable[bytes]) -> Iterator[tuple[str, str, str | None]]:
    """Yield actor, name and, of a value that is text, the look-up key. No claim is about U+0000."""
    for content in _contents(PROPERTIES, documents):
        actor_id, name, value = (content.get(column) for column in ("id", "name", "value"))
        if isinstance(actor_id, str) and isinstance(name, str) and "\x00" not in actor_id + name:
            lookup_key = compute_lookup_key(name, value) if isinstance(value, str) else None
            yield clean_text(actor_id), clean_text(name), lookup_key


def _documents(rejects: RejectFile) -> Iterator[bytes]:
    if rejects.path.exists():
        for document, _ in rejects.documents():
            yield document


def _contents(form: TableForm, documents: Iterable[bytes]) -> Iterator[Document]:
    """Yield what documents say, as far as the library reads it."""
    for content in map(content_of, documents):
        if isinstance(content, dict):
            yield corrected(form.record, content)


def _parts(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while part := list(islice(iterator, _AT_ONCE)):
        yield part
