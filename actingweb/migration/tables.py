"""The tables that move, parents before children."""

from actingweb.db.dynamodb.actor import ActorModel
from actingweb.db.dynamodb.attribute import AttributeModel
from actingweb.db.dynamodb.peertrustee import PeerTrusteeModel
from actingweb.db.dynamodb.property import PropertyModel
from actingweb.db.dynamodb.property_lookup import PropertyLookupModel, PropertyLookupV2Model
from actingweb.db.dynamodb.subscription import SubscriptionModel
from actingweb.db.dynamodb.subscription_diff import SubscriptionDiffModel
from actingweb.db.dynamodb.subscription_suspension import SubscriptionSuspensionModel
from actingweb.db.dynamodb.trust import TrustModel
from actingweb.db.records import PropertyLookupRecord
from actingweb.migration.canonical import TableForm

__all__ = ["ACTORS", "CLAIMS", "CLAIMS_V1", "CLAIMS_V2", "FORMS", "LOOK_UPS", "PROPERTIES"]

FORMS: tuple[TableForm, ...] = tuple(
    TableForm(model.layout)
    for model in (
        ActorModel,
        PropertyModel,
        AttributeModel,
        TrustModel,
        PeerTrusteeModel,
        SubscriptionModel,
        SubscriptionDiffModel,
        SubscriptionSuspensionModel,
    )
)

ACTORS, PROPERTIES = FORMS[:2]

LOOK_UPS = PropertyLookupRecord.table
"""The table of look-up rows, which follow from properties and claims."""

CLAIMS_V2 = TableForm(PropertyLookupV2Model.layout, "property_lookup_v2")
CLAIMS_V1 = TableForm(PropertyLookupModel.layout, "property_lookup_v1")
"""The first form of the table of claims, which few deployments have."""

CLAIMS = (CLAIMS_V2, CLAIMS_V1)
"""The claims on values, from which PostgreSQL's look-up rows follow; DynamoDB asks them in this order."""
