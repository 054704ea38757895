"""Bring the database to a revision of the schema from Python, as `alembic upgrade` does."""

from pathlib import Path

from alembic import command
from alembic.config import Config

__all__ = ["ALEMBIC_INI", "upgrade"]

ALEMBIC_INI = Path(__file__).with_name("alembic.ini")


def upgrade(revision: str = "head") -> None:
    """Upgrade the schema that the environment names, making it if it is missing.

    Raise `alembic.util.CommandError` if the stored data or the database's revision does not allow it; nothing has
    changed then.
    """
    command.upgrade(Config(ALEMBIC_INI), revision)
