"""What the contract says that subscriptions, diffs and suspensions answer, in plain Python."""

from collections.abc import Callable
from typing import Any

from actingweb.db import DbInputError, DbUnknownActorError
from actingweb.db.spi import SubscriptionRecord

from .entities import unset_texts
from .model import Handled, Key, List, Model, Row, clean, in_bytes, in_form, written


class Subscription(Handled):
    table = "subscriptions"

    def get(self, actor_id: Any, peerid: Any, subid: Any) -> Row | None:
        row = self.load(actor_id, peerid, subid)
        return None if row is None else _shown(row)

    def create(self, actor_id: Any, peerid: Any, subid: Any, target: Any, seqnr: int, callback: bool) -> bool:
        row = {"id": actor_id, "peerid": peerid, "subid": subid, "target": target or ""}
        return self.create_once({**row, "seqnr": seqnr, "callback": callback}, actor_id, peerid, subid)

    def modify(self, peerid: Any, target: Any, seqnr: Any, callback: Any) -> bool:
        if self.handle is not None and peerid and clean(peerid) != self.handle["peerid"]:
            raise DbInputError("model")
        return self.change(target=target or None, seqnr=seqnr, callback=callback)

    def increment_seqnr(self, by: int) -> int | None:
        row = self.model.tables[self.table].get(self.key)
        if self.handle is None or row is None:
            self.handle = None
            return None
        row["seqnr"] += by
        self.handle = dict(row)
        return int(row["seqnr"])


def _shown(row: Row) -> Row:
    texts = {"id": row["id"], "peerid": row["peerid"], "subscriptionid": row["subid"], "target": row["target"]}
    return {**unset_texts(SubscriptionRecord), **texts, "sequence": row["seqnr"], "callback": row["callback"]}


class SubscriptionList(List):
    table = "subscriptions"

    def shown(self, row: Row) -> Row:
        return _shown(row)


class Diff(Handled):
    table = "diffs"

    def get(self, actor_id: Any = None, subid: Any = None, seqnr: int | None = None) -> Row | None:
        if (actor_id, subid, seqnr) != (None, None, None):
            if seqnr is None and actor_id and subid:
                lowest = self.model.rows("diffs", clean(actor_id), clean(subid))
                seqnr = lowest[0][0][2] if lowest else None
            self.load(actor_id, subid, seqnr)
        return None if self.handle is None else _shown_diff(self.handle, "data")

    def create(self, actor_id: Any, subid: Any, diff: Any, seqnr: int) -> bool:
        row = {"id": actor_id, "subid": subid, "seqnr": seqnr, "diff": diff or ""}
        return self.create_once(row, actor_id, subid, seqnr)

    def create_many(self, actor_id: Any, diffs: list[tuple[Any, int, Any]]) -> list[bool]:
        given = [(subid, seqnr, diff) for subid, seqnr, diff in diffs if actor_id and subid]
        new = [in_form((actor_id, subid, seqnr, diff or "")) for subid, seqnr, diff in given]
        if new and self.model.references and new[0][0] not in self.model.actor_ids():
            raise DbUnknownActorError("model")
        handle, key = self.handle, self.key
        answers = [self.create(actor_id, subid, diff, seqnr) for subid, seqnr, diff in diffs]
        self.handle, self.key = handle, key
        return answers


def _shown_diff(row: Row, content: str) -> Row:
    return {"id": row["id"], "subscriptionid": row["subid"], "sequence": row["seqnr"], content: row["diff"]}


class DiffList:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.scope: Key = ()

    def fetch(self, actor_id: Any, subid: Any) -> list[Row]:
        self.scope = tuple(clean(part) for part in (actor_id, subid) if part) if actor_id else ()
        rows = self.model.rows("diffs", *self.scope) if self.scope else []
        ordered = sorted(rows, key=lambda item: in_bytes((item[0][2], item[0][1])))
        return [_shown_diff(row, "diff") for _, row in ordered]

    def delete(self, seqnr: int | None) -> bool:
        for key, _ in self.model.rows("diffs", *self.scope) if self.scope else []:
            if not seqnr or key[2] <= seqnr:
                del self.model.tables["diffs"][key]
        return bool(self.scope)


class Suspension:
    def __init__(self, model: Model, actor_id: Any) -> None:
        self.model = model
        self.actor_id = actor_id
        self.table = model.tables["suspensions"]

    def is_suspended(self, target: Any, subtarget: Any) -> bool:
        return self._key(target, None) in self.table or self._key(target, subtarget) in self.table

    def suspend(self, target: Any, subtarget: Any) -> bool:
        if not self.actor_id or not target:
            return False
        written(self.actor_id + target + (subtarget or ""))
        key = self._key(target, subtarget)
        if key in self.table:
            return False
        self.model.put("suspensions", key, {})
        return True

    def resume(self, target: Any, subtarget: Any) -> bool:
        return self.table.pop(self._key(target, subtarget), None) is not None

    def get_all_suspended(self) -> list[tuple[str, str | None]]:
        return [(key[1], key[2] or None) for key, _ in self.model.rows("suspensions", clean(self.actor_id))]

    def delete_all(self) -> bool:
        for key, _ in self.model.rows("suspensions", clean(self.actor_id)):
            del self.table[key]
        return bool(self.actor_id)

    def _key(self, target: Any, subtarget: Any) -> Key:
        return clean(self.actor_id), clean(target), clean(subtarget or "")


CLASSES: dict[str, Callable[..., Any]] = {
    "subscription": Subscription,
    "subscription_list": SubscriptionList,
    "subscription_diff": Diff,
    "subscription_diff_list": DiffList,
    "subscription_suspension": Suspension,
}
