"""Checks of DynamoDB, which is accessed as by the application. No table is created."""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from actingweb.cli.checks.settings import Sources, without_user
from actingweb.db.dynamodb import client
from actingweb.db.dynamodb.errors import fault_of
from actingweb.db.dynamodb.layouts import ACTORS, ATTRIBUTES, Layout, required_layouts
from actingweb.db.dynamodb.region import region_of_profile
from actingweb.db.dynamodb.table_check import Description, Problem, describe, is_denied, probe, problems_in, ttl_enabled
from actingweb.db.dynamodb.tables import names_of, table_of
from actingweb.db.dynamodb.transport import RequestFailed, Transport
from actingweb.db.dynamodb.wire.failures import sent_at
from actingweb.db.exceptions import ConfigurationError
from actingweb.db.faults import Fault
from actingweb.db.settings import Settings
from actingweb.migration.findings import Finding, clock, good, stopper, unchecked, warning

__all__ = ["findings"]

_SIDE = "dynamodb"
_TRIPS = 5
_SLOW = 0.05
_WHERE = "check AWS_DB_PREFIX, AWS_DEFAULT_REGION and the account of the credentials"
_NAMES_SHOWN = 5

Tables = dict[Layout, Description]


def findings(sources: Sources) -> Iterator[Finding]:
    """Yield findings about the tables or, if they cannot be reached, the reason."""
    settings = sources.settings
    try:
        transport = table_of(ACTORS).transport()
    except ConfigurationError as error:
        yield stopper("settings", "DynamoDB", str(error))
        return
    yield from _region(sources)
    if transport.broken is not None:
        yield stopper(_SIDE, "credentials", fault_of(transport.broken).reason)
        return
    yield good(_SIDE, "credentials", f"found by {transport.credentials_method}")
    yield _endpoint(transport, sources)
    try:
        probe(ACTORS)
    except Fault as fault:
        yield stopper(_SIDE, "connection", fault.reason)
        return
    yield good(_SIDE, "connection", "the endpoint responds")
    yield from _latency(transport)
    yield from _auto_create(settings)
    tables: Tables = {}
    yield from _tables(settings, tables)
    if ATTRIBUTES in tables:
        yield from _time_to_live()
    yield from _recovery(tables)
    yield from _streams(tables)


def _region(sources: Sources) -> Iterator[Finding]:
    settings = sources.settings
    variable = next((name for name in ("AWS_DEFAULT_REGION", "AWS_REGION") if sources.origin(name) != "default"), None)
    found = settings.aws_default_region
    if variable is not None:
        yield good(_SIDE, "region", f"{found} ({variable}, {sources.origin(variable)})")
    elif region_of_profile() == found:
        yield good(_SIDE, "region", f"{found} (AWS profile)")
    elif settings.aws_db_host is not None:
        yield good(_SIDE, "region", f"{found} (default)")
    else:
        yield warning(_SIDE, "region", f"{found} (default): no setting names one", "set AWS_DEFAULT_REGION")


def _endpoint(transport: Transport, sources: Sources) -> Finding:
    url = without_user(transport.endpoint_url)
    if sources.settings.aws_db_host is not None:
        return good(_SIDE, "endpoint", f"{url} (AWS_DB_HOST, {sources.origin('AWS_DB_HOST')})")
    for variable in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"):
        if sources.origin(variable) != "default":
            return good(_SIDE, "endpoint", f"{url} ({variable}, {sources.origin(variable)})")
    return good(_SIDE, "endpoint", f"{url} (AWS, for the region)")


def _latency(transport: Transport) -> Iterator[Finding]:
    """Yield the latency of the endpoint and the difference between the clocks."""
    key = {name: {"S": "doctor"} for name in ACTORS.key_names}
    found = median(_request(transport, key)[0] for _ in range(_TRIPS))
    text = f"{found * 1000:.1f} ms for a request, the median of {_TRIPS}"
    if found > _SLOW:
        yield warning(_SIDE, "latency", text, "run the application in the region of the tables")
    else:
        yield good(_SIDE, "latency", text)
    # Only errors tell their date, and a key without attributes is one.
    seconds, error = _request(transport, {})
    ended = time.time()
    yield clock(_SIDE, ended - seconds, ended, sent_at(error))


def _request(transport: Transport, key: dict[str, Any]) -> tuple[float, Exception | None]:
    """Read an item that does not exist; return the duration in seconds and the error, if one came of it."""
    error = None
    began = time.perf_counter()
    try:
        transport.call("GetItem", {"TableName": table_of(ACTORS).table_name, "Key": key}, repeatable=True)
    except RequestFailed as failure:
        # A response too, for example if the table does not exist.
        error = failure.error
    return time.perf_counter() - began, error


def _tables(settings: Settings, found: Tables) -> Iterator[Finding]:
    """Yield findings about the tables; add those that could be described to `found`."""
    missing = []
    for layout in required_layouts(settings.use_property_lookup_table):
        name = str(table_of(layout).table_name)
        try:
            table = describe(layout)
        except Fault as fault:
            yield from _undescribed(layout, fault)
            continue
        if table is None:
            missing.append(name)
            continue
        found[layout] = table
        yield from _table(layout, table)
    yield from _missing(missing, settings)


def _undescribed(layout: Layout, fault: Fault) -> Iterator[Finding]:
    """Yield what can be found out about a table without the right to describe it."""
    name = f"table {table_of(layout).table_name}"
    if not is_denied(fault):
        yield stopper(_SIDE, name, fault.reason)
        return
    try:
        exists = probe(layout)
    except Fault as other:
        yield stopper(_SIDE, name, other.reason)
        return
    if exists:
        yield unchecked(_SIDE, name, "its keys and indexes, which needs dynamodb:DescribeTable; it exists")
    else:
        yield stopper(_SIDE, name, "does not exist, or may not be seen", _WHERE)


def _table(layout: Layout, table: Description) -> Iterator[Finding]:
    check = f"table {table['TableName']}"
    problems = problems_in(layout, table)
    for problem in problems:
        text = f"{problem.kind.lower()} {problem.text}".rstrip()
        if problem.of_key:
            yield stopper(_SIDE, check, f"it is not ActingWeb's: {text}", "check AWS_DB_PREFIX")
        elif _passes(problem):
            yield warning(_SIDE, check, text, "wait until it is ACTIVE")
        else:
            yield stopper(_SIDE, check, text, _remedy(layout, problem))
    if not problems:
        parts = "key and index" if layout.indexes else "key"
        yield good(_SIDE, check, f"{table.get('TableStatus', 'ACTIVE')}, {parts} as needed")


def _remedy(layout: Layout, problem: Problem) -> str:
    needed = [
        f"{name} with the hash key {key} (S) and all attributes"
        for name, key in layout.indexes.items()
        if problem.text.startswith(name)
    ]
    if not needed:
        return "see the description of the table"
    again = "" if problem.kind == "NO INDEX" else "delete it, then "
    return f"{again}add the global secondary index {needed[0]} with `aws dynamodb update-table`"


def _passes(problem: Problem) -> bool:
    return problem.kind.endswith((" CREATING", " UPDATING"))


def _missing(names: list[str], settings: Settings) -> Iterator[Finding]:
    if not names:
        return
    creates = settings.aws_db_auto_create_tables
    text = f"missing: {', '.join(names)}"
    if creates:
        text += "; created on first use, even if the prefix or the region is wrong"
    yield (warning if creates else stopper)(_SIDE, "tables", text, _WHERE)
    yield from _other_prefixes(settings)


def _other_prefixes(settings: Settings) -> Iterator[Finding]:
    """Yield the other prefixes for which there are tables, since that of the settings may be mistyped."""
    suffix = f"_{ACTORS.suffix}"
    try:
        answer, _ = table_of(ACTORS).transport().call("ListTables", {}, repeatable=True)
    except RequestFailed as failure:
        yield unchecked(_SIDE, "prefix", _lacking(failure.fault(of_write=False), "ListTables"))
        return
    ours = names_of(settings.aws_db_prefix, ACTORS.suffix)
    others = sorted(name for name in answer["TableNames"] if name.endswith(suffix) and name not in ours)
    if others:
        shown = ", ".join(name.removesuffix(suffix) for name in others[:_NAMES_SHOWN])
        text = f"AWS_DB_PREFIX is {settings.aws_db_prefix}; there are tables with the prefix {shown}"
        yield warning(_SIDE, "prefix", text, "set AWS_DB_PREFIX to the intended one")


def _auto_create(settings: Settings) -> Iterator[Finding]:
    if settings.aws_db_auto_create_tables:
        advice = "set AWS_DB_AUTO_CREATE_TABLES=false in production: a mistyped prefix would create empty tables"
        yield warning(_SIDE, "auto-create", "missing tables are created on first use", advice)
    else:
        yield good(_SIDE, "auto-create", "off")


def _time_to_live() -> Iterator[Finding]:
    """Yield whether DynamoDB deletes expired attributes."""
    try:
        enabled = ttl_enabled(ATTRIBUTES)
    except Fault as fault:
        yield unchecked(_SIDE, "time to live", _lacking(fault, "DescribeTimeToLive"))
        return
    name = table_of(ATTRIBUTES).table_name
    if enabled:
        yield good(_SIDE, "time to live", f"on for {name}")
    else:
        advice = f"enable it on the attribute {ATTRIBUTES.ttl} with `aws dynamodb update-time-to-live`"
        yield warning(_SIDE, "time to live", f"off for {name}: expired attributes are never deleted", advice)


def _recovery(tables: Tables) -> Iterator[Finding]:
    """Yield whether the tables can be restored to a point in time."""
    off = []
    for layout, table in tables.items():
        try:
            response = client.read(table_of(layout), "DescribeContinuousBackups", {})["ContinuousBackupsDescription"]
        except Fault as fault:
            yield unchecked(_SIDE, "recovery", _lacking(fault, "DescribeContinuousBackups"))
            return
        status = response.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
        if status != "ENABLED":
            off.append(table["TableName"])
    if off:
        advice = "enable it with `aws dynamodb update-continuous-backups`, or make backups"
        yield warning(_SIDE, "recovery", f"point-in-time recovery is off for {', '.join(off)}", advice)
    elif tables:
        yield good(_SIDE, "recovery", "point-in-time recovery is on for all tables")


def _streams(tables: Tables) -> Iterator[Finding]:
    """Yield which tables have a stream, which a migration of a live application needs."""
    if tables:
        on = [
            table["TableName"] for table in tables.values() if table.get("StreamSpecification", {}).get("StreamEnabled")
        ]
        number = "all" if len(on) == len(tables) else ("no" if not on else f"{len(on)} of {len(tables)}")
        yield good(_SIDE, "streams", f"{number} tables have one, which only a migration of a live application needs")


def _lacking(fault: Fault, operation: str) -> str:
    return f"needs dynamodb:{operation}" if is_denied(fault) else fault.reason
