"""Statements find their rows in order, by an index and without a sort, whatever the text order of the database."""

import pytest

from actingweb.db.postgresql import property as properties
from actingweb.db.postgresql import subscription_diff
from actingweb.db.postgresql.rows import select_statement
from actingweb.db.postgresql.statement import Statement
from actingweb.db.records import (
    AttributeRecord,
    PeerTrusteeRecord,
    PropertyRecord,
    SubscriptionDiffRecord,
    SubscriptionRecord,
    SubscriptionSuspensionRecord,
    TrustRecord,
)

from .conftest import Place

VALUES = {
    "id": "a15",
    "subid": "s",
    "lower": "n12",
    "upper": "n122",
    "prefix": "n12",
    "end": "n13",
    "bucket": "b1",
}
ORDERED: dict[str, Statement] = {
    "property range": properties.READ_RANGE,
    "property names in a range": properties.READ_RANGE_NAMES,
    "property prefix": properties.READ_PREFIXED,
    "last property in a range": properties.READ_LAST_NAME,
    "properties": select_statement(PropertyRecord, 1),
    "properties beside lists": properties.READ_PLAIN,
    "trusts": select_statement(TrustRecord, 1),
    "peer trustees": select_statement(PeerTrusteeRecord, 1),
    "subscriptions": select_statement(SubscriptionRecord, 1),
    "suspensions": select_statement(SubscriptionSuspensionRecord, 1),
    "oldest diff": subscription_diff.READ_LOWEST,
    "diffs of a subscription": select_statement(SubscriptionDiffRecord, 2),
    "attributes of a bucket": select_statement(AttributeRecord, 2),
    "attributes": select_statement(AttributeRecord, 1),
}


def fill(place: Place) -> None:
    """Store so many rows that a scan would cost more than an index; those of an actor lie together."""
    place.execute("INSERT INTO actors (id, creator, passphrase) SELECT 'a' || n, '', '' FROM generate_series(10, 60) n")
    for table, columns, values in (
        ("properties", "id, name, value", "'n' || n, 'v'"),
        (
            "trusts",
            "id, peerid, baseuri, type, relationship, secret, approved, peer_approved, verified",
            "'p' || n, '', '', '', 's' || n, true, true, true",
        ),
        ("peertrustees", "id, peerid, baseuri, type, passphrase", "'p' || n, '', '', ''"),
        ("subscriptions", "id, peerid, subid, seqnr, callback", "'p' || n, 's', 1, false"),
        ("subscription_suspensions", "id, target, subtarget, suspended_at", "'t' || n, '', now()"),
        ("subscription_diffs", "id, subid, seqnr, timestamp, diff", "'s', n, now(), '{}'"),
        ("attributes", "id, bucket, name, data", "'b' || n % 9, 'n' || n, '{}'"),
    ):
        rows = f"SELECT 'a' || n / 80, {values} FROM generate_series(800, 4800) n"
        place.connection.execute(f"INSERT INTO {table} ({columns}) {rows}".encode())
    place.execute("ANALYZE")


@pytest.mark.parametrize("name", ["byte_order_place", "other_order_place"])
def test_rows_are_found_in_their_order(name: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(name)
    place.upgrade()
    fill(place)
    # The planner may like to sort a few rows that lie anywhere; it never has to.
    place.execute("SET enable_bitmapscan = off")
    for what, statement in ORDERED.items():
        query = b"EXPLAIN (COSTS OFF) " + statement.text(place.schema)
        plan = "\n".join(line for (line,) in place.connection.execute(query, VALUES))
        assert "Index" in plan, f"{what}: {plan}"
        assert "Seq Scan" not in plan, f"{what}: {plan}"
        assert not {"Sort", "Incremental Sort"} & {line.strip(" ->") for line in plan.splitlines()}, f"{what}: {plan}"
