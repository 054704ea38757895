"""`delete_expired`: each batch is a transaction that does not wait for locks and holds its own only briefly."""

# ruff: noqa: PT012 - what is tested is how a block ends

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from actingweb.db import get_attribute, transaction
from actingweb.db.postgresql.attribute import PURGED_AT_ONCE
from actingweb.db.protocols import DbAttributeProtocol
from actingweb.db.registry import Backend
from testbed.servers import PostgresTables
from testbed.tcp_proxy import TcpProxy
from tests.support import PATIENCE

from .conftest import PgConnection
from .test_recovery import wait_until_blocked

pytestmark = pytest.mark.backends("postgresql")

EXPIRED = 1000
FULL = 2 * PURGED_AT_ONCE
BATCHES = [PURGED_AT_ONCE, PURGED_AT_ONCE, 2345]


@pytest.fixture
def attribute(backend: Backend) -> DbAttributeProtocol:
    return get_attribute(backend)


def fill(pg: PgConnection, expired: int, live: int = 0) -> None:
    """Store expired rows, many of which expired in the same second, and live ones of the same buckets."""
    insert = (
        "INSERT INTO attributes (id, bucket, name, data, ttl_timestamp) "
        "SELECT 'a' || mod(n, 50), 'b' || mod(n, 4), %s || n, '1', %s::bigint - n / 5000 FROM generate_series(1, %s) n"
    )
    pg.execute(insert, ["expired", EXPIRED, expired])
    pg.execute(insert, ["live", 2**40, live])
    pg.execute(insert, ["forever", None, live])


def names(pg: PgConnection) -> list[str]:
    return [name for (name,) in pg.execute("SELECT name FROM attributes ORDER BY name")]


@pytest.fixture
def noting(pg: PgConnection) -> Iterator[None]:
    """Make each transaction record how many attributes it deletes, and the second wait for advisory lock 7."""
    pg.execute("CREATE TABLE noted (number bigserial, transaction bigint, rows bigint)")
    pg.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN "
        "INSERT INTO noted (transaction, rows) SELECT txid_current(), count(*) FROM gone; "
        "PERFORM pg_advisory_xact_lock(7) WHERE (SELECT max(number) FROM noted) = 2; RETURN NULL; END $$"
    )
    pg.execute(
        "CREATE TRIGGER note AFTER DELETE ON attributes REFERENCING OLD TABLE AS gone "
        "FOR EACH STATEMENT EXECUTE FUNCTION note()"
    )
    yield
    pg.execute("DROP FUNCTION note CASCADE")
    pg.execute("DROP TABLE noted")


def noted(pg: PgConnection) -> list[int]:
    """Return how many rows each transaction deleted."""
    rows = pg.execute("SELECT sum(rows) FROM noted GROUP BY transaction ORDER BY min(number)")
    return [int(count) for (count,) in rows]


def test_each_batch_is_a_transaction_and_live_rows_stay(
    attribute: DbAttributeProtocol, pg: PgConnection, noting: None
) -> None:
    fill(pg, sum(BATCHES), live=500)
    assert attribute.delete_expired() == sum(BATCHES)
    assert noted(pg) == BATCHES
    assert len(names(pg)) == 1000
    assert not [name for name in names(pg) if name.startswith("expired")]


@pytest.mark.parametrize(("expired", "trips"), [(0, 1), (300, 1), (PURGED_AT_ONCE - 1, 1), (PURGED_AT_ONCE + 1, 2)])
def test_round_trips(
    attribute: DbAttributeProtocol, pg: PgConnection, proxy: TcpProxy, expired: int, trips: int
) -> None:
    fill(pg, expired)
    attribute.get_attr("a", "b", "n")
    before = proxy.flights
    assert attribute.delete_expired(buckets=["b0", "b1", "b2", "b3"]) == expired
    # The first run of a statement is its preparation, too.
    assert proxy.flights - before == trips


def test_batches_of_some_buckets(attribute: DbAttributeProtocol, pg: PgConnection) -> None:
    fill(pg, 4 * PURGED_AT_ONCE + 400)
    assert attribute.delete_expired(buckets=["b1", "b3", "absent"]) == FULL + 200
    assert {bucket for (bucket,) in pg.execute("SELECT bucket FROM attributes")} == {"b0", "b2"}
    assert attribute.delete_expired() == FULL + 200


def test_a_row_that_another_transaction_holds_is_left_to_the_next_purge(
    attribute: DbAttributeProtocol, pg: PgConnection
) -> None:
    fill(pg, PURGED_AT_ONCE + 10)
    with ThreadPoolExecutor(1) as threads, pg.transaction():
        pg.execute("UPDATE attributes SET ttl_timestamp = %s WHERE name = 'expired7'", [2**40])
        pg.execute("SELECT FROM attributes WHERE name = 'expired8' FOR UPDATE")
        purging = threads.submit(attribute.delete_expired)
        assert purging.result(PATIENCE) == PURGED_AT_ONCE + 8
    assert names(pg) == ["expired7", "expired8"]
    assert attribute.delete_expired() == 1
    assert names(pg) == ["expired7"]


def test_rows_of_an_earlier_batch_can_be_written_while_the_next_is_deleted(
    attribute: DbAttributeProtocol, pg: PgConnection, noting: None
) -> None:
    fill(pg, sum(BATCHES))
    [(gone, bucket, actor)] = pg.execute(
        "SELECT name, bucket, id FROM attributes ORDER BY ttl_timestamp LIMIT 1"
    ).fetchall()
    with ThreadPoolExecutor(2) as threads:
        pg.execute("SELECT pg_advisory_lock(7)")
        purging = threads.submit(attribute.delete_expired)
        wait_until_blocked(pg)
        assert noted(pg) == BATCHES[:1]
        writing = threads.submit(attribute.set_attr, actor, bucket, gone, "anew")
        assert writing.result(PATIENCE) is True
        pg.execute("SELECT pg_advisory_unlock(7)")
        assert purging.result(PATIENCE) == sum(BATCHES)
    assert names(pg) == [gone]


def test_writers_go_on_while_many_rows_are_purged(
    attribute: DbAttributeProtocol, pg: PgConnection, postgres_tables: PostgresTables
) -> None:
    """They add and change live rows; a long wait for a lock would be an error."""
    fill(pg, 3 * PURGED_AT_ONCE, live=200)
    done = threading.Event()

    def write() -> int:
        writes = 0
        with postgres_tables.connect() as connection:
            connection.execute("SET lock_timeout = '300ms'")
            while not done.is_set() or writes < 10:
                writes += 1
                connection.execute(
                    "INSERT INTO attributes (id, bucket, name, data, ttl_timestamp) VALUES ('w', 'b', %s, '1', NULL)",
                    [f"new{writes}"],
                )
                connection.execute(
                    "UPDATE attributes SET data = '2' WHERE name IN ('live1', %s)", [f"live{writes % 200}"]
                )
        return writes

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        try:
            assert attribute.delete_expired() == 3 * PURGED_AT_ONCE
        finally:
            done.set()
        writes = writing.result(PATIENCE)
    assert len(names(pg)) == 400 + writes


def test_a_purge_can_be_part_of_a_transaction(
    backend: Backend, attribute: DbAttributeProtocol, pg: PgConnection, noting: None
) -> None:
    fill(pg, sum(BATCHES), live=1)
    with pytest.raises(ZeroDivisionError), transaction(backend):
        assert attribute.delete_expired() == sum(BATCHES)
        raise ZeroDivisionError
    assert len(names(pg)) == sum(BATCHES) + 2
    with transaction(backend):
        assert attribute.delete_expired() == sum(BATCHES)
    assert noted(pg) == [sum(BATCHES)]
    assert names(pg) == ["forever1", "live1"]
