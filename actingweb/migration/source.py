"""DynamoDB as a source: tables read by strongly consistent scans of parallel segments."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from threading import Event, Lock
from typing import Any

from actingweb.db.dynamodb.tables import names_of
from actingweb.db.settings import get_settings
from actingweb.migration.batches import Batch
from actingweb.migration.budget import Budget
from actingweb.migration.canonical import TableForm, document_of
from actingweb.migration.dynamodb import AccessDeniedError, Answer, Endpoint, Patience, TableNotFoundError
from actingweb.migration.errors import SourceError
from actingweb.migration.notation import Encoder, decoded
from actingweb.migration.tables import CLAIMS_V1, CLAIMS_V2, FORMS

__all__ = ["DynamoDBSource"]

_REQUIRED = FORMS[0]
_REQUESTS_AT_ONCE = 16
"""More make nothing faster here, and each holds a page."""


@dataclass(eq=False)
class DynamoDBSource:
    """The tables of one deployment. Every method raises `SourceError` if a table cannot be read.

    Attributes:
        prefix: of the tables' names; None is that of the settings. `prod_` finds `prod_actors` and `prod__actors`.
        region: None is the one that the application would use with this profile.
        host: the URL of the endpoint; None is AWS.
        profile: of the AWS configuration; None is the default.
        segments: in how many parts a table is read, up to 16 of them at once. A stream of batches is a segment.
        rcu: how many read capacity units a second may be consumed; None is any number.
    """

    prefix: str | None
    region: str | None
    host: str | None
    profile: str | None
    segments: int = 4
    rcu: float | None = None
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        self._found: dict[str, Answer | None] = {}
        self._budget = None if self.rcu is None else Budget(self.rcu)
        # One page is decoded at a time: its objects take many times the room of its text.
        self._decoding = Lock()

    @property
    def forms(self) -> tuple[TableForm, ...]:
        """The tables, claims last; the first form of claims only if there is such a table."""
        return (*FORMS, CLAIMS_V2, CLAIMS_V1) if self.exists(CLAIMS_V1) else (*FORMS, CLAIMS_V2)

    def exists(self, form: TableForm) -> bool:
        """Tell whether the table exists. The library makes each when it first needs it; actors is always needed."""
        return self._description(form) is not None

    def table_name(self, form: TableForm) -> str:
        """Return the name of the table; if it does not exist, the name that it would have."""
        description = self._description(form)
        return description["TableName"] if description else self._names(form)[0]

    def identity(self, form: TableForm) -> str:
        """Tell this table, read in these segments, from another."""
        description = self._description(form) or {"TableArn": self._names(form)[0], "TableId": "absent"}
        table = f"{description['TableArn']} ({description.get('TableId', 'no id')})"
        return f"{table} at {self.endpoint.address} in {self.segments} segments"

    def estimate(self, form: TableForm) -> int:
        """Return about how many rows the table has, some hours ago."""
        return int((self._description(form) or {"ItemCount": 0})["ItemCount"])

    def batches(self, form: TableForm, marks: Callable[[int], Any], done: Callable[[int], bool]) -> Iterator[Batch]:
        """Yield the documents of all segments that are not `done`, each from `marks(segment)` on (None: its start).

        At most one page of each segment that is being read is read ahead. A table that does not exist has no documents.
        """
        starts = {segment: marks(segment) for segment in range(self.segments) if not done(segment)}
        if self.exists(form):
            yield from self._scan(self.table_name(form), starts)
        else:
            yield from (Batch([], segment, None, last=True) for segment in starts)

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where the tables are."""
        return Endpoint(self.region, self.host, self.profile, _REQUESTS_AT_ONCE, self.patience)

    def _names(self, form: TableForm) -> list[str]:
        prefix = get_settings().aws_db_prefix if self.prefix is None else self.prefix
        return names_of(prefix, form.layout.suffix)

    def _description(self, form: TableForm) -> Answer | None:
        if form.name not in self._found:
            self._found[form.name] = self._described(form)
        return self._found[form.name]

    def _described(self, form: TableForm) -> Answer | None:
        names = self._names(form)
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
        if form is _REQUIRED:
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
                    following = next(segments, None) if batch.last else (batch.stream, batch.mark)
                    if following is not None:
                        running.add(submit(*following))
                    yield batch
        finally:
            stop.set()
            workers.shutdown(wait=False, cancel_futures=True)

    def _page(self, table: str, segment: int, start: str | None, stop: Event) -> Batch:
        request: Answer = {"TableName": table, "ConsistentRead": True}
        request |= {"Segment": segment, "TotalSegments": self.segments}
        if start is not None:
            request["ExclusiveStartKey"] = json.loads(start)
        read = self._read if self._budget is None else partial(self._read_within, self._budget)
        page, documents = read(request, stop)
        last = page.get("LastEvaluatedKey")
        # As text, since neither jsonb nor UTF-8 holds every key.
        return Batch(documents, segment, last and json.dumps(last), last=last is None)

    def _read_within(self, budget: Budget, request: Answer, stop: Event) -> tuple[Answer, list[bytes]]:
        claim = budget.claim(stop)
        request |= {"Limit": claim.items, "ReturnConsumedCapacity": "TOTAL"}
        page, documents = self._read(request, stop)
        budget.settle(claim, page["ConsumedCapacity"]["CapacityUnits"], len(documents))
        return page, documents

    def _read(self, request: Answer, stop: Event) -> tuple[Answer, list[bytes]]:
        """Return a page without its items, and their documents."""
        text = self.endpoint.call("Scan", request, stop)["Body"]
        with self._decoding:
            return _decoded(text, request["TableName"])


def _decoded(text: bytes, table: str) -> tuple[Answer, list[bytes]]:
    """Return a page without its items, and their documents."""
    page = decoded(text, _documents)
    if page is None:
        raise SourceError(f"DynamoDB table {table} cannot be read: an answer is no page of a scan")
    return page


def _documents(page: Any, encode: Encoder) -> tuple[Answer, list[bytes]]:
    if not isinstance(page, dict) or "Items" not in page:
        raise ValueError
    return page, [encode(document_of(item)) for item in page.pop("Items")]
