"""Trust relationships."""

from datetime import datetime
from functools import lru_cache
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
            outcome = self._upsert_once(item, null)
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
        columns = {name: value for name, value in item.items() if name not in self.layout.key_names}
        values = {f":{number}": value for number, value in enumerate(columns.values())}
        request = {
            "Key": {name: item[name] for name in self.layout.key_names},
            "ExpressionAttributeValues": values | {":expected": null or {"S": "S"}},
            "ReturnValues": "ALL_OLD",
        }
        constant = _replacement(tuple(columns), null is not None)
        return client.write_if(self._table(), "UpdateItem", request | constant, repeatable=True)


@lru_cache(maxsize=64)
def _replacement(stored: tuple[str, ...], of_null: bool) -> dict[str, Any]:
    """Return the expressions that store these columns and remove the others, the same for each row that has them.

    `#n` and `:n` are name and value of the n-th column; long placeholders would be half of the request. `:expected` is
    a `created_at` without a value, which is replaced, or the type of one that is kept.
    """
    names = [*stored, *(name for name in TrustRecord.fields if name not in (*stored, *TRUSTS.key_names))]
    number = stored.index("created_at")
    if of_null:
        created, condition = f":{number}", f"#{number} = :expected"
    else:
        created = f"if_not_exists(#{number}, :{number})"
        condition = f"attribute_not_exists(#{number}) OR attribute_type(#{number}, :expected)"
    sets = [f"#{n} = {created if n == number else f':{n}'}" for n in range(len(stored))]
    removes = [f"#{n}" for n in range(len(stored), len(names))]
    return {
        "UpdateExpression": f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{n}": name for n, name in enumerate(names)},
    }


class DbTrustList(_Rows, TrustListPolicy):
    """The trusts of an actor."""


_entity: type[DbTrustProtocol] = DbTrust
_list: type[DbTrustListProtocol] = DbTrustList
