"""Requests and answers as bytes: the meaning that botocore's client gives them, for both clients on a real server."""

from __future__ import annotations

import json
from http.client import HTTPMessage
from typing import Any, cast
from zlib import crc32

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser

from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.connections import Limits
from actingweb.db.dynamodb.wire.failures import GarbledAnswerError, ServiceError
from actingweb.db.dynamodb.wire.messages import STREAMS, Answer, Target, content_of, encoded, head_of
from testbed.servers import DynamoDBTarget

from .conftest import Make

AMPLE = Limits(60, 60)
TYPE = "com.amazonaws.dynamodb.v20120810#"
ITEM = {
    "id": {"S": "ä"},
    "n": {"N": "1.50"},
    "l": {"L": [{"BOOL": True}, {"NULL": True}]},
    "m": {"M": {"x": {"S": ""}}},
}


def answer(status: int, content: Any) -> Answer:
    """Return an answer of this content, JSON unless it is bytes, with its checksum."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    message = HTTPMessage()
    message["X-Amz-Crc32"] = str(crc32(body))
    return Answer(status, cast(dict[str, str], message), body)


def theirs(operation: str, found: Answer) -> dict[str, Any]:
    """Return what botocore's parser makes of an answer."""
    model = ServiceModel(Loader().load_service_model("dynamodb", "service-2"))
    headers = {name.lower(): value for name, value in found.headers.items()}
    response = {"status_code": found.status, "headers": headers, "body": found.body}
    shape: Any = model.operation_model(operation).output_shape
    parsed: dict[str, Any] = create_parser("json").parse(response, shape)
    if found.status >= 300:
        error_shape = model.shape_for_error_code(parsed["Error"]["Code"])
        if error_shape is not None:
            parsed |= create_parser("json").parse(response, error_shape)
    parsed.pop("ResponseMetadata", None)
    return parsed


ERRORS: dict[str, Answer] = {
    "a condition": answer(
        400, {"__type": f"{TYPE}ConditionalCheckFailedException", "message": "The conditional request failed"}
    ),
    "a condition with its item": answer(
        400, {"__type": f"{TYPE}ConditionalCheckFailedException", "Message": "failed", "Item": ITEM}
    ),
    "a transaction": answer(
        400,
        {
            "__type": f"{TYPE}TransactionCanceledException",
            "Message": "cancelled",
            "CancellationReasons": [
                {"Code": "None"},
                {"Code": "ConditionalCheckFailed", "Message": "failed", "Item": ITEM},
                {"Code": "ValidationError", "Message": "size"},
            ],
        },
    ),
    "throttling": answer(400, {"__type": f"{TYPE}ProvisionedThroughputExceededException", "message": "slow"}),
    "another namespace": answer(
        400, {"__type": "com.amazon.coral.service#UnrecognizedClientException", "message": "x"}
    ),
    "no namespace": answer(400, {"__type": "ResourceNotFoundException", "message": "x"}),
    "with a URL": answer(400, {"__type": "ThrottlingException:http://internal.amazon.com/coral/", "message": "x"}),
    "a failure": answer(500, {"__type": f"{TYPE}InternalServerError", "message": "x"}),
    "without a type": answer(503, {"message": "x"}),
    "without anything": answer(413, b""),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_mean_what_botocore_takes_them_for(name: str) -> None:
    with pytest.raises(ServiceError) as raised:
        content_of(ERRORS[name])
    error = raised.value
    expected = theirs("TransactWriteItems", ERRORS[name])
    assert error.code == expected["Error"]["Code"]
    assert error.message == expected["Error"]["Message"]
    assert error.reasons == expected.get("CancellationReasons", [])
    assert error.item == expected.get("Item")
    assert error.status == ERRORS[name].status


@pytest.mark.parametrize(
    "content",
    [b"<html>", b"[]", b'"text"', b"null", b"[[[", b"\xff", {"__type": 7, "message": 8}, {"CancellationReasons": "x"}],
)
def test_an_error_of_any_content_is_an_error(content: Any) -> None:
    with pytest.raises(ServiceError) as raised:
        content_of(answer(502, content))
    assert raised.value.status == 502
    assert raised.value.reasons == []


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_damaged_answer_is_neither_a_success_nor_an_error(status: int) -> None:
    body = json.dumps({"__type": f"{TYPE}ConditionalCheckFailedException"}).encode()
    with pytest.raises(GarbledAnswerError):
        content_of(Answer(status, {"x-amz-crc32": str(crc32(body) ^ 1)}, body))


def test_text_and_binary_values_in_a_request() -> None:
    text = encoded({"Key": {"id": {"S": 'ä"\n😀\ud800'}, "b": {"B": b"\x00\xff"}, "c": {"B": bytearray(b"x")}}})
    assert text.isascii()
    assert json.loads(text) == {"Key": {"id": {"S": 'ä"\n😀\ud800'}, "b": {"B": "AP8="}, "c": {"B": "eA=="}}}
    with pytest.raises(TypeError, match="object has no place"):
        encoded({"Key": object()})


def test_a_head_has_its_end_and_the_size_of_its_body() -> None:
    head = head_of(Target("example.com", "/x", "/x", "User-Agent: y\r\n"), [("host", "example.com")], 12)
    assert head == b"POST /x HTTP/1.1\r\nHost: example.com\r\nContent-Length: 12\r\nUser-Agent: y\r\n\r\n"


class TestOnARealServer:
    """Every operation of the library, over either client."""

    TABLE = "wire-test"

    @pytest.fixture
    def client(self, make: Make, dynamodb_server: DynamoDBTarget) -> Client:
        return make(dynamodb_server.environment["AWS_DB_HOST"])

    @pytest.fixture(autouse=True)
    def table(self, dynamodb_server: DynamoDBTarget) -> Any:
        client = dynamodb_server.connect()
        client.create_table(
            TableName=self.TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield
        client.delete_table(TableName=self.TABLE)
        client.close()

    def test_operations(self, client: Client) -> None:
        def send(operation: str, **request: Any) -> dict[str, Any]:
            return client.send(operation, request, AMPLE)

        name, key = self.TABLE, {"id": {"S": "ä"}}
        value = {":x": {"S": "漢字 😀"}}
        assert send("PutItem", TableName=name, Item=ITEM) == {}
        assert send("GetItem", TableName=name, Key=key, ConsistentRead=True)["Item"] == ITEM | {"n": {"N": "1.5"}}
        update = {"UpdateExpression": "SET v = :x", "ExpressionAttributeValues": value, "ReturnValues": "ALL_NEW"}
        assert send("UpdateItem", TableName=name, Key=key, **update)["Attributes"]["v"] == value[":x"]
        where = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": key["id"]}}
        assert send("Query", TableName=name, **where)["Count"] == 1
        assert send("Scan", TableName=name)["Count"] == 1
        assert send("BatchGetItem", RequestItems={name: {"Keys": [key]}})["UnprocessedKeys"] == {}
        deletes = [{"DeleteRequest": {"Key": key}}]
        assert send("BatchWriteItem", RequestItems={name: deletes})["UnprocessedItems"] == {}
        put = {"Put": {"TableName": name, "Item": key, "ConditionExpression": "attribute_not_exists(id)"}}
        send("TransactWriteItems", TransactItems=[put])
        assert send("DeleteItem", TableName=name, Key=key, ReturnValues="ALL_OLD")["Attributes"] == key
        assert send("DescribeTable", TableName=name)["Table"]["TableName"] == name
        assert "TimeToLiveDescription" in send("DescribeTimeToLive", TableName=name)
        assert name in send("ListTables")["TableNames"]

    def test_a_stream(self, client: Client, make: Make, dynamodb_server: DynamoDBTarget) -> None:
        view = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
        description = client.send("UpdateTable", {"TableName": self.TABLE, "StreamSpecification": view}, AMPLE)
        stream = {"StreamArn": description["TableDescription"]["LatestStreamArn"]}
        client.send("PutItem", {"TableName": self.TABLE, "Item": {"id": {"S": "ä"}, "value": {"S": "x"}}}, AMPLE)

        streams = make(dynamodb_server.environment["AWS_DB_HOST"], api=STREAMS)
        (shard,) = streams.send("DescribeStream", stream, AMPLE)["StreamDescription"]["Shards"]
        request = {**stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = streams.send("GetShardIterator", request, AMPLE)
        (record,) = streams.send("GetRecords", iterator, AMPLE)["Records"]
        assert record["dynamodb"]["Keys"] == {"id": {"S": "ä"}}

    def test_conditions_that_fail(self, client: Client) -> None:
        wanted = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ConditionExpression": "attribute_not_exists(id)"}
        put = {"TableName": self.TABLE, "Item": {"id": {"S": "x"}}, **wanted}
        client.send("PutItem", put, AMPLE)
        with pytest.raises(ServiceError) as raised:
            client.send("PutItem", put, AMPLE)
        assert raised.value.code == "ConditionalCheckFailedException"
        assert raised.value.item == {"id": {"S": "x"}}
        with pytest.raises(ServiceError) as raised:
            client.send("TransactWriteItems", {"TransactItems": [{"Put": put}]}, AMPLE)
        (reason,) = raised.value.reasons
        assert (reason["Code"], reason["Item"]) == ("ConditionalCheckFailed", {"id": {"S": "x"}})

    def test_a_page_as_text(self, client: Client) -> None:
        client.send("PutItem", {"TableName": self.TABLE, "Item": {"id": {"S": "x"}}}, AMPLE)
        text = client.fetch("Scan", {"TableName": self.TABLE}, AMPLE)
        assert json.loads(text)["Items"] == [{"id": {"S": "x"}}]

    @pytest.mark.parametrize(
        ("operation", "code"), [("GetItem", "ValidationException"), ("Nothing", "UnknownOperation")]
    )
    def test_what_the_service_refuses(self, client: Client, operation: str, code: str) -> None:
        with pytest.raises(ServiceError) as raised:
            client.send(operation, {"TableName": self.TABLE, "Key": {}}, AMPLE)
        assert raised.value.status == 400
        assert code in raised.value.code
