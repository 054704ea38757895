"""The fake and DynamoDB Local give the same answers to the same requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from zlib import crc32

import pytest

from testbed.servers import DynamoDBTarget
from tests.live.histories.fake.server import fake_server
from tests.live.histories.fake.service import FakeDynamoDB
from tests.support import new_id, wait_until

Json = dict[str, Any]
Send = Callable[[str, Json], Json]

_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential={}/20260101/us-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)
_OF_STREAMS = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")


def sender(url: str, access_key: str) -> Send:
    """Return what sends a request and returns the answer; that to a refused one is its code and what it holds."""

    def send(operation: str, request: Json) -> Json:
        version = "DynamoDBStreams_20120810" if operation in _OF_STREAMS else "DynamoDB_20120810"
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"{version}.{operation}",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": _AUTHORIZATION.format(access_key),
        }
        try:
            with urlopen(Request(url, json.dumps(request).encode(), headers)) as answer:
                text = answer.read()
                assert answer.headers["x-amz-crc32"] == str(crc32(text))
                content: Json = json.loads(text)
                # DynamoDB Local has it in answers for which nobody asked.
                content.pop("ConsumedCapacity", None)
                return content
        except HTTPError as error:
            facts = json.loads(error.read())
            kept = {"Item": facts["Item"]} if "Item" in facts else {}
            reasons = [{**reason, "Message": ""} for reason in facts.get("CancellationReasons", [])]
            return {"status": error.code, "code": facts["__type"].rpartition("#")[2], "reasons": reasons, **kept}

    return send


@pytest.fixture(scope="module")
def fake() -> FakeDynamoDB:
    """Return a fake on its best day."""
    return FakeDynamoDB()


@pytest.fixture
def both(fake: FakeDynamoDB, dynamodb_server: DynamoDBTarget) -> Iterator[tuple[Send, Send]]:
    """Return what sends requests to the fake and to DynamoDB Local."""
    facts = dynamodb_server.environment
    with fake_server(fake) as server:
        yield sender(server.url, "fake"), sender(facts["AWS_DB_HOST"], facts["AWS_ACCESS_KEY_ID"])


def is_active(send: Send, table: str) -> bool:
    """Tell whether a table can be used."""
    return bool(send("DescribeTable", {"TableName": table})["Table"]["TableStatus"] == "ACTIVE")


@contextmanager
def table(both: tuple[Send, Send], **more: Any) -> Iterator[str]:
    """Yield the name of a table with hash and range key that exists on both sides."""
    name = new_id("fake")
    request = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "name", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [{"AttributeName": part, "AttributeType": "S"} for part in ("id", "name")],
        **more,
    }
    for send in both:
        assert "status" not in send("CreateTable", request)
        wait_until(partial(is_active, send, name))
    try:
        yield name
    finally:
        for send in both:
            send("DeleteTable", {"TableName": name})


def texts(**values: str | int) -> Json:
    """Return attributes."""
    return {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in values.items()}


def in_order(item: Json) -> str:
    """Return a value to sort items by."""
    return json.dumps(item, sort_keys=True)


def same(both: tuple[Send, Send], operation: str, request: Json, shown: Callable[[Json], Any] = lambda it: it) -> Json:
    """Send a request to both sides, and return the answer that both give."""
    ours, theirs = (send(operation, request) for send in both)
    assert shown(ours) == shown(theirs), (operation, request)
    return ours


_A = texts(id="a", name="n")
_NAMES = {"#name": "name", "#v": "value", "#id": "id", "#other": "other"}
_CONDITIONS: list[tuple[str, Json]] = [
    ("attribute_exists(#v)", {}),
    ("attribute_not_exists(#v)", {}),
    ("attribute_not_exists(#id) OR #v = :one", texts(one="x")),
    ("#v = :one AND #name = :n", texts(one="x", n="n")),
    ("#v <> :one", texts(one="x")),
    ("#v <> :one", texts(one=1)),
    ("#other <> :one", texts(one="x")),
    ("#other = :one", texts(one="x")),
    ("NOT #other = :one", texts(one="x")),
    ("#other < :one", texts(one="x")),
    ("#v < :one", texts(one=5)),
    ("#v >= :one", texts(one="w")),
    ("attribute_type(#v, :one)", texts(one="S")),
    ("attribute_type(#v, :one)", texts(one="N")),
    ("(#v = :one OR (attribute_exists(#v) AND NOT attribute_type(#v, :two)))", texts(one="y", two="S")),
    ("begins_with(#v, :one)", texts(one="x")),
    ("begins_with(#v, :one)", texts(one="z")),
    ("contains(#v, :one)", texts(one="x")),
    ("#v BETWEEN :one AND :two", texts(one="a", two="y")),
    ("#v IN (:one, :two)", texts(one="a", two="x")),
    ("size(#v) = :one", texts(one=1)),
    ("#v = :absent", {}),
    ("#v ==", {}),
    ("", {}),
]
_UPDATES: list[tuple[str, Json]] = [
    ("SET #v = :one", texts(one="y")),
    ("SET #v = :one, #other = #v", texts(one="y")),
    ("SET #other = if_not_exists(#other, :one) + :two", texts(one=1, two=2)),
    ("SET #other = if_not_exists(#v, :one)", texts(one="y")),
    ("REMOVE #v, #other", {}),
    ("SET #other = :one REMOVE #v", texts(one="y")),
    ("ADD #other :one", texts(one=3)),
    ("SET #other = #other + :one", texts(one=3)),
    ("SET #v = #v + :one", texts(one=3)),
    ("SET #name = :one", texts(one="m")),
    ("SET #v = :absent", {}),
    ("NOTHING #v", {}),
]


def _used(text: str) -> Json:
    names = {placeholder: name for placeholder, name in _NAMES.items() if placeholder in text.replace(",", " ")}
    return {"ExpressionAttributeNames": names} if names else {}


def _values(values: Json) -> Json:
    return {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}} if values else {}


def test_conditions(both: tuple[Send, Send]) -> None:
    with table(both) as name:
        for item in (_A, _A | texts(value="x"), _A | texts(value=3), _A | texts(value="y", other="x")):
            for condition, values in _CONDITIONS:
                same(both, "PutItem", {"TableName": name, "Item": item})
                more = {"ConditionExpression": condition, **_used(condition), **_values(values)}
                shown = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
                same(both, "PutItem", {"TableName": name, "Item": item | texts(new="1"), **more, **shown})
                same(both, "DeleteItem", {"TableName": name, "Key": _A, "ReturnValues": "ALL_OLD", **more})
                check = {"ConditionCheck": {"TableName": name, "Key": _A, **more, **shown}}
                put = {"Put": {"TableName": name, "Item": texts(id="b", name="m")}}
                same(both, "TransactWriteItems", {"TransactItems": [put, check]})
                same(both, "GetItem", {"TableName": name, "Key": texts(id="b", name="m"), "ConsistentRead": True})
                same(both, "DeleteItem", {"TableName": name, "Key": texts(id="b", name="m")})


def test_updates(both: tuple[Send, Send]) -> None:
    with table(both) as name:
        for item in (None, _A, _A | texts(value="x"), _A | texts(value="x", other=7)):
            for update, values in _UPDATES:
                for shown in ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_NEW"):
                    same(both, "DeleteItem", {"TableName": name, "Key": _A})
                    if item is not None:
                        same(both, "PutItem", {"TableName": name, "Item": item})
                    more = {"UpdateExpression": update, **_used(update), **_values(values), "ReturnValues": shown}
                    same(both, "UpdateItem", {"TableName": name, "Key": _A, **more})
                    same(both, "GetItem", {"TableName": name, "Key": _A, "ConsistentRead": True})


def test_malformed_requests(both: tuple[Send, Send]) -> None:
    with table(both) as name:
        for key in (texts(id="a"), texts(id="a", other="n"), texts(id="", name="n"), _A | texts(value="x"), {}):
            same(both, "GetItem", {"TableName": name, "Key": key})
            same(both, "DeleteItem", {"TableName": name, "Key": key})
        for item in (texts(id="a"), texts(id="", name="n"), texts(value="x", name="n")):
            same(both, "PutItem", {"TableName": name, "Item": item})
        same(both, "GetItem", {"TableName": "absent", "Key": _A})
        same(both, "DescribeTable", {"TableName": "absent"})
        same(both, "BatchGetItem", {"RequestItems": {name: {"Keys": [_A, _A]}}})
        same(both, "BatchGetItem", {"RequestItems": {name: {"Keys": [texts(id=str(n), name="n") for n in range(101)]}}})
        put = {"PutRequest": {"Item": _A}}
        same(both, "BatchWriteItem", {"RequestItems": {name: [put, put]}})
        action = {"Put": {"TableName": name, "Item": _A}}
        same(both, "TransactWriteItems", {"TransactItems": [action, action]})
        same(both, "UpdateTable", {"TableName": name, "StreamSpecification": {"StreamEnabled": False}})


def test_batches_and_transactions(both: tuple[Send, Send]) -> None:
    with table(both) as name:
        items = [texts(id=f"i{n % 4}", name=f"n{n}", value=n) for n in range(9)]
        writes = [{"PutRequest": {"Item": item}} for item in items]
        same(both, "BatchWriteItem", {"RequestItems": {name: writes}})
        wanted = {"Keys": [{part: item[part] for part in ("id", "name")} for item in items], "ConsistentRead": True}

        def sorted_items(answer: Json) -> Any:
            return sorted(answer["Responses"][name], key=in_order), answer["UnprocessedKeys"]

        same(both, "BatchGetItem", {"RequestItems": {name: wanted}}, sorted_items)
        shown = {"ProjectionExpression": "#name", "ExpressionAttributeNames": {"#name": "name"}}
        same(both, "BatchGetItem", {"RequestItems": {name: wanted | shown}}, sorted_items)
        key = wanted["Keys"][0]  # type: ignore[index]
        actions = [{"Delete": {"TableName": name, "Key": key}}, {"Put": {"TableName": name, "Item": _A}}]
        same(both, "TransactWriteItems", {"TransactItems": actions, "ClientRequestToken": "t"})
        same(both, "PutItem", {"TableName": name, "Item": items[0]})
        same(both, "TransactWriteItems", {"TransactItems": actions, "ClientRequestToken": "t"})
        same(both, "BatchGetItem", {"RequestItems": {name: wanted}}, sorted_items)
        query = {
            "TableName": name,
            "KeyConditionExpression": "#id = :id",
            "ExpressionAttributeNames": {"#id": "id"},
            "ExpressionAttributeValues": texts(**{":id": "i1"}),
        }
        same(both, "Query", query)
        same(both, "Query", query | {"ScanIndexForward": False})
        same(both, "Query", query | {"Limit": 1})
        same(both, "Query", query | {"Select": "COUNT"})


def scanned(send: Send, request: Json) -> list[Json]:
    """Return all items of a scan, in the order of their keys, and how many pages it had."""
    items: list[Json] = []
    start: Json = {}
    while True:
        page = send("Scan", {**request, **start})
        items += page["Items"]
        assert page["ScannedCount"] <= request.get("Limit", 1000)
        if "LastEvaluatedKey" not in page:
            return sorted(items, key=in_order)
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def test_scans(both: tuple[Send, Send]) -> None:
    with table(both) as name:
        for n in range(20):
            same(both, "PutItem", {"TableName": name, "Item": texts(id=f"i{n}", name="n", value=n)})
        for limit in ({}, {"Limit": 1}, {"Limit": 7}, {"Limit": 20}):
            request = {"TableName": name, **limit}
            ours, theirs = (scanned(send, request) for send in both)
            assert ours == theirs
            assert len(ours) == 20
            for send in both:
                parts = (scanned(send, {**request, "TotalSegments": 3, "Segment": n}) for n in range(3))
                assert sorted(chain.from_iterable(parts), key=in_order) == ours


def shards(send: Send, arn: str) -> list[Json]:
    """Return the shards of a stream, described one at a time."""
    found: list[Json] = []
    start: Json = {}
    while True:
        page = send("DescribeStream", {"StreamArn": arn, "Limit": 1, **start})["StreamDescription"]
        found += page["Shards"]
        if "LastEvaluatedShardId" not in page:
            return found
        start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}


def records(send: Send, arn: str, shard: str, kind: str, sequence: str | None = None, limit: int = 2) -> list[Json]:
    """Return the records of a shard from a position on, as far as there are some."""
    request = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": kind}
    answer = send("GetShardIterator", request | ({} if sequence is None else {"SequenceNumber": sequence}))
    if "code" in answer:
        return [answer]
    found: list[Json] = []
    following = answer["ShardIterator"]
    for _ in range(20):
        batch = send("GetRecords", {"ShardIterator": following, "Limit": limit})
        found += batch["Records"]
        assert len(batch["Records"]) <= limit
        following = batch.get("NextShardIterator")
        if following is None:
            break
    return found


def facts(record: Json) -> Json:
    """Return what does not differ from one stream to another."""
    if "code" in record:
        return record
    kept = {name: record[name] for name in ("eventName", "eventSource", "eventVersion")}
    inner = {name: record["dynamodb"].get(name) for name in ("Keys", "NewImage", "OldImage", "StreamViewType")}
    return kept | inner


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_AND_OLD_IMAGES"])
def test_streams(both: tuple[Send, Send], view: str) -> None:
    with table(both) as name:
        enable = {"TableName": name, "StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}}
        for send in both:
            send("UpdateTable", enable)
        same(both, "UpdateTable", enable)
        answers = [send("DescribeTable", {"TableName": name})["Table"] for send in both]
        arns = [answer["LatestStreamArn"] for answer in answers]
        assert answers[0]["StreamSpecification"] == answers[1]["StreamSpecification"]
        for n in (1, 1, 2):
            same(both, "PutItem", {"TableName": name, "Item": _A | texts(value=n)})
        same(both, "DeleteItem", {"TableName": name, "Key": _A})
        same(both, "DeleteItem", {"TableName": name, "Key": _A})
        same(both, "PutItem", {"TableName": name, "Item": _A})
        same(both, "UpdateItem", {"TableName": name, "Key": _A})
        sides = [
            (send, arn, [shard["ShardId"] for shard in shards(send, arn)]) for send, arn in zip(both, arns, strict=True)
        ]
        whole = [
            [record for shard in ids for record in records(send, arn, shard, "TRIM_HORIZON")]
            for send, arn, ids in sides
        ]
        assert [facts(record) for record in whole[0]] == [facts(record) for record in whole[1]]
        assert [record["eventName"] for record in whole[0]] == ["INSERT", "MODIFY", "REMOVE", "INSERT"]
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            for index in range(4):
                found = []
                for (send, arn, ids), all_of_them in zip(sides, whole, strict=True):
                    number = all_of_them[index]["dynamodb"]["SequenceNumber"]
                    found.append([facts(r) for shard in ids for r in records(send, arn, shard, kind, number)])
                assert found[0] == found[1], (kind, index)
        for send, arn, ids in sides:
            assert records(send, arn, ids[-1], "LATEST") == []
        same(
            both,
            "UpdateTable",
            {"TableName": name, "StreamSpecification": {"StreamEnabled": False}},
            lambda it: "code" in it,
        )
        for send, arn, ids in sides:
            assert [facts(r) for s in ids for r in records(send, arn, s, "TRIM_HORIZON")] == [
                facts(r) for r in whole[0]
            ]


def test_streams_that_are_not_there(both: tuple[Send, Send]) -> None:
    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    with table(both, StreamSpecification=stream) as name:
        found = []
        for send in both:
            send("PutItem", {"TableName": name, "Item": _A})
            arn = send("DescribeTable", {"TableName": name})["Table"]["LatestStreamArn"]
            shard = shards(send, arn)[0]["ShardId"]
            other_shard = shard[:-1] + ("0" if shard[-1] != "0" else "1")
            iterator = {"StreamArn": arn, "ShardId": shard}
            requests = [
                ("DescribeStream", {"StreamArn": arn[:-3] + "999"}),
                ("GetShardIterator", iterator | {"ShardId": other_shard, "ShardIteratorType": "LATEST"}),
                ("GetShardIterator", iterator | {"StreamArn": arn[:-3] + "999", "ShardIteratorType": "LATEST"}),
                ("GetShardIterator", iterator | {"ShardIteratorType": "AT_SEQUENCE_NUMBER"}),
                ("GetShardIterator", iterator | {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "1"}),
                ("GetRecords", {"ShardIterator": "nonsense"}),
            ]
            found.append([send(*request) for request in requests])
        assert found[0] == found[1]
