"""Which properties are indexed, and what the reverse look-up stores and answers."""

from typing import NamedTuple

from actingweb.db.settings import get_settings

__all__ = ["LIST_PREFIX", "Claim", "Indexing", "Stored"]

LIST_PREFIX = "list:"
"""A property whose name begins with this prefix belongs to a list. It is never indexed, and `fetch` leaves it out."""


class Stored(NamedTuple):
    """The result of a write to one property.

    Attributes:
        done: whether this call stored the row.
        claimant: the other actor that keeps a valid claim on the value; None if there is none.
    """

    done: bool
    claimant: str | None = None


class Claim(NamedTuple):
    """A look-up row.

    Attributes:
        actor_id: the actor that claims the value.
        valid: whether that actor's property still has exactly this value.
    """

    actor_id: str
    valid: bool


class Indexing:
    """Decides which properties have look-up rows."""

    _use_lookup_table: bool
    _indexed_properties: tuple[str, ...] | list[str]

    def _choose_indexing(self, use_lookup_table: bool | None, indexed_properties: list[str] | None) -> None:
        """Store the two arguments; for None, store the setting."""
        self._use_lookup_table = (
            get_settings().use_property_lookup_table if use_lookup_table is None else use_lookup_table
        )
        self._indexed_properties = (
            list(get_settings().indexed_properties) if indexed_properties is None else indexed_properties
        )

    def _indexed(self, name: str) -> bool:
        return self._use_lookup_table and name in self._indexed_properties and not name.startswith(LIST_PREFIX)
