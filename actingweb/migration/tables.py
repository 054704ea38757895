"""The tables that move, parents before children."""

from actingweb.db.dynamodb import layouts
from actingweb.db.records import PropertyLookupRecord
from actingweb.migration.canonical import TableForm

__all__ = ["ACTORS", "CLAIMS", "CLAIMS_V1", "CLAIMS_V2", "FORMS", "LOOK_UPS", "PROPERTIES"]

FORMS: tuple[TableForm, ...] = tuple(
    map(
        TableForm,
        (
            layouts.ACTORS,
            layouts.PROPERTIES,
            layouts.ATTRIBUTES,
            layouts.TRUSTS,
            layouts.PEER_TRUSTEES,
            layouts.SUBSCRIPTIONS,
            layouts.SUBSCRIPTION_DIFFS,
            layouts.SUBSCRIPTION_SUSPENSIONS,
        ),
    )
)

ACTORS, PROPERTIES = FORMS[:2]

LOOK_UPS = PropertyLookupRecord.table
"""The table of look-up rows, which follow from properties and claims."""

CLAIMS_V2 = TableForm(layouts.PROPERTY_LOOKUPS, "property_lookup_v2")
CLAIMS_V1 = TableForm(layouts.PROPERTY_LOOKUPS_V1, "property_lookup_v1")
"""The first form of the table of claims, which few deployments have."""

CLAIMS = (CLAIMS_V2, CLAIMS_V1)
"""The claims on values, from which PostgreSQL's look-up rows follow; DynamoDB asks them in this order."""
