"""The tables for Alembic. Code that serves requests does not import this module.

The record types define the columns, their order and whether they may be null; this module adds keys and indexes.
"""

from datetime import datetime
from typing import Any, get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Connection,
    DateTime,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from actingweb.db.postgresql.constraints import OWNED, foreign_key, primary_key
from actingweb.db.postgresql.limits import ID_CHARACTERS, IDS
from actingweb.db.records import ActorRecord, AttributeRecord, Record, SubscriptionSuspensionRecord

__all__ = ["build_metadata", "key_collation", "metadata"]

_TYPES: dict[Any, TypeEngine[Any]] = {
    str: Text(),
    bool: Boolean(),
    int: BigInteger(),
    datetime: DateTime(timezone=True),
    Any: JSONB(),
}
_DEFAULTS: dict[tuple[type[Record], str], str] = {(SubscriptionSuspensionRecord, "subtarget"): ""}
_BYTE_ORDER = frozenset({"c", "posix", "c.utf8", "ucs_basic", "pg_unicode_fast"})


def key_collation(connection: Connection) -> str | None:
    """Return the collation of key columns; None if the database sorts text by its bytes without one.

    CockroachDB and Aurora DSQL sort by bytes, and reject a COLLATE clause on a column.
    """
    if "CockroachDB" in connection.execute(text("SELECT version()")).scalar_one():
        return None
    database = connection.execute(
        text("SELECT to_jsonb(d) FROM pg_catalog.pg_database d WHERE datname = current_database()")
    ).scalar_one()
    by_libc = database.get("datlocprovider", "c") == "c"
    locale = database["datcollate"] if by_libc else database.get("datlocale")
    return None if _plain(locale) in _BYTE_ORDER else "C"


def build_metadata(collation: str | None) -> MetaData:
    """Return the tables, with `collation` on their text key columns if one is given. No table names a schema."""
    metadata = MetaData()
    _add_actors(metadata, collation)
    for record in OWNED:
        _add_owned(metadata, record, collation)
    _add_attributes(metadata, collation)
    tables = metadata.tables
    Index("idx_actors_creator", tables["actors"].c.creator)
    Index("idx_property_lookup_actor_id", tables["property_lookup"].c.actor_id)
    Index("idx_trusts_secret", tables["trusts"].c.secret)
    # An index on a hash takes values of any size.
    properties = tables["properties"]
    Index("idx_properties_value", properties.c.name, func.hashtextextended(properties.c.value, text("0")))
    return metadata


def _plain(locale: str | None) -> str:
    return (locale or "").lower().replace("-", "")


def _add_actors(metadata: MetaData, collation: str | None) -> None:
    created_at: Column[Any] = Column("created_at", DateTime(timezone=True), server_default=func.now())
    _table(metadata, ActorRecord, collation, created_at)


def _add_owned(metadata: MetaData, record: type[Record], collation: str | None) -> None:
    owner = "actor_id" if "actor_id" in record.fields else "id"
    name = foreign_key(record)
    _table(metadata, record, collation, ForeignKeyConstraint([owner], ["actors.id"], name=name, ondelete="CASCADE"))


def _add_attributes(metadata: MetaData, collation: str | None) -> None:
    composed: Column[Any] = Column("bucket_name", Text, Computed("(bucket || ':'::text) || name", persisted=True))
    columns = _table(metadata, AttributeRecord, collation, composed).c
    chain_id = columns.data["chain_id"].astext
    Index("idx_attributes_ttl", columns.ttl_timestamp, postgresql_where=columns.ttl_timestamp.is_not(None))
    Index("idx_attributes_chain_id", chain_id, postgresql_where=chain_id.is_not(None))


def _table(
    metadata: MetaData, record: type[Record], collation: str | None, *extras: Column[Any] | ForeignKeyConstraint
) -> Table:
    columns = [_column(record, name, collation) for name in record.fields]
    key = PrimaryKeyConstraint(*record.key, name=primary_key(record))
    return Table(record.table, metadata, *columns, *extras, key)


def _column(record: type[Record], name: str, collation: str | None) -> Column[Any]:
    declared = record.types[name]
    required = [kind for kind in get_args(declared) or (declared,) if kind is not type(None)]
    nullable = declared is Any or len(required) < len(get_args(declared))
    kind = _type(record, name, required[0], collation)
    return Column(name, kind, nullable=nullable, server_default=_DEFAULTS.get((record, name)))


def _type(record: type[Record], name: str, kind: Any, collation: str | None) -> TypeEngine[Any]:
    if name in IDS:
        return String(ID_CHARACTERS, collation=collation)
    if kind is str and name in record.key:
        return Text(collation=collation)
    return _TYPES[kind]


metadata = build_metadata("C")
"""The tables in a database whose own collation is not byte order."""
