"""What travels from a source to a target: batches of documents, bounded in rows and bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["MAX_BYTES", "MAX_ROWS", "Batch", "gathered"]

MAX_ROWS = 10_000
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Batch:
    """Documents, and where the source stands behind them.

    Attributes:
        documents: each one JSON object in UTF-8.
        stream: which of the source's streams it is from (a segment of a scan); a stream is loaded in order.
        mark: from where the stream goes on; what `json.dumps` takes.
        last: whether the stream ends here.
    """

    documents: list[bytes]
    stream: int
    mark: Any
    last: bool


def gathered(documents: Iterable[tuple[bytes, Any]], stream: int, mark: Any) -> Iterator[Batch]:
    """Yield batches of one stream's documents, each of which comes with the mark behind it; `mark` is where it starts.

    The last batch, perhaps empty, says so.
    """
    batch: list[bytes] = []
    size = 0
    for document, behind in documents:
        if len(batch) == MAX_ROWS or (batch and size + len(document) > MAX_BYTES):
            yield Batch(batch, stream, mark, last=False)
            batch, size = [], 0
        batch.append(document)
        size += len(document)
        mark = behind
    yield Batch(batch, stream, mark, last=True)
