"""The statements of an application on the layout of ActingWeb 3.15, as far as an upgrade concerns them."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

__all__ = ["READS", "WRITES", "former_outcome"]

WRITES: dict[str, LiteralString] = {
    "actors": "INSERT INTO actors (id, creator, passphrase, created_at) VALUES (%(key)s, '', '', %(time)s)",
    "properties": "INSERT INTO properties (id, name, value) VALUES ('a1', %(key)s, 'v')",
    "property_lookup": "INSERT INTO property_lookup (property_name, value, actor_id) VALUES ('email', %(key)s, 'a1')",
    "trusts": "INSERT INTO trusts (id, peerid, baseuri, type, relationship, secret, approved, peer_approved, verified,"
    " created_at) VALUES ('a1', %(key)s, '', '', '', '', true, true, true, %(time)s)",
    "peertrustees": "INSERT INTO peertrustees (id, peerid, baseuri, type, passphrase)"
    " VALUES ('a1', %(key)s, '', '', '')",
    "subscriptions": "INSERT INTO subscriptions (id, peer_sub_id, peerid, subid, seqnr, callback)"
    " VALUES ('a1', 'p:' || %(key)s, 'p', %(key)s, 1, false)",
    "subscription_diffs": "INSERT INTO subscription_diffs (id, subid_seqnr, subid, timestamp, diff, seqnr)"
    " VALUES ('a1', %(key)s || ':1', %(key)s, %(time)s, '', 1)",
    "subscription_suspensions": "INSERT INTO subscription_suspensions (id, target, subtarget, suspended_at)"
    " VALUES ('a1', %(key)s, '', %(time)s)",
    "attributes": "INSERT INTO attributes (id, bucket_name, bucket, name, data, timestamp)"
    " VALUES ('a1', 'b:' || %(key)s, 'b', %(key)s, 'true', %(time)s)",
}
"""One for each table, of a row of its own for each `key`; `time` is in UTC without saying so."""

READS: dict[str, LiteralString] = {
    "actors": "SELECT created_at FROM actors WHERE id = %(key)s",
    "properties": "SELECT value FROM properties WHERE id = 'a1' AND name = %(key)s",
    "property_lookup": "SELECT actor_id FROM property_lookup WHERE property_name = 'email' AND value = %(key)s",
    "trusts": "SELECT created_at FROM trusts WHERE id = 'a1' AND peerid = %(key)s",
    "peertrustees": "SELECT type FROM peertrustees WHERE id = 'a1' AND peerid = %(key)s",
    "subscriptions": "SELECT seqnr FROM subscriptions WHERE id = 'a1' AND peer_sub_id = 'p:' || %(key)s",
    "subscription_diffs": "SELECT timestamp FROM subscription_diffs WHERE id = 'a1' AND subid_seqnr = %(key)s || ':1'",
    "subscription_suspensions": "SELECT suspended_at FROM subscription_suspensions"
    " WHERE id = 'a1' AND target = %(key)s",
    "attributes": "SELECT timestamp FROM attributes WHERE id = 'a1' AND bucket_name = 'b:' || %(key)s",
}
"""Find the rows again."""


def former_outcome(
    connection: psycopg.Connection[Any], statement: LiteralString, parameters: dict[str, Any]
) -> list[Any] | str:
    """Return the rows of a statement, or the class of the error that it raises."""
    try:
        cursor = connection.execute(statement, parameters)
        return [value for (value,) in cursor] if cursor.description else []
    except psycopg.Error as error:
        return type(error).__name__
