"""What the contract says that properties and attributes answer, in plain Python."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from actingweb.db import DbInputError, DbUnknownActorError
from actingweb.db.capabilities import Capability

from .model import INDEXED, Handled, Key, List, Model, Row, clean, in_form, moment, written


class Property(Handled):
    table = "properties"

    def get(self, actor_id: Any, name: Any) -> str | None:
        row = self.load(actor_id, name)
        return None if row is None else str(row["value"])

    def set(self, actor_id: Any, name: Any, value: Any) -> bool:
        if not actor_id or not name:
            return False
        text = _encoded(value)
        if text:
            self._put(actor_id, name, text)
        else:
            self._remove((clean(actor_id), clean(name)))
        return True

    def get_many(self, actor_id: Any, names: list[Any]) -> dict[str, str]:
        if not actor_id:
            return {}
        return self._named(actor_id, False, lambda name: name in map(clean, names))

    def set_many(self, actor_id: Any, values: dict[Any, Any], chunk_size: int | None = None) -> bool:
        if not actor_id or not all(values):
            return False
        texts = {name: _encoded(value) for name, value in values.items()}
        if len(set(map(clean, texts))) < len(texts):
            raise DbInputError("model")
        stored = [in_form((actor_id, name)) for name, text in texts.items() if text]
        if stored and self.model.references and (actor_id := clean(actor_id)) not in self.model.actor_ids():
            raise DbUnknownActorError("model")
        handle, key = self.handle, self.key
        for name, text in texts.items():
            self.set(actor_id, name, text)
        self.handle, self.key = handle, key
        return True

    def delete(self) -> bool:
        if self.handle is None:
            return False
        self._remove(self.key)
        return True

    def create_if_not_exists(self, actor_id: Any, name: Any, value: Any) -> bool:
        text = _encoded(value) if actor_id and name else ""
        key = in_form((actor_id, name)) if text else (actor_id, name)
        return self._settled(bool(text) and key not in self.model.tables["properties"], actor_id, name, text)

    def set_if_value_equals(self, actor_id: Any, name: Any, expected: Any, value: Any) -> bool:
        given = actor_id and name and expected is not None and value is not None
        value = written(value) if given else value
        return self._settled(bool(given) and self._holds(actor_id, name, expected), actor_id, name, value)

    def delete_if_value_equals(self, actor_id: Any, name: Any, value: Any) -> bool:
        self.handle = None
        holds = value is not None and self._holds(actor_id, name, value)
        if holds:
            self._remove((clean(actor_id), clean(name)))
        return holds

    def batch_delete(self, actor_id: Any, names: Any) -> None:
        handle = self.handle
        for name in names or ():
            self._remove((clean(actor_id), clean(name)))
        self.handle = handle

    def get_actor_id_from_property(self, name: Any, value: Any) -> str | None:
        self.handle = None
        claim = self.model.tables["claims"].get((clean(name), clean(value)))
        if claim is None:
            return None
        self.load(claim["id"], name)
        return str(claim["id"])

    def get_range(self, actor_id: Any, lower: Any, upper: Any, keys_only: bool) -> dict[str, str]:
        if not actor_id or lower is None or upper is None:
            return {}
        low, high = clean(lower).encode(), clean(upper).encode()
        return self._named(actor_id, keys_only, lambda name: low <= name.encode() <= high)

    def get_prefix(self, actor_id: Any, prefix: Any, keys_only: bool) -> dict[str, str]:
        if not actor_id or not prefix:
            return {}
        return self._named(actor_id, keys_only, lambda name: name.encode().startswith(clean(prefix).encode()))

    def get_last_in_range(self, actor_id: Any, lower: Any, upper: Any) -> str | None:
        return next(reversed(self.get_range(actor_id, lower, upper, keys_only=True)), None)

    def _named(self, actor_id: Any, keys_only: bool, wanted: Callable[[str], bool]) -> dict[str, str]:
        rows = [row for _, row in self.model.rows("properties", clean(actor_id)) if wanted(row["name"])]
        return {row["name"]: "" if keys_only else row["value"] for row in rows}

    def _holds(self, actor_id: Any, name: Any, value: str) -> bool:
        row = self.model.tables["properties"].get((clean(actor_id), clean(name)))
        return row is not None and row["value"] == clean(value)

    def _settled(self, agreed: bool, actor_id: Any, name: Any, value: Any) -> bool:
        if agreed:
            self._put(actor_id, name, value)
        else:
            self.handle = None
        return agreed

    def _put(self, actor_id: str, name: str, value: str) -> None:
        key = written(actor_id), written(name)
        old = self.model.tables["properties"].get(key)
        self.model.put("properties", key, {"id": key[0], "name": key[1], "value": value})
        if old is not None and old["value"] != value:
            _release(self.model, key[0], key[1], old["value"])
        _claim(self.model, key[0], key[1], value)
        self.load(*key)

    def _remove(self, key: Key) -> None:
        row = self.model.tables["properties"].pop(key, None)
        if row is not None:
            _release(self.model, row["id"], row["name"], row["value"])
        self.handle = None


def _claim(model: Model, actor_id: str, name: str, value: str) -> None:
    if name in INDEXED and value:
        model.tables["claims"].setdefault((name, value), {"id": actor_id})


def _release(model: Model, actor_id: str, name: str, value: str) -> None:
    if model.tables["claims"].get((name, value)) == {"id": actor_id}:
        del model.tables["claims"][(name, value)]


def _encoded(value: Any) -> str:
    if isinstance(value, str):
        return written(value)
    return "" if value is None else json.dumps(_cleaned(value))


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {clean(key): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else clean(value)


class PropertyList(List):
    table = "properties"

    def fetch(self, actor_id: Any) -> Any:
        found = self.fetch_all_including_lists(actor_id)
        return found and {name: value for name, value in found.items() if not name.startswith("list:")}

    def fetch_all_including_lists(self, actor_id: Any) -> dict[str, str] | None:
        rows = super().fetch(actor_id)
        return {row["name"]: row["value"] for row in rows if row} if actor_id else None

    def delete(self) -> bool:
        for _, row in self.model.rows("properties", *self.scope) if self.scope else []:
            _release(self.model, row["id"], row["name"], row["value"])
        return super().delete()


class Attribute:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.table = model.tables["attributes"]

    def get_bucket(self, actor_id: Any, bucket: Any) -> dict[str, Row] | None:
        if not actor_id or not bucket:
            return None
        rows = self.model.rows("attributes", clean(actor_id), clean(bucket))
        return {key[2]: _entry(row) for key, row in rows if not row["expired"]}

    def get_attr(self, actor_id: Any, bucket: Any, name: Any) -> Row | None:
        row = self._live(actor_id, bucket, name)
        return row and _entry(row)

    get_attr_strict = get_attr

    def set_attr(self, actor_id: Any, bucket: Any, name: Any, data: Any, timestamp: Any, ttl_seconds: Any) -> bool:
        if not data:
            return self.delete_attr(actor_id, bucket, name)
        if not actor_id or not bucket or not name:
            return False
        key = written(actor_id), written(bucket), written(name)
        row = {"data": _cleaned(data), "timestamp": moment(timestamp), "expired": _expired(ttl_seconds)}
        self.model.put("attributes", key, row)
        return True

    def delete_attr(self, actor_id: Any, bucket: Any, name: Any) -> bool:
        self.table.pop((clean(actor_id), clean(bucket), clean(name)), None)
        return bool(actor_id and bucket and name)

    def delete_attr_conditional(self, actor_id: Any, bucket: Any, name: Any) -> bool:
        live = self._live(actor_id, bucket, name) is not None
        return live and self.delete_attr(actor_id, bucket, name)

    def conditional_update_attr(
        self, actor_id: Any, bucket: Any, name: Any, old_data: Any, new_data: Any, timestamp: Any, ttl_seconds: Any
    ) -> bool:
        row = self._live(actor_id, bucket, name)
        if row is None or _canonical(row["data"]) != _canonical(_cleaned(old_data)):
            return False
        row["data"] = _cleaned(new_data)
        row["timestamp"] = moment(timestamp) or row["timestamp"]
        row["expired"] = _expired(ttl_seconds)
        return True

    def delete_bucket(self, actor_id: Any, bucket: Any) -> bool:
        if not actor_id or not bucket:
            return False
        for key, _ in self.model.rows("attributes", clean(actor_id), clean(bucket)):
            del self.table[key]
        return True

    def delete_expired(self, buckets: Any) -> int:
        if Capability.PURGE not in self.model.capabilities:
            return 0
        return self._delete([key for key, row in self.table.items() if row["expired"] and _in(key[1], buckets)])

    def delete_by_chain(self, actor_id: Any, buckets: Any, chain_id: Any, defer_name: Any) -> int:
        if not actor_id or not buckets or chain_id in (None, ""):
            return 0
        rows = [item for item in self.model.rows("attributes", clean(actor_id)) if _in(item[0][1], buckets)]
        wanted = _canonical({"chain_id": chain_id})["chain_id"]
        return self._delete([key for key, row in rows if _chain(row["data"]) == wanted])

    def _delete(self, keys: list[Key]) -> int:
        for key in keys:
            del self.table[key]
        return len(keys)

    def _live(self, *key: Any) -> Row | None:
        row = self.table.get(tuple(clean(part) for part in key))
        return None if row is None or row["expired"] else row


def _in(bucket: str, buckets: Any) -> bool:
    return not buckets or bucket in [clean(name) for name in buckets]


def _expired(ttl_seconds: int | None) -> bool:
    return ttl_seconds is not None and ttl_seconds + 3600 <= 0


def _entry(row: Row) -> Row:
    return {"data": row["data"], "timestamp": row["timestamp"]}


def _chain(data: Any) -> Any:
    return _canonical(data).get("chain_id") if isinstance(data, dict) else None


def _canonical(data: Any) -> Any:
    """Return a JSON value in which equal values are equal for Python too: true is not 1."""
    if isinstance(data, dict):
        return {key: _canonical(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_canonical(value) for value in data]
    return ("bool", data) if isinstance(data, bool) else data


class BucketList:
    def __init__(self, model: Model) -> None:
        self.model = model

    def fetch(self, actor_id: Any) -> dict[str, dict[str, Row]] | None:
        if not actor_id:
            return None
        found: dict[str, dict[str, Row]] = {}
        for key, row in self.model.rows("attributes", clean(actor_id)):
            if not row["expired"]:
                found.setdefault(key[1], {})[key[2]] = _entry(row)
        return found

    def fetch_timestamps(self, actor_id: Any) -> dict[str, datetime | None] | None:
        found = self.fetch(actor_id)
        return None if found is None else {bucket: _latest(entries) for bucket, entries in found.items()}

    def delete(self, actor_id: Any) -> bool:
        for key, _ in self.model.rows("attributes", clean(actor_id)):
            del self.model.tables["attributes"][key]
        return bool(actor_id)


def _latest(entries: dict[str, Row]) -> datetime | None:
    return max((entry["timestamp"] for entry in entries.values() if entry["timestamp"]), default=None)


CLASSES: dict[str, Callable[..., Any]] = {
    "property": Property,
    "property_list": PropertyList,
    "attribute": Attribute,
    "attribute_bucket_list": BucketList,
}
