"""What commands share: the format of their help, and how they end."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from actingweb.migration.errors import ExitCode, MigrationError

__all__ = ["FORMAT", "SETTINGS", "conclude"]

SETTINGS = (
    "Settings come from the environment, then from a file .env in the working directory or above: PG_DB_URL, "
    "PG_DB_HOST, PG_DB_PORT, PG_DB_NAME, PG_DB_USER, PG_DB_PASSWORD, PG_DB_PREFIX, PG_DB_SCHEMA, and PG_MIGRATION_URL "
    "for the role that may change tables."
)
FORMAT: dict[str, Any] = {
    "no_args_is_help": True,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def conclude(command: Callable[[], ExitCode]) -> NoReturn:
    """Run a command and exit with its exit code; print an error as one line to stderr."""
    try:
        code = command()
    except MigrationError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("ERROR: interrupted", file=sys.stderr)
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)
