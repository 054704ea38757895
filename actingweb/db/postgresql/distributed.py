"""Tells whether a server is plain PostgreSQL, which runs the statements of a pipeline as one transaction."""

from typing import LiteralString

__all__ = ["DISTRIBUTED"]

# An unknown server counts as distributed: explicit transactions cost a little time, but without them a pipeline might
# not be atomic. Aurora PostgreSQL, EDB and others that run PostgreSQL's own executor have its version text.
DISTRIBUTED: LiteralString = (
    "(pg_catalog.version() !~ '^PostgreSQL ' OR pg_catalog.version() ~* '(cockroach|yugabyte|-yb-|dsql)' "
    "OR EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus'))"
)
"""An SQL condition: whether the server forwards statements to others, or is another engine."""
