"""`actingweb-db doctor`: whether settings, packages and servers are as they should be, and what to do if not."""

from enum import StrEnum
from typing import Annotated

import typer

from actingweb.cli.format import conclude

__all__ = ["EXIT_CODES", "BackendChoice", "doctor"]

EXIT_CODES = (
    "Exit codes: 0 nothing stops you, though there may be warnings · 2 settings or packages stop you · "
    "6 DynamoDB does · 7 PostgreSQL does. Of several the lowest counts."
)


class BackendChoice(StrEnum):
    """What is looked at."""

    DYNAMODB = "dynamodb"
    POSTGRESQL = "postgresql"
    BOTH = "both"


_Backend = Annotated[
    BackendChoice | None,
    typer.Option("--backend", help="What to look at: `both` for a migration; else what DATABASE_BACKEND names."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]


def doctor(backend: _Backend = None, json: _Json = False) -> None:
    """Look at settings, packages, servers and tables. Each line is ok, a warning, or stops you, with what to do.

    Nothing is written and no table is made; secrets are not shown.
    """
    from actingweb.cli import doctor_report

    conclude(lambda: doctor_report.run(None if backend is None else backend.value, as_json=json))
