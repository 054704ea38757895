"""Trust relationships."""

from datetime import datetime
from typing import cast

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import decode, encode, key
from actingweb.db.dynamodb.limits import DynamoLimits, check_item
from actingweb.db.dynamodb.models import TableIndex, TableModel
from actingweb.db.dynamodb.rows import WipedRows
from actingweb.db.dynamodb.tables import Layout
from actingweb.db.policy.trust import TrustListPolicy, TrustPolicy, has_secret
from actingweb.db.protocols import DbTrustListProtocol, DbTrustProtocol
from actingweb.db.records import TrustRecord

__all__ = ["DbTrust", "DbTrustList", "SecretIndex", "Trust", "TrustModel"]


class SecretIndex(TableIndex, name="secret-index", attribute="secret"):
    """Trusts by secret."""


class TrustModel(TableModel):
    """The table of trusts."""

    layout = Layout(TrustRecord, "trusts", sparse=frozenset({"secret"}))
    secret_index = SecretIndex()


Trust = TrustModel


class _Rows(WipedRows[TrustRecord]):
    model = TrustModel
    limits = DynamoLimits(TrustModel.layout, indexed=("secret",))


class DbTrust(_Rows, TrustPolicy):
    """One trust."""

    def _read_by_token(self, actor_id: str, token: str) -> TrustRecord | None:
        listed = [self._row(item) for item in self._indexed_items("secret-index", "secret", token)]
        rows = self._confirmed([row for row in listed if row.id == actor_id])
        return next((row for row in rows if has_secret(row, token)), None)

    @classmethod
    def _has_token(cls, actor_id: str, token: str) -> bool:
        ensure_table(cls.model)
        expression = Expression()
        request = {
            "ConsistentRead": True,
            "KeyConditionExpression": expression.equals("id", actor_id),
            "FilterExpression": expression.equals("secret", token),
            "ProjectionExpression": expression.project(["peerid"]),
        }
        return any(True for _ in cls._pages(request, expression))

    def _upsert(self, record: TrustRecord) -> datetime:
        layout = self._layout()
        item = encode(layout, record)
        check_item(item)
        expression = Expression()
        row_key = key(layout, record.key_values())
        kept = f"if_not_exists({expression.name('created_at')}, {expression.value(item.pop('created_at'))})"
        sets = [f"{expression.name('created_at')} = {kept}"]
        sets += [expression.assign(name, value) for name, value in item.items() if name not in row_key]
        missing = [name for name in TrustRecord.fields if name not in item and name != "created_at"]
        removes = ", ".join(map(expression.name, missing))
        request = {
            "Key": row_key,
            "UpdateExpression": f"SET {', '.join(sets)}" + (f" REMOVE {removes}" if removes else ""),
            "ReturnValues": "UPDATED_NEW",
        }
        answer = client.write(self._table(), "UpdateItem", request | expression.arguments())
        return cast(datetime, decode(TrustRecord, answer["Attributes"]).created_at)


class DbTrustList(_Rows, TrustListPolicy):
    """The trusts of an actor."""


_: tuple[type[DbTrustProtocol], type[DbTrustListProtocol]] = (DbTrust, DbTrustList)
