"""Which properties are indexed, and what the reverse look-up stores and answers."""

from typing import NamedTuple

from actingweb.db.settings import get_settings

__all__ = ["LIST_PREFIX", "Claim", "Indexing", "Stored"]

LIST_PREFIX = "list:"
"""Names that begin with it are rows of a property list. They are never indexed, and `fetch` leaves them out."""


class Stored(NamedTuple):
    """The result of a write to one property.

    Attributes:
        done: whether this call stored the row.
        claimant: the other actor that keeps a valid claim on the value, if there is one.
    """

    done: bool
    claimant: str | None = None


class Claim(NamedTuple):
    """What a look-up row says.

    Attributes:
        actor_id: the actor that the row names.
        valid: whether that actor's property still holds exactly this value.
    """

    actor_id: str
    valid: bool


class Indexing:
    """Decides which properties have look-up rows."""

    _use_lookup_table: bool
    _indexed_properties: tuple[str, ...] | list[str]

    def _choose_indexing(self, use_lookup_table: bool | None, indexed_properties: list[str] | None) -> None:
        """Take the two arguments; None stands for what the settings say."""
        self._use_lookup_table = (
            get_settings().use_property_lookup_table if use_lookup_table is None else use_lookup_table
        )
        self._indexed_properties = (
            list(get_settings().indexed_properties) if indexed_properties is None else indexed_properties
        )

    def _indexed(self, name: str) -> bool:
        return self._use_lookup_table and name in self._indexed_properties and not name.startswith(LIST_PREFIX)
