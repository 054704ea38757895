"""The names of the constraints, with or without the shard number that a distributed server appends."""

import re

import psycopg

from actingweb.db.records import (
    ActorRecord,
    AttributeRecord,
    PeerTrusteeRecord,
    PropertyLookupRecord,
    PropertyRecord,
    Record,
    SubscriptionDiffRecord,
    SubscriptionRecord,
    SubscriptionSuspensionRecord,
    TrustRecord,
)

__all__ = ["ALL", "OWNED", "concerns_actor", "foreign_key", "primary_key", "violated"]

OWNED: tuple[type[Record], ...] = (
    PropertyRecord,
    PropertyLookupRecord,
    TrustRecord,
    PeerTrusteeRecord,
    SubscriptionRecord,
    SubscriptionDiffRecord,
    SubscriptionSuspensionRecord,
)
"""The tables whose rows are deleted with their actor."""

ALL: tuple[type[Record], ...] = (ActorRecord, *OWNED, AttributeRecord)
"""All tables."""


def foreign_key(record: type[Record]) -> str:
    """Return the name of the foreign key from a table to the actor."""
    return f"fk_{record.table}_actor"


def primary_key(record: type[Record]) -> str:
    """Return the name of a table's primary key constraint."""
    return f"{record.table}_pkey"


_SHARD = "(?:_[0-9]+)?"
_TABLES = {foreign_key(record): record.table for record in OWNED}
_KEYS = [primary_key(record) for record in ALL]
_NAME = rf"(?<!\w)({'|'.join([*_TABLES, *_KEYS])}){_SHARD}(?!\w)"


def violated(error: psycopg.Error) -> str | None:
    """Return the name of the constraint that an error reports; remove the shard number from those of our tables."""
    reported = error.diag.constraint_name
    if reported is not None:
        found = re.fullmatch(_NAME, reported)
        return found[1] if found else reported
    # A Citus coordinator forwards the message of the server that has the shard, in any language, but not its fields.
    found = re.search(_NAME, error.diag.message_primary or "")
    return found[1] if found else None


def concerns_actor(error: psycopg.Error) -> bool:
    """Tell whether an error reports a violated foreign key to the actors."""
    table = _TABLES.get(violated(error) or "")
    reported = error.diag.table_name
    return table is not None and (reported is None or re.fullmatch(table + _SHARD, reported) is not None)
