"""The Typer application `actingweb-db`: its groups and commands."""

from typing import Annotated

import typer

from actingweb.cli.doctor import EXIT_CODES, doctor
from actingweb.cli.format import FORMAT
from actingweb.cli.migrate_live import migrate
from actingweb.cli.schema import schema

__all__ = ["main", "migrate"]

main = typer.Typer(help="Tools for the storage of ActingWeb applications.", **FORMAT)
main.command(epilog=EXIT_CODES)(doctor)
main.add_typer(schema, name="schema")
main.add_typer(migrate, name="migrate")


def _show_version(shown: bool) -> None:
    if shown:
        from actingweb.db import __version__

        print(f"actingweb-db {__version__}")
        raise typer.Exit


@main.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tools for the storage of ActingWeb applications."""
