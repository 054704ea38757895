"""`actingweb-db schema`: create, upgrade, check and downgrade the tables in PostgreSQL."""

from typing import Annotated

import typer

from actingweb.cli.format import FORMAT, SETTINGS, conclude

__all__ = ["schema"]

_ABOUT = f"Create, upgrade and check the tables in PostgreSQL, in the schema PG_DB_PREFIX + PG_DB_SCHEMA.\n\n{SETTINGS}"
_EXIT_CODES = (
    "Exit codes: 0 success · 2 wrong usage or settings · 4 the schema is not what this release needs · "
    "7 the database cannot be reached or rejects a statement."
)

schema = typer.Typer(help=_ABOUT, epilog=_EXIT_CODES, **FORMAT)

_Revision = Annotated[str, typer.Argument(help="The target: `head`, or the id of a revision.")]
_Earlier = Annotated[str, typer.Argument(help="The target: the id of an earlier revision, such as e5f6a7b8c9d0.")]


@schema.command(epilog=_EXIT_CODES)
def upgrade(revision: _Revision = "head") -> None:
    """Upgrade the tables to this release, or create them. This takes exclusive locks: stop the application."""
    from actingweb.cli import schema_commands

    conclude(lambda: schema_commands.upgrade(revision))


@schema.command(epilog=_EXIT_CODES)
def current() -> None:
    """Print the revision of the schema. Nothing is written."""
    from actingweb.cli import schema_commands

    conclude(schema_commands.current)


@schema.command(epilog=_EXIT_CODES)
def check() -> None:
    """Check that tables, columns and indexes are those that this release needs. Nothing is written."""
    from actingweb.cli import schema_commands

    conclude(schema_commands.check)


@schema.command(epilog=_EXIT_CODES)
def downgrade(revision: _Earlier) -> None:
    """Downgrade the tables to an earlier release. Stop before any change if the older layout cannot hold the data."""
    from actingweb.cli import schema_commands

    conclude(lambda: schema_commands.downgrade(revision))


@schema.command(epilog=_EXIT_CODES)
def sql() -> None:
    """Print the SQL that creates all tables in an empty database, to run it by hand. Nothing is written."""
    from actingweb.cli import schema_commands

    conclude(schema_commands.sql)
