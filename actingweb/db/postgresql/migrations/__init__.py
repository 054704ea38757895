"""The environment of Alembic and its revisions."""
