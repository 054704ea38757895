"""The revisions of the schema, available without importing Alembic."""

__all__ = ["EARLIER", "HEAD"]

EARLIER = ("e5f6a7b8c9d0", "4c0d81e27a95", "93f5c6a8104e", "7be2190f6d3c")
"""The revisions in `migrations/versions` that `alembic upgrade head` can start from, oldest first."""

HEAD = "c27d4b90e5f1"
"""The newest revision in `migrations/versions`, which this release needs."""
