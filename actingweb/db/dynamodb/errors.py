"""What a failed request means: which error it is, whether it may have been executed, whether repeating can help."""

from dataclasses import dataclass
from typing import Any

from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError
from pynamodb.exceptions import PynamoDBException

from actingweb.db.exceptions import (
    DbConflictError,
    DbConnectionError,
    DbError,
    DbInputError,
    DbOutcomeUnknownError,
    DbSchemaError,
    DbThrottledError,
    DbTimeoutError,
)
from actingweb.db.faults import DriverError, Fault

__all__ = [
    "CONDITION_FAILED",
    "DENIED",
    "MISSING_INDEX",
    "NOT_FOUND",
    "Verdict",
    "code_of",
    "fault_of",
    "judge",
    "reasons_of",
]

CONDITION_FAILED = "ConditionalCheckFailedException"
DENIED = "AccessDeniedException"
NOT_FOUND = "ResourceNotFoundException"

_CREATE_TABLES = "a table is missing: python -m actingweb.db.verify_tables names it"
MISSING_INDEX = "an index is missing: python -m actingweb.db.verify_tables names the tables"


@dataclass(frozen=True)
class Verdict:
    """What one failed request means.

    Attributes:
        error: the class of the public error.
        reason: its fixed phrase.
        executed: whether the server may have executed the request.
        transient: whether repeating the request can help.
    """

    error: type[DbError]
    reason: str
    executed: bool = False
    transient: bool = False


_THROTTLED = Verdict(DbThrottledError, "the database throttles requests", transient=True)
_CONFLICT = Verdict(DbConflictError, "concurrent transactions kept colliding", transient=True)
_DENIED = Verdict(DbError, "access denied")
_FAILED = Verdict(DbError, "the database failed to answer", executed=True, transient=True)
_REFUSED = Verdict(DbError, "the database refused the request")

_CODES = {
    "ThrottlingException": _THROTTLED,
    "Throttling": _THROTTLED,
    "ThrottlingError": _THROTTLED,
    "ThrottledException": _THROTTLED,
    "TooManyRequestsException": _THROTTLED,
    "ProvisionedThroughputExceeded": _THROTTLED,
    "ProvisionedThroughputExceededException": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "LimitExceededException": _THROTTLED,
    "TransactionConflict": _CONFLICT,
    "TransactionConflictException": _CONFLICT,
    "TransactionInProgressException": Verdict(
        DbConflictError, "the transaction is still in progress", executed=True, transient=True
    ),
    "ReplicatedWriteConflictException": _CONFLICT,
    NOT_FOUND: Verdict(DbSchemaError, _CREATE_TABLES),
    "TableNotFoundException": Verdict(DbSchemaError, _CREATE_TABLES),
    DENIED: _DENIED,
    "UnrecognizedClientException": _DENIED,
    "ExpiredTokenException": Verdict(DbError, "the AWS credentials have expired"),
    "InvalidSignatureException": _DENIED,
    "MissingAuthenticationTokenException": _DENIED,
    "IncompleteSignatureException": _DENIED,
    "ServiceUnavailable": Verdict(DbThrottledError, "the database is unavailable", executed=True, transient=True),
}

_PHRASES = (
    ("does not have the specified index", Verdict(DbSchemaError, MISSING_INDEX)),
    ("Item size", Verdict(DbInputError, "the item would exceed the limit of 409600 bytes")),
    ("item size", Verdict(DbInputError, "the item would exceed the limit of 409600 bytes")),
    ("size limit", Verdict(DbInputError, "a key or the request exceeds a limit of the database")),
    ("Size limit", Verdict(DbInputError, "an index key exceeds the limit of 2048 bytes")),
    ("must be under", Verdict(DbInputError, "a key exceeds the limit of 2048 bytes, of a range key 1024 bytes")),
    ("empty string value", Verdict(DbInputError, "a key attribute must not be empty")),
    ("Number overflow", Verdict(DbInputError, "a number exceeds the range of the database")),
    ("significant digits", Verdict(DbInputError, "a number exceeds the limit of 38 digits")),
)

_CLASSES: tuple[tuple[type[Exception], Verdict], ...] = (
    (botocore.ConnectTimeoutError, Verdict(DbTimeoutError, "no connection in time", transient=True)),
    (botocore.ReadTimeoutError, Verdict(DbTimeoutError, "no answer in time", executed=True, transient=True)),
    (botocore.SSLError, Verdict(DbConnectionError, "TLS failed")),
    (botocore.ConnectionError, Verdict(DbConnectionError, "the endpoint cannot be reached", transient=True)),
    (botocore.HTTPClientError, Verdict(DbConnectionError, "the connection was lost", executed=True, transient=True)),
    (botocore.NoCredentialsError, Verdict(DbError, "no AWS credentials found")),
    (botocore.PartialCredentialsError, Verdict(DbError, "the AWS credentials are incomplete")),
    (botocore.CredentialRetrievalError, Verdict(DbError, "the AWS credentials could not be fetched")),
    (botocore.TokenRetrievalError, Verdict(DbError, "the AWS credentials could not be fetched")),
    (botocore.IncompleteReadError, _FAILED),
    (ResponseParserError, _FAILED),
    (botocore.BotoCoreError, Verdict(DbError, "the driver refused the request")),
)


def judge(error: Exception) -> Verdict:
    """Return what a failed request means, by the first table that knows it."""
    if isinstance(error, botocore.ClientError):
        return _judge_answer(error)
    return next((verdict for known, verdict in _CLASSES if isinstance(error, known)), _REFUSED)


def _judge_answer(error: botocore.ClientError) -> Verdict:
    code = code_of(error) or ""
    if code in ("ValidationException", "ValidationError"):
        text = _message(error)
        return next((verdict for phrase, verdict in _PHRASES if phrase in text), _REFUSED)
    if code in _CODES:
        return _CODES[code]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _FAILED if status >= 500 else _REFUSED


def code_of(error: Exception) -> str | None:
    """Return the AWS error code; for a cancelled transaction that of its first cause, if no condition failed."""
    if not isinstance(error, botocore.ClientError):
        return None
    causes = [cause for cause in map(_cause_code, reasons_of(error)) if cause]
    if causes and "ConditionalCheckFailed" not in causes:
        return causes[0]
    return CONDITION_FAILED if causes else error.response.get("Error", {}).get("Code")


def reasons_of(error: Exception) -> list[Any]:
    """Return why each action of a cancelled transaction failed, in order."""
    response: dict[str, Any] = dict(error.response) if isinstance(error, botocore.ClientError) else {}
    return list(response.get("CancellationReasons") or ())


def _cause_code(reason: Any) -> str | None:
    code = reason.get("Code")
    return None if code == "None" else code


def _message(error: botocore.ClientError) -> str:
    texts = [error.response.get("Error", {}).get("Message") or ""]
    texts += [reason.get("Message") or "" for reason in reasons_of(error)]
    return " ".join(texts)


def fault_of(error: Exception, executed: bool = False) -> Fault:
    """Return the fault of a request that finally failed with a driver's exception.

    `executed`: it was a write of which any attempt may have been executed.
    """
    error = _driver_error(error)
    verdict = judge(error)
    cause = DriverError(type(error).__name__, code_of(error))
    if executed:
        return Fault(DbOutcomeUnknownError, f"no answer to a write ({verdict.reason})", cause)
    return Fault(verdict.error, verdict.reason, cause)


def _driver_error(error: Exception) -> Exception:
    """Return botocore's exception behind pynamodb's."""
    cause = error.cause if isinstance(error, PynamoDBException) else None
    return cause if isinstance(cause, Exception) else error
