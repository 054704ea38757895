"""Roles that have some rights only."""

from typing import LiteralString, Protocol

from actingweb.migration.target.connection import Target


class Role(Protocol):
    """Make the target as a new role sees it, with these rights."""

    def __call__(self, *rights: LiteralString) -> Target: ...
