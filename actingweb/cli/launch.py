"""The entry points of the command line tool. Slow imports wait until a command runs."""

import sys
from functools import partial

from actingweb.migration.cli.password_option import hide_password

__all__ = ["main", "script"]

_OUTPUT_FAILED = 7
"""The exit code if the output cannot be written."""

_EXTRA_MODULES = frozenset({"alembic", "psycopg", "psycopg_pool", "pydantic", "rich", "sqlalchemy", "typer"})
"""The packages that the extra `postgresql` installs."""


def main() -> None:
    """Run the console command `actingweb-db`."""
    _start("main")


def script() -> None:
    """Run the commands of `actingweb-db migrate` by themselves."""
    _start("migrate")


def _start(application: str) -> None:
    hide_password()
    from actingweb.db.program import run

    run(partial(_run, application), _OUTPUT_FAILED)


def _run(application: str) -> None:
    try:
        from actingweb.cli import app

        getattr(app, application)()
    except ModuleNotFoundError as error:
        sys.exit(_report_missing(error.name or str(error)))


def _report_missing(module: str) -> int:
    is_extra = module.partition(".")[0] in _EXTRA_MODULES
    advice = ': install the extra `postgresql` by pip install "actingweb-db[postgresql]"' if is_extra else ""
    print(f"ERROR: the module {module} is missing{advice}", file=sys.stderr)
    return 2
