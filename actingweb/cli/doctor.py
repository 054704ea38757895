"""`actingweb-db doctor`: check settings, packages and servers, and advise what to do about problems."""

from enum import StrEnum
from typing import Annotated

import typer

from actingweb.cli.format import conclude

__all__ = ["EXIT_CODES", "BackendChoice", "doctor"]

EXIT_CODES = (
    "Exit codes: 0 nothing stops you, though there may be warnings · 2 settings or packages stop you · "
    "6 DynamoDB stops you · 7 PostgreSQL stops you. If several apply, the lowest is returned."
)


class BackendChoice(StrEnum):
    """What to check."""

    DYNAMODB = "dynamodb"
    POSTGRESQL = "postgresql"
    BOTH = "both"


_Backend = Annotated[
    BackendChoice | None,
    typer.Option("--backend", help="What to check; `both` for a migration. Default: DATABASE_BACKEND."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, to stdout.")]


def doctor(backend: _Backend = None, json: _Json = False) -> None:
    """Check settings, packages, servers and tables. Each line is ok, a warning, or stops you, with advice.

    Nothing is written, no table is created, and no secret is shown.
    """
    from actingweb.cli import doctor_report

    conclude(lambda: doctor_report.run(None if backend is None else backend.value, as_json=json))
