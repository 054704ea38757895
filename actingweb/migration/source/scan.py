"""DynamoDB tables as a source, read by strongly consistent parallel scans."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from threading import Event, Lock
from typing import Any, NamedTuple

from actingweb.db.dynamodb.tables import names_of
from actingweb.db.settings import get_settings
from actingweb.migration.batches import Batch
from actingweb.migration.documents import document_of
from actingweb.migration.errors import SourceError
from actingweb.migration.mapping import ACTORS, ALL, CLAIMS_V1, TableMapping, Tables
from actingweb.migration.source.dynamodb_json import Encoder, decode
from actingweb.migration.source.endpoint import AccessDeniedError, Endpoint, Json, RetryLimits, TableNotFoundError
from actingweb.migration.source.rate_limit import RateLimit

__all__ = ["DynamoDBSource", "Page", "decoded_page", "read_page"]

_REQUIRED = ACTORS
_REQUESTS_AT_ONCE = 16
"""More requests would not be faster, and each holds a page in memory."""


@dataclass(eq=False)
class DynamoDBSource:
    """The tables of one deployment. Every method raises `SourceError` if a table cannot be read.

    Attributes:
        prefix: the prefix of the table names; None for that of the settings. `prod_` finds `prod_actors` and
            `prod__actors`.
        region: the AWS region; None for the one that the application would use with this profile.
        host: the URL of the endpoint; None for AWS.
        profile: the profile of the AWS configuration; None for the default profile.
        segments: the number of segments of each scan, of which up to 16 are read at once. Each is a stream of batches.
        rcu: the read capacity units to consume per second; None for no limit.
        tables: those to read.
    """

    prefix: str | None
    region: str | None
    host: str | None
    profile: str | None
    segments: int = 4
    rcu: float | None = None
    tables: Tables = ALL
    retry_limits: RetryLimits = field(default_factory=RetryLimits)

    def __post_init__(self) -> None:
        self._found: dict[str, Json | None] = {}
        self._rate_limit = None if self.rcu is None else RateLimit(self.rcu)
        # One page is decoded at a time: decoded objects take many times the memory of their text.
        self._decoding = Lock()

    @property
    def mappings(self) -> tuple[TableMapping, ...]:
        """The tables, claims last; `CLAIMS_V1` only if the deployment has it."""
        # Whatever is to be read, a deployment without actors is a wrong prefix, region or account.
        self.exists(_REQUIRED)
        return tuple(mapping for mapping in self.tables if mapping is not CLAIMS_V1 or self.exists(mapping))

    def exists(self, mapping: TableMapping) -> bool:
        """Tell whether the table exists. All but that of the actors may be absent: they are created on first use."""
        return self.description(mapping) is not None

    def table_name(self, mapping: TableMapping) -> str:
        """Return the name of the table, or the name that it would have if it does not exist."""
        description = self.description(mapping)
        return description["TableName"] if description else self.names(mapping)[0]

    def identity(self, mapping: TableMapping) -> str:
        """Return a text that identifies the table and the number of segments."""
        description = self.description(mapping) or {"TableArn": self.names(mapping)[0], "TableId": "absent"}
        table = f"{description['TableArn']} ({description.get('TableId', 'no id')})"
        return f"{table} at {self.endpoint.address} in {self.segments} segments"

    def estimate(self, mapping: TableMapping) -> int:
        """Return about how many rows the table has. DynamoDB updates this number every six hours."""
        return int((self.description(mapping) or {"ItemCount": 0})["ItemCount"])

    def batches(
        self, mapping: TableMapping, checkpoints: Callable[[int], Any], done: Callable[[int], bool]
    ) -> Iterator[Batch]:
        """Yield the documents of all segments for which `done(segment)` is false, in batches.

        A segment starts at `checkpoints(segment)`; None stands for its beginning. At most one page of each running
        segment is read ahead. A table that does not exist has no documents.
        """
        starts = {segment: checkpoints(segment) for segment in range(self.segments) if not done(segment)}
        if self.exists(mapping):
            yield from self._scan(self.table_name(mapping), starts)
        else:
            yield from (Batch([], segment, None, last=True) for segment in starts)

    @cached_property
    def endpoint(self) -> Endpoint:
        """The endpoint that serves the tables."""
        return Endpoint(self.region, self.host, self.profile, _REQUESTS_AT_ONCE, self.retry_limits)

    def sample(self, mapping: TableMapping, segments: int, rows: int) -> tuple[list[bytes], float, bool]:
        """Return up to `rows` documents from the beginning of each of `segments` segments of an existing table.

        Also return the read capacity units that this consumed, and whether these are all documents of the table.
        """
        found, units, whole = list[bytes](), 0.0, True
        table = self.table_name(mapping)
        for segment in range(segments):
            request: Json = {"TableName": table, "ConsistentRead": True, "Limit": rows}
            request |= {"Segment": segment, "TotalSegments": segments, "ReturnConsumedCapacity": "TOTAL"}
            page, documents = decoded_page(self.endpoint.call("Scan", request)["Body"], table)
            found += documents
            units += page["ConsumedCapacity"]["CapacityUnits"]
            whole = whole and "LastEvaluatedKey" not in page
        return found, units, whole

    def names(self, mapping: TableMapping) -> list[str]:
        """Return the names that the table may have, the preferred one first."""
        prefix = get_settings().aws_db_prefix if self.prefix is None else self.prefix
        return names_of(prefix, mapping.layout.suffix)

    def description(self, mapping: TableMapping) -> Json | None:
        """Return what DynamoDB says of the table, None if it does not exist. It is asked once."""
        if mapping.name not in self._found:
            self._found[mapping.name] = self._described(mapping)
        return self._found[mapping.name]

    def _described(self, mapping: TableMapping) -> Json | None:
        names = self.names(mapping)
        denied: SourceError | None = None
        for name in names:
            try:
                return self.endpoint.describe(name)
            except TableNotFoundError:
                continue
            except AccessDeniedError as error:
                denied = denied or error
        if denied is not None:
            raise denied
        if mapping is _REQUIRED:
            raise SourceError(
                f"there is no DynamoDB table {' or '.join(names)} at {self.endpoint.address}: "
                "check --table-prefix (AWS_DB_PREFIX), the region, and the account of the profile"
            )
        return None

    def _scan(self, table: str, starts: dict[int, str | None]) -> Iterator[Batch]:
        stop = Event()
        workers = ThreadPoolExecutor(_REQUESTS_AT_ONCE)
        segments = iter(starts.items())

        def submit(segment: int, start: str | None) -> Future[Batch]:
            return workers.submit(self._page, table, segment, start, stop)

        try:
            running = {submit(*first) for first in islice(segments, _REQUESTS_AT_ONCE)}
            while running:
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                for page in ready:
                    batch = page.result()
                    following = next(segments, None) if batch.last else (batch.stream, batch.checkpoint)
                    if following is not None:
                        running.add(submit(*following))
                    yield batch
        finally:
            stop.set()
            workers.shutdown(wait=False, cancel_futures=True)

    def _page(self, table: str, segment: int, start: str | None, stop: Event) -> Batch:
        request: Json = {"TableName": table, "Segment": segment, "TotalSegments": self.segments}
        if start is not None:
            request["ExclusiveStartKey"] = json.loads(start)
        page = read_page(lambda limited: self._read(limited, stop), request, self._rate_limit, stop)
        return Batch(page.documents, segment, page.following, last=page.following is None)

    def _read(self, request: Json, stop: Event) -> tuple[Json, list[bytes]]:
        """Return a page without its items, and their documents."""
        text = self.endpoint.call("Scan", request, stop)["Body"]
        with self._decoding:
            return decoded_page(text, request["TableName"])


class Page(NamedTuple):
    """The documents of a page of a scan.

    Attributes:
        following: where the next page starts, None at the end of the segment. It is JSON text, since neither jsonb
            nor UTF-8 can represent every key.
    """

    documents: list[bytes]
    following: str | None


def read_page(
    read: Callable[[Json], tuple[Json, list[bytes]]], request: Json, limit: RateLimit | None, stop: Event
) -> Page:
    """Return a page of a scan, read strongly consistently and within a limit of capacity, by `read`.

    Raise `SourceError` as `read` does.
    """
    request = request | {"ConsistentRead": True}
    if limit is None:
        page, documents = read(request)
    else:
        permit = limit.acquire(stop)
        page, documents = read(request | {"Limit": permit.items, "ReturnConsumedCapacity": "TOTAL"})
        limit.report_consumed(permit, page["ConsumedCapacity"]["CapacityUnits"], len(documents), stop)
    last = page.get("LastEvaluatedKey")
    return Page(documents, last and json.dumps(last))


def decoded_page(text: bytes, table: str) -> tuple[Json, list[bytes]]:
    """Return a page without its items, and their documents. Raise `SourceError` if the text is no page of the table."""
    page = decode(text, _documents)
    if page is None:
        raise SourceError(f"DynamoDB table {table} cannot be read: the response is not a page of a scan")
    return page


def _documents(page: Any, encode: Encoder) -> tuple[Json, list[bytes]]:
    if not isinstance(page, dict) or "Items" not in page:
        raise ValueError
    return page, [encode(document_of(item)) for item in page.pop("Items")]
