"""One property read through psycopg alone."""

import os

import psycopg
import psycopg_pool  # noqa: F401
from psycopg import sql
from report_ready import report_ready  # type: ignore[import-not-found]

connection = psycopg.connect(
    host=os.environ["PG_DB_HOST"],
    port=os.environ["PG_DB_PORT"],
    user=os.environ["PG_DB_USER"],
    password=os.environ["PG_DB_PASSWORD"],
    dbname=os.environ["PG_DB_NAME"],
    autocommit=True,
)
table = sql.Identifier(os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"], "properties")
query = sql.SQL("SELECT value FROM {} WHERE id = %s AND name = %s").format(table)
found = connection.execute(query, ["cold-actor", "word"]).fetchone()
report_ready(found and found[0])
