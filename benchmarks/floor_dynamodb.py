"""The floor on DynamoDB: recorded requests as calls of botocore, without its check of parameters."""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.driver.workload import Call

__all__ = ["Request", "calls_of", "capacity_of", "make_client"]

Request = tuple[str, dict[str, Any]]
"""An operation, as `PutItem`, and its arguments."""


def make_client(environment: dict[str, str]) -> Any:
    """Return a botocore client for the server that settings of `actingweb.db` name."""
    return botocore.session.get_session().create_client(
        "dynamodb",
        endpoint_url=environment["AWS_DB_HOST"],
        region_name=environment["AWS_DEFAULT_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


def calls_of(client: Any, recorded: list[list[Request]]) -> list[Call]:
    """Return calls that send what the recorded ones sent."""
    methods = {operation: getattr(client, name) for name, operation in client.meta.method_to_api_mapping.items()}
    return [_call([(methods[name], _repeatable(arguments)) for name, arguments in one]) for one in recorded]


def capacity_of(client: Any, requests: list[Request]) -> float:
    """Send requests and return the capacity units that they consume, but for those refused, which is not told."""
    units = 0.0
    methods = {operation: getattr(client, name) for name, operation in client.meta.method_to_api_mapping.items()}
    for name, arguments in requests:
        answer = _sent(methods[name], {**_repeatable(arguments), "ReturnConsumedCapacity": "TOTAL"})
        consumed = answer.get("ConsumedCapacity", [])
        units += sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))
    return units


def _repeatable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments without the token that makes a repetition do nothing, and without what capacity asks for."""
    left = copy.deepcopy(arguments)
    for name in ("ClientRequestToken", "ReturnConsumedCapacity"):
        left.pop(name, None)
    return left


def _call(requests: list[tuple[Any, dict[str, Any]]]) -> Call:
    if len(requests) == 1:
        method, arguments = requests[0]
        return lambda: method(**arguments)

    def run() -> None:
        for method, arguments in requests:
            _sent(method, arguments)

    return run


def _sent(method: Any, arguments: dict[str, Any]) -> Any:
    """Return the answer; of a request that is refused, as it was when it was recorded, an empty one."""
    try:
        return method(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        return {}
