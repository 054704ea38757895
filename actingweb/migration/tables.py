"""The tables that move, parents before children."""

from actingweb.db.dynamodb.actor import ActorModel
from actingweb.db.dynamodb.attribute import AttributeModel
from actingweb.db.dynamodb.peertrustee import PeerTrusteeModel
from actingweb.db.dynamodb.property import PropertyModel
from actingweb.db.dynamodb.subscription import SubscriptionModel
from actingweb.db.dynamodb.subscription_diff import SubscriptionDiffModel
from actingweb.db.dynamodb.subscription_suspension import SubscriptionSuspensionModel
from actingweb.db.dynamodb.trust import TrustModel
from actingweb.migration.canonical import TableForm

__all__ = ["FORMS"]

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
