"""The IAM policies for a live migration allow what its commands ask of DynamoDB, and nothing else."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from threading import Event, Thread
from typing import TYPE_CHECKING, LiteralString

import pytest

from actingweb import db
from actingweb.migration.cli.live import Session, finish_migration, prepare_migration, prepare_way_back
from actingweb.migration.cli.live_switch import Commands, Switching, move_share, switch
from actingweb.migration.cli.options import PostgresFlags
from actingweb.migration.cli.plan import plan
from actingweb.migration.cli.sources import DynamoDBFlags
from actingweb.migration.live.status import Status
from actingweb.migration.live.sync import Sync
from testbed.dynamodb_proxy import Seen, SpoilingProxy, spoiling_proxy
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.faults.test_iam import Right, allowed, policy, resource, rights
from tests.live.sides import Sides
from tests.migration.tables import first_table_of_claims
from tests.support import PATIENCE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SOURCE, FLAGS, COMMANDS = (
    DynamoDBFlags(None, None, None, 1, None),
    PostgresFlags(),
    Commands("true", "true", "true", fenced=True),
)
# What only claims take that change hands meanwhile.
RARE = {
    ("dynamodb:ConditionCheckItem", "arn:aws:dynamodb:REGION:ACCOUNT:table/PREFIX_properties"),
    ("dynamodb:UpdateItem", "arn:aws:dynamodb:REGION:ACCOUNT:table/PREFIX_property_lookup_v2"),
}

CHANGES: tuple[LiteralString, ...] = (
    "UPDATE {schema}.actors SET creator = 'b'",
    "UPDATE {schema}.properties SET value = value || 'b'",
    "UPDATE {schema}.attributes SET data = '2'",
    "UPDATE {schema}.trusts SET secret = 'b'",
    "UPDATE {schema}.peertrustees SET type = 'b'",
    "UPDATE {schema}.subscriptions SET target = 'b'",
    "UPDATE {schema}.subscription_diffs SET diff = 'b'",
    "UPDATE {schema}.subscription_suspensions SET suspended_at = now()",
    "UPDATE {schema}.property_lookup SET actor_id = 'second' WHERE actor_id = 'third'",
)


def of_streams(request: Seen) -> set[Right]:
    """Return the right that a request to a stream needs."""
    place = str(request.body.get("StreamArn") or request.body["ShardIterator"])
    (table,) = set(re.findall(r"table/([^/]+)/stream", place))
    return {(f"dynamodb:{request.operation}", f"{resource(table)}/stream/*")}


def needed(requests: list[Seen]) -> set[Right]:
    """Return the rights that requests need."""
    found = set[Right]()
    for request in requests:
        if request.operation == "ListTables":
            found.add(("dynamodb:ListTables", "*"))
        elif {"StreamArn", "ShardIterator"} & request.body.keys():
            found |= of_streams(request)
        else:
            found |= rights(request)
    return found


def wait_for(session: Session, condition: Callable[[Status], bool]) -> None:
    """Wait until the status is as wanted."""
    deadline = time.monotonic() + PATIENCE
    while not condition(status := session.status()):
        assert time.monotonic() < deadline, status
        time.sleep(0.2)


@contextmanager
def syncing(session: Session) -> Iterator[None]:
    """Let a process of the migration work."""
    stop = Event()
    sync = Sync(session.state, session.requests(stop), session.state.connect, stop=stop)
    thread = Thread(target=sync.run)
    thread.start()
    try:
        wait_for(session, lambda status: status.gate().is_open)
        yield
    finally:
        stop.set()
        thread.join()


def write(backend: str, actor_id: str) -> None:
    """Write a row of each table, and delete some of them."""
    config = db.load_backend(backend)
    db.get_actor(config).create(actor_id=actor_id, creator="anna@example.com", passphrase="secret")
    db.get_property(config).set(actor_id=actor_id, name="email", value=f"{actor_id}@example.com")
    db.get_trust(config).create(actor_id=actor_id, peerid="peer", relationship="friend", secret="token")
    db.get_peer_trustee(config).create(actor_id=actor_id, peerid="peer", peer_type="urn:example", passphrase="secret")
    db.get_subscription(config).create(actor_id=actor_id, peerid="peer", subid="news", target="properties")
    db.get_subscription_diff(config).create(actor_id=actor_id, subid="news", diff="{}", seqnr=1)
    db.get_subscription_suspension(config, actor_id).suspend("properties", "mood")
    db.get_attribute(config).set_attr(actor_id=actor_id, bucket="session", name="theme", data=1)


@pytest.fixture
def proxy(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv) -> Iterator[SpoilingProxy]:
    """Put a proxy before DynamoDB, and let the settings name both sides."""
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        settings = {**sides.environment, **postgres_tables.environment, "AWS_DB_HOST": proxy.url}
        set_env(**settings, INDEXED_PROPERTIES="email")
        yield proxy


def sent(proxy: SpoilingProxy, command: Callable[[], object]) -> set[Right]:
    """Return the rights that a command needs."""
    before = len(proxy.seen)
    command()
    return needed(proxy.seen[before:])


def test_the_way_to_postgresql(sides: Sides, proxy: SpoilingProxy, ddb: DynamoDBClient) -> None:
    session = Session(FLAGS)
    write("dynamodb", "first")
    with first_table_of_claims(ddb, sides.prefix):
        assert sent(proxy, lambda: plan(SOURCE, FLAGS, 10, None, writes=True, as_json=True)) == allowed_by("plan")
        prepared = sent(proxy, lambda: prepare_migration(SOURCE, FLAGS, enable_streams=True))
        moved = sent(proxy, lambda: move(session))
        ended = sent(proxy, lambda: finish_migration(None, FLAGS, disable_streams=True, confirmed=False))
    assert moved | RARE == allowed_by("sync")
    assert prepared | ended == allowed_by("prepare")


def move(session: Session) -> None:
    """Go through all of it but the beginning and the end, and write on the side that owns the actor."""
    with syncing(session):
        write("dynamodb", "second")
        for share in (50, 100):
            move_share(session, Decimal(share), COMMANDS, PATIENCE)
        write("postgresql", "third")
        wait_for(session, _is_quiet)
        change(session, *CHANGES)
        wait_for(session, _is_quiet)
        change(session, "DELETE FROM {schema}.actors WHERE id <> 'third'")
        switch(session, COMMANDS, Switching(False, 1000, PATIENCE), None, back=False)
        switch(session, COMMANDS, Switching(True, 1000, PATIENCE), None, back=True)
        wait_for(session, _is_quiet)


def change(session: Session, *statements: LiteralString) -> None:
    """Change rows in PostgreSQL."""
    with session.state.connect() as connection:
        for statement in statements:
            connection.execute(session.state.sql(statement))


def _is_quiet(status: Status) -> bool:
    return not sum(table.dirty + table.marks for table in status.tables)


def test_the_way_to_dynamodb(sides: Sides, proxy: SpoilingProxy, ddb: DynamoDBClient, set_env: SetEnv) -> None:
    session = Session(FLAGS)
    write("postgresql", "first")
    with first_table_of_claims(ddb, sides.prefix):
        into_existing_tables = sent(proxy, lambda: prepare_way_back(SOURCE, FLAGS))
    finish_migration(None, FLAGS, disable_streams=True, confirmed=True)
    set_env(AWS_DB_PREFIX=f"{sides.prefix}_x")
    prepared = sent(proxy, lambda: prepare_way_back(SOURCE, FLAGS))
    copied = sent(proxy, lambda: copy(session))
    finish_migration(None, FLAGS, disable_streams=True, confirmed=True)
    assert copied <= allowed_by("sync")
    assert prepared | into_existing_tables == allowed_by("way-back")


def copy(session: Session) -> None:
    """Copy everything to DynamoDB."""
    with syncing(session):
        wait_for(session, _is_quiet)


def allowed_by(name: str) -> set[Right]:
    """Return what a policy allows."""
    return allowed(policy(f"migrate-{name}"))
