"""Check the DynamoDB tables, their keys and indexes: `python -m actingweb.db.verify_tables`.

Exit codes: 0 all are correct, 1 some are missing or have another key or index, 2 they could not be checked.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.faults import Fault
from actingweb.db.program import run
from actingweb.db.settings import get_settings, reset_settings

if TYPE_CHECKING:
    from actingweb.db.dynamodb.layouts import Layout
    from actingweb.db.dynamodb.models import TableModel
    from actingweb.db.dynamodb.table_check import Description

__all__ = ["lookup_mode_enabled", "main", "required_models", "required_table_names", "verify_tables"]


def lookup_mode_enabled() -> bool:
    """Tell whether USE_PROPERTY_LOOKUP_TABLE asks for the look-up table."""
    return get_settings().use_property_lookup_table


def required_models(use_lookup_table: bool | None = None) -> "list[type[TableModel]]":
    """Return the models whose tables must exist, in lookup mode or not, by default as the settings say."""
    from actingweb.db.dynamodb.models import model_of

    return list(map(model_of, _required(use_lookup_table)))


def required_table_names(use_lookup_table: bool | None = None) -> list[str]:
    """Return the names of the tables that must exist."""
    return list(map(_name, _required(use_lookup_table)))


def verify_tables(use_lookup_table: bool | None = None) -> tuple[list[str], list[str]]:
    """Return the names of the required tables that exist, and of those that are missing. Raise `DbError`."""
    found = _described(use_lookup_table)
    present = [_name(layout) for layout, table in found.items() if table is not None]
    return present, [_name(layout) for layout, table in found.items() if table is None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _options(argv)
    try:
        _reload_settings()
        if options.list:
            print("\n".join(required_table_names(options.lookup)))
            return 0
        found = _described(options.lookup)
    except Exception as error:  # noqa: BLE001 - the command prints any error and exits with 2
        print(error, file=sys.stderr)
        return 2
    missing = [_name(layout) for layout, table in found.items() if table is None]
    for name in missing:
        print(f"MISSING  {name}")
    if missing:
        print(f"{len(missing)} required table(s) missing", file=sys.stderr)
        _report_problems(found)
        return 1
    print(f"All {len(found)} required tables exist.")
    _report_ttl()
    return 1 if _report_problems(found) else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m actingweb.db.verify_tables", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--lookup-table", dest="lookup", action="store_true", default=None, help="as in lookup mode")
    mode.add_argument("--legacy", dest="lookup", action="store_false", default=None, help="as in legacy mode")
    parser.add_argument("--list", action="store_true", help="list the required tables without a request to AWS")
    return parser.parse_args(argv)


def _reload_settings() -> None:
    reset_settings()
    backend = get_settings().database_backend
    if backend != "dynamodb":
        raise ConfigurationError(
            f"DATABASE_BACKEND is {backend!r}: this command checks DynamoDB's tables only; Alembic manages PostgreSQL's"
        )
    from actingweb.db.dynamodb import reset_ensure_cache

    reset_ensure_cache()


def _required(use_lookup_table: bool | None) -> "list[Layout]":
    from actingweb.db.dynamodb.layouts import required_layouts

    return required_layouts(lookup_mode_enabled() if use_lookup_table is None else use_lookup_table)


def _described(use_lookup_table: bool | None) -> "dict[Layout, Description | None]":
    """Return the description of each required table, None for one that is missing. Raise `DbError`."""
    from actingweb.db.dynamodb.table_check import describe

    try:
        return {layout: describe(layout, wait=True) for layout in _required(use_lookup_table)}
    except Fault as fault:
        error = fault.to_public_error("table check", None)
    raise error


def _report_ttl() -> None:
    """Report that native time to live is off. Report nothing if the role may not read that setting."""
    from actingweb.db.dynamodb.layouts import ATTRIBUTES
    from actingweb.db.dynamodb.table_check import ttl_enabled

    try:
        enabled = ttl_enabled(ATTRIBUTES)
    except Fault:
        return
    if not enabled:
        print(f"TTL OFF  {_name(ATTRIBUTES)}", file=sys.stderr)


def _report_problems(found: "dict[Layout, Description | None]") -> bool:
    """Report wrong keys and indexes of the tables that exist; return whether there are any."""
    from actingweb.db.dynamodb.table_check import problems_in

    problems = [problem for layout, table in found.items() if table for problem in problems_in(layout, table)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


def _name(layout: "Layout") -> str:
    from actingweb.db.dynamodb.tables import table_of

    name: str = table_of(layout).table_name
    return name


if __name__ == "__main__":
    run(main, 2)
