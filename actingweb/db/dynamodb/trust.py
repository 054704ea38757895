"""Trust relationships."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.dynamodb.client import ConditionFailed
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item, text_of
from actingweb.db.dynamodb.layouts import TRUSTS
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.limits import DynamoLimits, checked_item
from actingweb.db.dynamodb.rows import WipeableRows
from actingweb.db.dynamodb.stored_types import Attribute, value_of
from actingweb.db.policy.trust import TrustListPolicy, TrustPolicy, is_secret
from actingweb.db.protocols import DbTrustListProtocol, DbTrustProtocol
from actingweb.db.records import TrustRecord

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import SecretIndex, Trust, TrustModel
else:
    __getattr__ = lazy_models(__name__)

__all__ = ["DbTrust", "DbTrustList", "SecretIndex", "Trust", "TrustModel"]

_ATTEMPTS = 8


class _Rows(WipeableRows[TrustRecord]):
    layout = TRUSTS
    limits = DynamoLimits(TRUSTS)


class DbTrust(_Rows, TrustPolicy):
    """One trust."""

    def _read_by_token(self, actor_id: str, token: str) -> TrustRecord | None:
        listed = self._indexed_items("secret-index", "secret", token)
        rows = self._confirmed([self._row(item) for item in listed if text_of(TrustRecord, item, "id") == actor_id])
        return next((row for row in rows if is_secret(row.secret, token)), None)

    @classmethod
    def _has_token(cls, actor_id: str, token: str) -> bool:
        ensure_table(cls.layout)
        expression = Expression()
        request = {
            "ConsistentRead": True,
            "KeyConditionExpression": expression.equals("id", actor_id),
            "FilterExpression": expression.equals_or_unclear("secret", token),
            "ProjectionExpression": expression.project(["secret"]),
        }
        return any(is_secret(text_of(TrustRecord, item, "secret"), token) for item in cls._pages(request, expression))

    def _upsert(self, record: TrustRecord) -> datetime:
        item = checked_item(self.layout, record)
        null: Attribute | None = None
        for _ in range(_ATTEMPTS):
            outcome = self._upsert_once(dict(item), null)
            if not isinstance(outcome, ConditionFailed):
                kept = None if null else outcome.get("Attributes", {}).get("created_at")
                return cast(datetime, value_of(TrustRecord, "created_at", kept) if kept else record.created_at)
            stored = (outcome.item or {}).get("created_at")
            null = stored if stored and value_of(TrustRecord, "created_at", stored) is None else None
        raise client.collided()

    def _upsert_once(self, item: Item, null: Attribute | None) -> dict[str, Any] | ConditionFailed:
        """Store the item but keep the stored `created_at`, on condition that it is a text or absent.

        With `null`, the stored form of a `created_at` without a value, replace it if it is still stored in that form.
        """
        expression = Expression()
        row_key = {name: item.pop(name) for name in self.layout.key_names}
        missing = [name for name in TrustRecord.fields if name not in item and name not in row_key]
        created_at = expression.name("created_at")
        if null is None:
            condition = expression.absent_or_of_type("created_at", "S")
            created = f"if_not_exists({created_at}, {expression.value(item.pop('created_at'))})"
        else:
            condition = expression.compare("created_at", "=", null)
            created = expression.value(item.pop("created_at"))
        sets = [f"{created_at} = {created}"]
        sets += [expression.assign(name, value) for name, value in item.items()]
        removes = ", ".join(map(expression.name, missing))
        request = {
            "Key": row_key,
            "UpdateExpression": f"SET {', '.join(sets)}" + (f" REMOVE {removes}" if removes else ""),
            "ConditionExpression": condition,
            "ReturnValues": "ALL_OLD",
        }
        return client.write_if(self._table(), "UpdateItem", request | expression.arguments(), repeatable=True)


class DbTrustList(_Rows, TrustListPolicy):
    """The trusts of an actor."""


_entity: type[DbTrustProtocol] = DbTrust
_list: type[DbTrustListProtocol] = DbTrustList
