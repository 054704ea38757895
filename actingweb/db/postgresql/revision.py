"""The revision of the schema that this release needs, known without loading Alembic."""

__all__ = ["HEAD"]

HEAD = "c27d4b90e5f1"
"""The newest revision in `migrations/versions`."""
