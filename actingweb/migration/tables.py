"""The tables that move, parents before children."""

from actingweb.db.dynamodb.layouts import (
    ACTORS as ACTOR_LAYOUT,
)
from actingweb.db.dynamodb.layouts import (
    ATTRIBUTES,
    PEER_TRUSTEES,
    PROPERTY_LOOKUPS,
    PROPERTY_LOOKUPS_V1,
    SUBSCRIPTION_DIFFS,
    SUBSCRIPTION_SUSPENSIONS,
    SUBSCRIPTIONS,
    TRUSTS,
)
from actingweb.db.dynamodb.layouts import (
    PROPERTIES as PROPERTY_LAYOUT,
)
from actingweb.db.records import PropertyLookupRecord
from actingweb.migration.canonical import TableForm

__all__ = ["ACTORS", "CLAIMS", "CLAIMS_V1", "CLAIMS_V2", "FORMS", "LOOK_UPS", "PROPERTIES"]

FORMS: tuple[TableForm, ...] = tuple(
    map(
        TableForm,
        (
            ACTOR_LAYOUT,
            PROPERTY_LAYOUT,
            ATTRIBUTES,
            TRUSTS,
            PEER_TRUSTEES,
            SUBSCRIPTIONS,
            SUBSCRIPTION_DIFFS,
            SUBSCRIPTION_SUSPENSIONS,
        ),
    )
)

ACTORS, PROPERTIES = FORMS[:2]

LOOK_UPS = PropertyLookupRecord.table
"""The table of look-up rows, which follow from properties and claims."""

CLAIMS_V2 = TableForm(PROPERTY_LOOKUPS, "property_lookup_v2")
CLAIMS_V1 = TableForm(PROPERTY_LOOKUPS_V1, "property_lookup_v1")
"""The first form of the table of claims, which few deployments have."""

CLAIMS = (CLAIMS_V2, CLAIMS_V1)
"""The claims on values, from which PostgreSQL's look-up rows follow; DynamoDB asks them in this order."""
