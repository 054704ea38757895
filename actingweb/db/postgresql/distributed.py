"""Whether a server is plain PostgreSQL, which takes the statements of a pipeline for one transaction."""

from typing import LiteralString

__all__ = ["DISTRIBUTED"]

# What is not known is taken for distributed: that costs a little time, the opposite would cost atomicity. Aurora
# PostgreSQL, EDB and others that run PostgreSQL's own executor have its text.
DISTRIBUTED: LiteralString = (
    "(pg_catalog.version() !~ '^PostgreSQL ' OR pg_catalog.version() ~* '(cockroach|yugabyte|-yb-|dsql)' "
    "OR EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus'))"
)
"""A condition that the server answers: whether it hands statements on, or is another engine."""
