"""Who answers in the source of a validation for each value, by the rule of an import."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from actingweb.migration.canonical import TableForm
from actingweb.migration.lookups import LookUps, StagedClaims
from actingweb.migration.settle import claimed_keys, held_properties
from actingweb.migration.staging import Staging
from actingweb.migration.tables import ACTORS, CLAIMS, PROPERTIES
from actingweb.migration.target import Connection, Target

__all__ = ["ANSWERS", "SourceAnswers"]

ANSWERS = sql.Identifier("pg_temp", "source_answers")
"""The table of answers: `lookup_key`, `property_name` and `actor_id`. It has none that the source leaves open."""

_CREATE = "CREATE TEMP TABLE {} (lookup_key text PRIMARY KEY, property_name text, actor_id text)"
_ANALYZE = "ANALYZE {}"


@dataclass(frozen=True)
class SourceAnswers:
    """The answers, found from staged rows. Its methods raise `psycopg.Error`."""

    target: Target
    connection: Connection
    names: tuple[str, ...]

    @property
    def _look_ups(self) -> LookUps:
        properties, actors = self._staged(PROPERTIES), self._staged(ACTORS)
        return LookUps(self.connection, ANSWERS, properties.name, actors.name, self.names)

    def create(self) -> None:
        """Make the table."""
        self.connection.execute(sql.SQL(_CREATE).format(ANSWERS))
        self._look_ups.begin(temporary=False)

    def leave_open(self, form: TableForm, documents: Iterable[bytes]) -> None:
        """Leave open what documents that are no rows might say."""
        if form is PROPERTIES:
            self._look_ups.add_rejected(list(held_properties(documents)))
        elif form in CLAIMS:
            self._look_ups.add_unreadable(list(claimed_keys(form, documents)))

    def find(self, claims: Sequence[TableForm]) -> None:
        """Fill the table from the staged actors, properties and claims."""
        # DynamoDB answers with whoever holds the value, whether or not that is one of the actors.
        whoever = replace(self._look_ups, actors=self._staged(PROPERTIES).name)
        with self.connection.transaction():
            for form in claims:
                staged = StagedClaims(form, self._staged(form).name)
                whoever.claim(staged)
                whoever.withhold(staged)
            self._look_ups.fill()
            self.connection.execute(sql.SQL(_ANALYZE).format(ANSWERS))

    def _staged(self, form: TableForm) -> Staging:
        return Staging(self.target, self.connection, form)
