"""Items of which one attribute has another type than the layout's, and what the library should read there.

The expectations are written down here, column by column, and do not come from the code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actingweb.db import (
    get_actor,
    get_actor_list,
    get_attribute,
    get_attribute_bucket_list,
    get_peer_trustee,
    get_peer_trustee_list,
    get_property,
    get_property_list,
    get_subscription,
    get_subscription_diff,
    get_subscription_diff_list,
    get_subscription_list,
    get_subscription_suspension,
    get_trust,
    get_trust_list,
)
from actingweb.db.registry import Backend

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Attribute = dict[str, Any]
Item = dict[str, Attribute]

SAMPLES: dict[str, Attribute] = {
    "S": {"S": "7"},
    "N": {"N": "7"},
    "B": {"B": b"7"},
    "BOOL": {"BOOL": True},
    "NULL": {"NULL": True},
    "M": {"M": {"a": {"N": "1"}, "b": {"L": [{"NULL": True}]}}},
    "L": {"L": [{"S": "x"}, {"BOOL": False}]},
    "SS": {"SS": ["7"]},
    "NS": {"NS": ["7"]},
    "BS": {"BS": [b"7"]},
}
"""An attribute of each type that DynamoDB has."""

_CERTAIN: dict[str, dict[str, Attribute]] = {
    "text": {"S": {"S": "7"}},
    "flag": {"BOOL": {"BOOL": True}},
    "number": {"S": {"N": "7"}, "N": {"N": "7"}},
    "time": {},
    "json": {
        "S": {"S": "7"},
        "N": {"S": "7"},
        "BOOL": {"S": "true"},
        "NULL": {"S": "null"},
        "M": {"S": '{"a": 1, "b": [null]}'},
        "L": {"S": '["x", false]'},
    },
}
"""What these say in the layout's type, by kind of column; the others are errors."""

_TIME = {"S": "2024-01-02T03:04:05.000000+0000"}


@dataclass(frozen=True)
class Odd:
    """A table's item, one attribute of which is given other types.

    Attributes:
        item: the item of the layout, without the actor's id.
        columns: what kind of value each attribute is; with `?` it may be NULL, which reads as what is absent.
        reads: the calls that read all attributes.
    """

    table: str
    item: Item
    columns: dict[str, str]
    reads: dict[str, Callable[[Backend, str], Any]]

    def stored(self, actor_id: str, column: str, sample: str) -> Item:
        """Return the item with a sample in place of a column."""
        item = {"id": {"S": actor_id}} | self.item | {column: SAMPLES[sample]}
        if self.table == "subscription_suspensions" and (column, sample) == ("subtarget", "NULL"):
            item["target_key"] = item["target"]
        return item

    def of_layout(self, actor_id: str, column: str, sample: str) -> Item | None:
        """Return the item of the layout that says the same as `stored`; None if it is not certain what that says."""
        item = self.stored(actor_id, column, sample)
        kind = self.columns[column]
        if sample == "NULL" and kind.endswith("?"):
            del item[column]
            return item
        certain = _CERTAIN[kind.removesuffix("?")].get(sample)
        return None if certain is None else item | {column: certain}


def _s(**texts: str) -> Item:
    return {name: {"S": text} for name, text in texts.items()}


_TRUST_TEXTS = (
    "baseuri",
    "type",
    "relationship",
    "secret",
    "desc",
    "verification_token",
    "peer_identifier",
    "established_via",
    "last_connected_via",
    "client_name",
    "client_version",
    "client_platform",
    "oauth_client_id",
    "aw_supported",
    "aw_version",
)
_TRUST_FLAGS = ("approved", "peer_approved", "verified")
_TRUST_TIMES = ("created_at", "last_accessed", "capabilities_fetched_at")

ODD: dict[str, Odd] = {
    odd.table: odd
    for odd in (
        Odd(
            "actors",
            _s(creator="me", passphrase="p"),
            {"creator": "text?", "passphrase": "text?"},
            {
                "get": lambda backend, actor: get_actor(backend).get(actor),
                "list": lambda backend, _: get_actor_list(backend).fetch(),
                "iterate": lambda backend, _: list(get_actor_list(backend).iterate()),
            },
        ),
        Odd(
            "properties",
            _s(name="n", value="v"),
            {"value": "text"},
            {
                "get": lambda backend, actor: get_property(backend).get(actor, "n"),
                "many": lambda backend, actor: get_property(backend).get_many(actor, ["n"]),
                "range": lambda backend, actor: get_property(backend).get_range(actor, "a", "z"),
                "prefix": lambda backend, actor: get_property(backend).get_prefix(actor, "n"),
                "list": lambda backend, actor: get_property_list(backend).fetch(actor),
                "whole list": lambda backend, actor: get_property_list(backend).fetch_all_including_lists(actor),
            },
        ),
        Odd(
            "attributes",
            _s(bucket_name="7:7", bucket="7", name="7", data='"d"') | {"timestamp": _TIME},
            {
                "bucket": "text",
                "name": "text",
                "data": "json",
                "timestamp": "time?",
                "ttl_timestamp": "number?",
            },
            {
                "get": lambda backend, actor: get_attribute(backend).get_attr(actor, "7", "7"),
                "strict": lambda backend, actor: get_attribute(backend).get_attr_strict(actor, "7", "7"),
                "bucket": lambda backend, actor: get_attribute(backend).get_bucket(actor, "7"),
                "list": lambda backend, actor: get_attribute_bucket_list(backend).fetch(actor),
            },
        ),
        Odd(
            "trusts",
            _s(peerid="p", **dict.fromkeys(_TRUST_TEXTS, "t"))
            | {name: {"BOOL": False} for name in _TRUST_FLAGS}
            | dict.fromkeys(_TRUST_TIMES, _TIME),
            dict.fromkeys(_TRUST_TEXTS, "text?")
            | dict.fromkeys(_TRUST_FLAGS, "flag")
            | dict.fromkeys(_TRUST_TIMES, "time?"),
            {
                "get": lambda backend, actor: get_trust(backend).get(actor, "p"),
                "many": lambda backend, actor: get_trust(backend).get_many(actor, ["p"]),
                "list": lambda backend, actor: get_trust_list(backend).fetch(actor),
            },
        ),
        Odd(
            "peertrustees",
            _s(peerid="p", baseuri="u", type="t", passphrase="x"),
            {"baseuri": "text?", "type": "text?", "passphrase": "text?"},
            {
                "get": lambda backend, actor: get_peer_trustee(backend).get(actor, peerid="p"),
                "list": lambda backend, actor: get_peer_trustee_list(backend).fetch(actor),
            },
        ),
        Odd(
            "subscriptions",
            _s(peer_sub_id="7:7", peerid="7", subid="7", granularity="g", target="t", subtarget="s", resource="r")
            | {"seqnr": {"N": "5"}, "callback": {"BOOL": False}},
            {
                "peerid": "text",
                "subid": "text",
                "granularity": "text?",
                "target": "text?",
                "subtarget": "text?",
                "resource": "text?",
                "seqnr": "number",
                "callback": "flag",
            },
            {
                "get": lambda backend, actor: get_subscription(backend).get(actor, "7", "7"),
                "list": lambda backend, actor: get_subscription_list(backend).fetch(actor),
            },
        ),
        Odd(
            "subscriptiondiffs",
            _s(subid_seqnr="7:7", subid="7", diff="d") | {"seqnr": {"N": "7"}, "timestamp": _TIME},
            {"subid": "text", "diff": "text?", "seqnr": "number", "timestamp": "time"},
            {
                "get": lambda backend, actor: get_subscription_diff(backend).get(actor, "7", 7),
                "lowest": lambda backend, actor: get_subscription_diff(backend).get(actor, "7"),
                "list": lambda backend, actor: get_subscription_diff_list(backend).fetch(actor, "7"),
                "whole list": lambda backend, actor: get_subscription_diff_list(backend).fetch(actor),
            },
        ),
        Odd(
            "subscription_suspensions",
            _s(target_key="7:7", target="7", subtarget="7") | {"suspended_at": _TIME},
            {"target": "text", "subtarget": "text?", "suspended_at": "time"},
            {"list": lambda backend, actor: get_subscription_suspension(backend, actor).get_all_suspended()},
        ),
    )
}
"""By table."""

CASES = [(table, column, sample) for table, odd in ODD.items() for column in odd.columns for sample in SAMPLES]

_KEYS = {
    "actors": ["id"],
    "properties": ["id", "name"],
    "property_lookup": ["property_name", "value"],
    "property_lookup_v2": ["lookup_key"],
    "attributes": ["id", "bucket_name"],
    "trusts": ["id", "peerid"],
    "peertrustees": ["id", "peerid"],
    "subscriptions": ["id", "peer_sub_id"],
    "subscriptiondiffs": ["id", "subid_seqnr"],
    "subscription_suspensions": ["id", "target_key"],
}


def create_tables(client: DynamoDBClient, prefix: str) -> None:
    """Create all tables without their indexes, which let no other type into their keys."""
    for suffix, names in _KEYS.items():
        client.create_table(
            TableName=f"{prefix}_{suffix}",
            KeySchema=[
                {"AttributeName": name, "KeyType": "RANGE" if index else "HASH"} for index, name in enumerate(names)
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            BillingMode="PAY_PER_REQUEST",
        )
