"""Statements use their indexes (5.2)."""

from collections.abc import Iterator

import pytest
from psycopg import sql

from actingweb.db.postgresql import attribute, claims, trust
from actingweb.db.postgresql import property as properties
from actingweb.db.postgresql.connection import get_schema_name
from actingweb.db.postgresql.rows import select_many_statement
from actingweb.db.postgresql.statement import Statement
from actingweb.db.records import PropertyRecord, TrustRecord
from actingweb.db.registry import Backend
from testbed.servers import PostgresTables

from .conftest import PgConnection

pytestmark = pytest.mark.backends("postgresql")

ROWS = 4000
NAMES = ["n5", "n6"]
KEY = {"id": "a1", "name": "n5", "value": "v5", "names": NAMES, "lookup_key": "k5", "prefix": "n5", "end": "n6"}
BOUNDS = {"id": "a1", "lower": "n1", "upper": "n11"}


@pytest.fixture(scope="module")
def filled(postgres_tables: PostgresTables) -> Iterator[PgConnection]:
    """Return a connection with a transaction that no one else sees, with enough rows of enough actors.

    The planner takes any index that serves a condition. Without the setting the costs of a scan are close on so few
    rows, and which is less depends on the pages that earlier tests have left.
    """
    with postgres_tables.connect() as connection, connection.transaction(force_rollback=True):
        _fill(connection)
        connection.execute("SET LOCAL enable_seqscan = off")
        yield connection


@pytest.fixture
def pg(backend: Backend, filled: PgConnection) -> PgConnection:
    """Return that connection, with the settings of its backend."""
    return filled


def _fill(pg: PgConnection) -> None:
    pg.execute(
        f"INSERT INTO actors (id, creator, passphrase) SELECT 'a' || n, '', '' FROM generate_series(1, {ROWS}) n"
    )
    for table, columns, select in [
        ("properties", "id, name, value", "'a' || (n % 50), 'n' || n, 'v' || n"),
        ("property_lookup", "lookup_key, property_name, actor_id", "'k' || n, 'n' || n, 'a' || n"),
        (
            "trusts",
            "id, peerid, baseuri, type, relationship, secret, approved, peer_approved, verified",
            "'a' || (n % 50 + 1), 'p' || n, '', '', '', 's' || n, true, true, true",
        ),
        (
            "attributes",
            "id, bucket, name, data, ttl_timestamp",
            "'a1', 'b' || n % 9, 'n' || n, jsonb_build_object('chain_id', 'c' || n), n * 7919::bigint % 1000",
        ),
    ]:
        where = "WHERE n % 50 > 0" if table == "properties" else ""
        pg.execute(
            f"INSERT INTO {table} ({columns}) SELECT {select} FROM generate_series(1, {ROWS}) n {where}".encode()
        )
        pg.execute(f"ANALYZE {table}".encode())


def plan(pg: PgConnection, statement: Statement, parameters: dict[str, object]) -> str:
    rows = pg.execute(b"EXPLAIN (COSTS OFF) " + statement.text(get_schema_name()), parameters)
    return "\n".join(line for (line,) in rows)


@pytest.mark.parametrize(
    ("statement", "parameters", "conditions"),
    [
        (properties.READ_RANGE, BOUNDS, 1),
        (properties.READ_RANGE_NAMES, BOUNDS, 1),
        (properties.READ_LAST_NAME, BOUNDS, 1),
        (properties.READ_PREFIXED, KEY, 1),
        (properties.READ_PREFIXED_NAMES, KEY, 1),
        (properties.READ_PLAIN, KEY, 2),
        (properties.DELETE_NAMES, KEY, 1),
        (select_many_statement(PropertyRecord), {"id": "a1", "parts": NAMES}, 1),
    ],
)
def test_a_range_is_found_by_both_columns_of_the_key(
    statement: Statement, parameters: dict[str, object], conditions: int, pg: PgConnection
) -> None:
    lines = plan(pg, statement, parameters).splitlines()
    found = [line for line in lines if "Index Cond: (" in line and "id" in line and "name" in line]
    assert len(found) == conditions, lines
    assert not [line for line in lines if "Seq Scan" in line or "Filter" in line]


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        (properties.READ_HOLDER, KEY, "idx_properties_value"),
        (claims.READ_CLAIM, KEY, "property_lookup_pkey"),
        (claims.DELETE_OTHER_CLAIMS, KEY, "idx_property_lookup_actor_id"),
        (claims.INSERT_OR_LOCK_CLAIM, KEY, "Index Scan"),
        (claims.UPDATE_RELEASED_CLAIM, KEY, "property_lookup_pkey"),
        *(
            (statement, KEY, index)
            for statement, index in zip(
                claims.CLAIM_STATEMENTS_IF_CHANGED,
                ("idx_property_lookup_actor_id", "Index Scan", "property_lookup_pkey"),
                strict=True,
            )
        ),
        (claims.DELETE_CLAIMS_IF_CHANGED, KEY, "idx_property_lookup_actor_id"),
        (claims.LOCK_CLAIMS_OF_NAMES, KEY, "idx_property_lookup_actor_id"),
        (claims.LOCK_CLAIMS, KEY, "idx_property_lookup_actor_id"),
        (claims.DELETE_CLAIMS_OF_NAMES, KEY, "idx_property_lookup_actor_id"),
        (claims.DELETE_CLAIMS, KEY, "idx_property_lookup_actor_id"),
        (select_many_statement(TrustRecord), {"id": "a1", "parts": ["p50", "p100"]}, "trusts_pkey"),
        (trust.READ_BY_SECRET, {"id": "a1", "secret": "s5"}, "idx_trusts_secret"),
        (
            attribute.DELETE_TEXT_CHAIN,
            {"id": "a1", "buckets": ["b5"], "chain_id": '"c5"'},
            "idx_attributes_chain_id",
        ),
    ],
)
def test_a_look_up_uses_its_index(
    statement: Statement, parameters: dict[str, object], index: str, pg: PgConnection
) -> None:
    found = plan(pg, statement, parameters)
    assert index in found
    assert "Seq Scan" not in found


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("now", [10, 2000], ids=["few expired", "all expired"])
@pytest.mark.parametrize("statement", [attribute.DELETE_EXPIRED, attribute.DELETE_EXPIRED_OF_BUCKETS])
def test_a_purge_takes_what_expired_in_the_order_of_its_index(
    statement: Statement, now: int, mode: str, pg: PgConnection
) -> None:
    """Also with the generic plan of a prepared statement, which does not depend on the parameters."""
    query = statement.query(get_schema_name())
    values = {"start": str(-(2**63)), "now": str(now), "most": str(attribute.PURGED_AT_ONCE), "buckets": "{b1,b2}"}
    literals = sql.SQL(", ").join(sql.Literal(values[name]) for name in query.names)
    with pg.transaction(force_rollback=True):
        pg.execute(sql.SQL("SET LOCAL plan_cache_mode = {}").format(sql.Identifier(mode)))
        pg.execute(b"PREPARE purge AS " + query.text)
        found = "\n".join(line for (line,) in pg.execute(sql.SQL("EXPLAIN EXECUTE purge ({})").format(literals)))
    pg.execute("DEALLOCATE purge")
    assert "Index Scan using idx_attributes_ttl" in found
    assert "Tid Scan" in found
    assert "Seq Scan" not in found
    assert "Sort" not in found
