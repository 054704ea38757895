"""Every `DbError` of the library has a reason of the form `what is wrong: what to do`.

The reason of a rejected argument names the argument and what is wrong with it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore import exceptions as botocore

import actingweb.db
from actingweb.db import DbError, DbUnknownActorError
from actingweb.db import exceptions as public
from actingweb.db.dynamodb import errors as dynamodb
from actingweb.db.dynamodb.sent import Sent
from actingweb.db.dynamodb.wire.failures import ServiceError
from actingweb.db.faults import Fault
from actingweb.db.postgresql import errors as postgresql

PACKAGE = Path(actingweb.db.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
PAGE = (Path(__file__).parents[2] / "docs/errors.md").read_text()
ERRORS = {name for name in public.__all__ if name.startswith("Db")}
INPUT = {"DbInputError", "DbUnknownActorError"}
# What passes a fault on, or makes the public error of one.
PASSING = {("faults.py", "input_error"), ("faults.py", "named"), ("exceptions.py", "_rebuild")}


def says_what_to_do(reason: str) -> bool:
    what, _, next_step = reason.partition(": ")
    return bool(what.strip() and next_step.strip())


def constructions(source: Path) -> Iterator[tuple[ast.Call, str, dict[str, list[str]]]]:
    """Yield the calls in a source that make a fault or an error, each with its error's name, and the named texts."""
    tree = ast.parse(source.read_text())
    texts: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            texts.setdefault(node.targets[0].id, []).extend(literals(node.value))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and (source.name, function.name) not in PASSING:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    if node.func.id.endswith("Fault") and node.args:
                        yield node, ast.unparse(node.args[0]), texts
                    elif node.func.id in ERRORS:
                        yield node, node.func.id, texts


def literals(node: ast.AST) -> list[str]:
    """Return the text that an expression is, with a placeholder for each value in it; none if it is another."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)]
    return []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_the_sources_raise(source: Path) -> None:
    for call, error, texts in constructions(source):
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            continue  # a meaning of the tables below
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        reason = named.get("reason") or (call.args[1] if len(call.args) > 1 else None)
        assert reason is not None, f"line {call.lineno}"
        found = texts.get(reason.id, []) if isinstance(reason, ast.Name) else literals(reason)
        passed_on = error not in ERRORS
        assert passed_on or error in INPUT or all(map(says_what_to_do, found)), f"line {call.lineno}: {found}"
        assert all(found), f"line {call.lineno}"


def test_the_search_of_the_sources_finds_them_all() -> None:
    found = [call for source in SOURCES for call in constructions(source)]
    assert len(found) > 25


def check(fault: Fault) -> None:
    error = fault.to_public_error("op", None)
    assert isinstance(error, DbError)
    assert says_what_to_do(str(error.reason)) or isinstance(error, DbUnknownActorError), error.reason
    assert "hidden" not in str(error)
    assert len(str(error.reason)) < 300


def subclasses(kind: type[psycopg.Error]) -> set[type[psycopg.Error]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


@pytest.mark.parametrize(
    "kind",
    sorted((kind for kind in subclasses(psycopg.Error) if kind.__module__.startswith("psycopg")), key=str),
)
def test_errors_of_psycopg(kind: type[psycopg.Error]) -> None:
    check(postgresql.fault_of(kind("hidden")))
    check(postgresql.connect_fault(kind("hidden")))


@pytest.mark.parametrize("code", [*postgresql.BY_SQLSTATE, *postgresql.BY_CONNECT_CODE, "XX000", "58P01", "F0000"])
def test_codes_of_postgresql(code: str) -> None:
    error = psycopg.Error("hidden")
    error.sqlstate = code.ljust(5, "0")
    check(postgresql.fault_of(error))
    check(postgresql.connect_fault(error))
    check(postgresql.connect_fault(psycopg.OperationalError(f"connection failed: FATAL:  {error.sqlstate}: hidden")))


def test_errors_that_are_not_psycopg_s() -> None:
    check(postgresql.fault_of(UnicodeEncodeError("utf-8", "hidden", 0, 1, "hidden")))
    check(postgresql.fault_of(RuntimeError("hidden")))
    check(dynamodb.fault_of(RuntimeError("hidden")))


SENT = [
    None,
    Sent("GetItem", {"TableName": "t", "Key": {"id": {"S": "hidden"}}}),
    Sent("Query", {"TableName": "t", "IndexName": "i"}),
    Sent("BatchGetItem", {"RequestItems": {"t": {"Keys": [{"id": {"S": "hidden"}}]}}}),
    Sent("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "t", "Item": {"id": {"S": "hidden"}}}}]}),
]


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: sent and sent.operation)
@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("code", [*dynamodb._CODES, "ValidationException", "InternalServerError", "SomethingNew", ""])
def test_codes_of_dynamodb(code: str, executed: bool, sent: Sent | None) -> None:
    check(dynamodb.fault_of(ServiceError(400, code, "hidden"), executed, sent))


@pytest.mark.parametrize("phrase", [phrase for phrase, _ in dynamodb._PHRASES])
def test_refusals_of_dynamodb(phrase: str) -> None:
    for sent in SENT:
        check(dynamodb.fault_of(ServiceError(400, "ValidationException", f"hidden {phrase} hidden"), False, sent))


def botocore_errors(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*map(botocore_errors, kind.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(botocore_errors(botocore.BotoCoreError), key=str))
def test_errors_of_botocore(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    for sent in SENT:
        check(dynamodb.fault_of(error, False, sent))


@pytest.mark.parametrize("answer", [{}, {"Error": {"Code": "AccessDenied"}}, {"Error": {"Code": "see hidden: x"}}])
def test_what_the_service_of_the_credentials_refuses(answer: Any) -> None:
    for sent in SENT:
        check(dynamodb.fault_of(botocore.ClientError(answer, "AssumeRole"), False, sent))


def documented() -> set[str]:
    meanings = [*postgresql.BY_SQLSTATE.values(), *(meaning for _, meaning in postgresql.BY_CLASS)]
    tables = (*dynamodb._PHRASES, *dynamodb._CLASSES, *dynamodb._classes_of_sdk())
    verdicts = [*dynamodb._CODES.values(), *(verdict for _, verdict in tables)]
    return {
        *(reason for _, reason in (*meanings, *postgresql.BY_CONNECT_CODE.values(), postgresql._NO_USER)),
        *(reason for _, (_, reason) in postgresql.BY_CONNECT_TEXT),
        *(verdict.reason for verdict in verdicts),
    }


def test_the_page_lists_them() -> None:
    assert {reason for reason in documented() if reason not in PAGE} == set()
