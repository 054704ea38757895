"""`actingweb-db schema`: make, upgrade, check and downgrade the tables in PostgreSQL."""

from typing import Annotated

import typer

from actingweb.cli.format import FORMAT, SETTINGS, conclude

__all__ = ["schema"]

_ABOUT = f"Make, upgrade and check the tables in PostgreSQL, in the schema PG_DB_PREFIX + PG_DB_SCHEMA.\n\n{SETTINGS}"
_EXIT_CODES = (
    "Exit codes: 0 all well · 2 wrong usage or settings · 4 the schema is not what this release needs · "
    "7 the database cannot be reached or refuses."
)

schema = typer.Typer(help=_ABOUT, epilog=_EXIT_CODES, **FORMAT)

_Revision = Annotated[str, typer.Argument(help="Where to go: `head`, or the id of a revision.")]
_Earlier = Annotated[str, typer.Argument(help="Where to go: the id of an earlier revision, such as e5f6a7b8c9d0.")]


@schema.command(epilog=_EXIT_CODES)
def upgrade(revision: _Revision = "head") -> None:
    """Bring the tables to this release, making what is missing. It takes exclusive locks: stop the application."""
    from actingweb.cli import schema_commands

    conclude(lambda: schema_commands.upgrade(revision))


@schema.command(epilog=_EXIT_CODES)
def current() -> None:
    """Say at which revision the schema is. Nothing is written."""
    from actingweb.cli import schema_commands

    conclude(schema_commands.current)


@schema.command(epilog=_EXIT_CODES)
def check() -> None:
    """Tell whether tables, columns and indexes are those that this release needs. Nothing is written."""
    from actingweb.cli import schema_commands

    conclude(schema_commands.check)


@schema.command(epilog=_EXIT_CODES)
def downgrade(revision: _Earlier) -> None:
    """Bring the tables back to an earlier release. What the older layout cannot hold stops it before any change."""
    from actingweb.cli import schema_commands

    conclude(lambda: schema_commands.downgrade(revision))


@schema.command(epilog=_EXIT_CODES)
def sql() -> None:
    """Print the SQL that makes all tables in an empty database, for those who run it by hand. Nothing is written."""
    from actingweb.cli import schema_commands

    conclude(schema_commands.sql)
