"""What travels from a source to a target: batches of documents, the rows made of them, and rejects."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["MAX_BYTES", "MAX_ROWS", "Batch", "Reject", "RowPairs", "batched"]

MAX_ROWS = 10_000
MAX_BYTES = 4 * 1024 * 1024

RowPairs = list[tuple[tuple[Any, ...], bytes]]
"""PostgreSQL rows, each with the document that it was made of."""


class Reject(NamedTuple):
    """A document that was not loaded.

    Attributes:
        digest: identifies the document that the source has, if this one was corrected; None for its own.
    """

    document: bytes
    reason: str
    digest: str | None = None


@dataclass(frozen=True)
class Batch:
    """Some documents of a source, at most `MAX_ROWS` and, unless a single one is larger, `MAX_BYTES`.

    Attributes:
        documents: each is one JSON object in UTF-8.
        stream: the number of the stream within the source (of the segment of a scan). Streams are independent; the
            batches of one stream are loaded in order.
        checkpoint: the position behind the documents, from which the stream can be resumed; JSON serializable.
        last: whether the stream ends here.
    """

    documents: list[bytes]
    stream: int
    checkpoint: Any
    last: bool


def batched(documents: Iterable[tuple[bytes, Any]], stream: int, checkpoint: Any) -> Iterator[Batch]:
    """Yield the documents of one stream in batches.

    Each document comes with the checkpoint behind it; `checkpoint` is where the stream starts. The last batch, which
    may be empty, is marked as such.
    """
    batch: list[bytes] = []
    size = 0
    for document, behind in documents:
        if len(batch) == MAX_ROWS or (batch and size + len(document) > MAX_BYTES):
            yield Batch(batch, stream, checkpoint, last=False)
            batch, size = [], 0
        batch.append(document)
        size += len(document)
        checkpoint = behind
    yield Batch(batch, stream, checkpoint, last=True)
