"""Classifies failed requests: which error it is, whether the request may have run, whether repeating it can help."""

from functools import cache
from typing import Any, NamedTuple

from actingweb.db.dynamodb.sent import Sent
from actingweb.db.dynamodb.wire import failures as wire
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
    "NOT_FOUND",
    "Classification",
    "MissingIndexFault",
    "OutOfTimeError",
    "attempt_errors",
    "code_of",
    "fault_of",
    "in_use",
    "judge",
    "reasons_of",
]

CONDITION_FAILED = "ConditionalCheckFailedException"
DENIED = "AccessDeniedException"
NOT_FOUND = "ResourceNotFoundException"

_VERIFY = "python -m actingweb.db.verify_tables checks tables, keys and indexes"
_CREATE_TABLES = (
    "a table is missing: python -m actingweb.db.verify_tables names it; "
    "AWS_DB_PREFIX and AWS_DEFAULT_REGION say where tables are looked for"
)

_TRY_LATER = "try again later"
_UNREACHABLE = "the endpoint cannot be reached: check AWS_DB_HOST, or AWS_DEFAULT_REGION for AWS itself"

_PROXY = "the proxy cannot be used or refuses: check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"


class OutOfTimeError(Exception):
    """The time of a call ran out before its next request."""


_OURS = (wire.WireError, OutOfTimeError)


class Classification(NamedTuple):
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


_THROTTLED = Classification(DbThrottledError, f"the database throttles requests: {_TRY_LATER}", transient=True)
_CONFLICT = Classification(DbConflictError, "concurrent transactions kept colliding: try again", transient=True)
_DENIED = Classification(DbError, "access denied: the IAM policy lacks a permission")
_EXPIRED = Classification(DbError, "the AWS credentials have expired: renew them")
_UNKNOWN = Classification(
    DbError, "AWS does not know the credentials: check access key, session token and AWS_DEFAULT_REGION"
)
_BAD_SIGNATURE = Classification(DbError, "the signature is wrong: check the AWS secret key and the clock")
_NO_CREDENTIALS = Classification(
    DbError, "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the host a role"
)
_INCOMPLETE = Classification(DbError, "the AWS credentials are incomplete: an access key needs a secret key")
_BAD_FILE = Classification(DbError, "the AWS configuration file is wrong: correct it")
_NOT_FETCHED = Classification(
    DbError, "the AWS credentials could not be fetched: check the AWS settings that say where they come from"
)
_NOT_FETCHED_YET = _NOT_FETCHED._replace(transient=True)
_FAILED = Classification(DbError, f"the database failed to answer: {_TRY_LATER}", executed=True, transient=True)
_REFUSED = Classification(DbError, "the database refused the request: the cause names its code")

_INVALID = Classification(DbError, f"the database refused the request: {_VERIFY}")
_NO_TABLE = Classification(DbSchemaError, _CREATE_TABLES)
# Only the message of the error tells a missing index from one that is being created.
_MISSING_INDEX = Classification(DbSchemaError, f"an index is missing: {_VERIFY}")

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
    "TransactionInProgressException": Classification(
        DbConflictError, "the transaction is still in progress: try again", executed=True, transient=True
    ),
    "ReplicatedWriteConflictException": _CONFLICT,
    NOT_FOUND: _NO_TABLE,
    "TableNotFoundException": _NO_TABLE,
    DENIED: _DENIED,
    "UnrecognizedClientException": _UNKNOWN,
    "ExpiredTokenException": _EXPIRED,
    "ExpiredToken": _EXPIRED,
    "InvalidSignatureException": _BAD_SIGNATURE,
    "IncompleteSignatureException": _BAD_SIGNATURE,
    "MissingAuthenticationTokenException": _NO_CREDENTIALS,
    "ServiceUnavailable": Classification(
        DbThrottledError, f"the database is unavailable: {_TRY_LATER}", executed=True, transient=True
    ),
}

_PHRASES = (
    ("does not have the specified index", _MISSING_INDEX),
    ("Item size", Classification(DbInputError, "the item would exceed the limit of 409600 bytes: shorten it")),
    ("item size", Classification(DbInputError, "the item would exceed the limit of 409600 bytes: shorten it")),
    ("size limit", Classification(DbInputError, "a key or the request exceeds a limit of the database: shorten it")),
    ("Size limit", Classification(DbInputError, "an index key exceeds the limit of 2048 bytes: shorten it")),
    (
        "must be under",
        Classification(DbInputError, "a key exceeds the limit of 2048 bytes, of a range key 1024 bytes: shorten it"),
    ),
    ("empty string value", Classification(DbInputError, "a key attribute must not be empty: give it a value")),
    (
        "Number overflow",
        Classification(DbInputError, "a number exceeds the range of the database: choose a smaller one"),
    ),
    ("significant digits", Classification(DbInputError, "a number exceeds the limit of 38 digits: round it")),
)

_Classes = tuple[tuple[type[Exception] | tuple[type[Exception], ...], Classification], ...]

_CLASSES: _Classes = (
    (
        wire.ConnectTimeoutError,
        Classification(DbTimeoutError, f"no connection in time: {_TRY_LATER}", transient=True),
    ),
    (
        wire.NoAnswerError,
        Classification(DbTimeoutError, f"no answer in time: {_TRY_LATER}", executed=True, transient=True),
    ),
    (
        wire.TlsError,
        Classification(DbConnectionError, "TLS failed: check AWS_DB_HOST, AWS_CA_BUNDLE and the clock"),
    ),
    (
        wire.ProxyUrlError,
        Classification(
            DbConnectionError,
            "the URL of the proxy does not begin with http://: correct HTTPS_PROXY or HTTP_PROXY, or set "
            "AWS_DB_TRANSPORT=botocore, which takes https:// too",
        ),
    ),
    (wire.ProxyRefusedError, Classification(DbConnectionError, _PROXY)),
    (wire.ProxyError, Classification(DbConnectionError, _PROXY, transient=True)),
    (
        wire.NameNotFoundError,
        Classification(
            DbConnectionError,
            "the endpoint cannot be reached, its name is not found: check AWS_DB_HOST, or AWS_DEFAULT_REGION for AWS "
            "itself, and the name server",
            transient=True,
        ),
    ),
    (
        wire.RefusedError,
        Classification(
            DbConnectionError,
            "the endpoint cannot be reached, it refuses connections: check that it is running, and AWS_DB_HOST",
            transient=True,
        ),
    ),
    (wire.NotConnectedError, Classification(DbConnectionError, _UNREACHABLE, transient=True)),
    (
        wire.ConnectionLostError,
        Classification(DbConnectionError, "the connection was lost: try again", executed=True, transient=True),
    ),
    (wire.GarbledAnswerError, _FAILED),
    (
        wire.InvalidCredentialsError,
        Classification(DbError, "an AWS access key or session token has characters that none has: copy it again"),
    ),
    (
        OutOfTimeError,
        Classification(DbTimeoutError, "the call's requests took longer than AWS_DB_TIMEOUT: try again, or raise it"),
    ),
)


@cache
def _classes_of_sdk() -> _Classes:
    # Imported here, because it takes most of a cold start.
    from botocore import exceptions as botocore
    from botocore.parsers import ResponseParserError

    return (
        (botocore.NoCredentialsError, _NO_CREDENTIALS),
        (botocore.PartialCredentialsError, _INCOMPLETE),
        (
            (
                botocore.CredentialRetrievalError,
                botocore.TokenRetrievalError,
                botocore.MetadataRetrievalError,
                botocore.InvalidIMDSEndpointError,
            ),
            _NOT_FETCHED,
        ),
        # Of a service that is asked for them.
        ((botocore.ConnectionError, botocore.HTTPClientError, ResponseParserError), _NOT_FETCHED_YET),
        (
            botocore.ProfileNotFound,
            Classification(DbError, "AWS_PROFILE names a profile that does not exist: correct it"),
        ),
        (botocore.ConfigParseError, _BAD_FILE),
        (botocore.InvalidConfigError, _BAD_FILE),
        (OSError, Classification(DbError, "the trusted certificates cannot be read: check AWS_CA_BUNDLE")),
        (
            ValueError,
            Classification(
                DbError,
                "the URL of the endpoint is not valid: check AWS_DB_HOST, AWS_ENDPOINT_URL_DYNAMODB and "
                "AWS_ENDPOINT_URL",
            ),
        ),
        (botocore.BotoCoreError, Classification(DbError, "the driver refused the request: the cause names its error")),
    )


def attempt_errors() -> tuple[type[Exception], ...]:
    """Return how an attempt can fail.

    botocore's exceptions are from looking for credentials, perhaps at another service.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return (wire.WireError, BotoCoreError, ClientError, ResponseParserError)


def judge(error: Exception) -> Classification:
    """Return the classification of a failure, of the wire client or of botocore's search for credentials."""
    if isinstance(error, wire.ServiceError):
        return _judge_answer(error)
    classes = _CLASSES if isinstance(error, _OURS) else _classes_of_sdk()
    verdict = next((verdict for known, verdict in classes if isinstance(error, known)), None)
    return verdict or _judge_refused_credentials(error)


def _judge_refused_credentials(error: Exception) -> Classification:
    """Return the classification of the answer of a service that was asked for credentials, as STS."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return _REFUSED
    code = error.response.get("Error", {}).get("Code", "")
    return Classification(
        DbError,
        f"the service that gives the AWS credentials refused with {code if code.isalnum() else 'an unknown error'}: "
        "check the role, who may assume it, and the keys or token that do",
        transient=error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500,
    )


def _judge_answer(answer: wire.ServiceError) -> Classification:
    code = code_of(answer) or ""
    if code in ("ValidationException", "ValidationError"):
        text = " ".join([answer.message, *(reason.get("Message") or "" for reason in answer.reasons)])
        return next((verdict for phrase, verdict in _PHRASES if phrase in text), _INVALID)
    if code in _CODES:
        return _CODES[code]
    return _FAILED if answer.status >= 500 else _REFUSED


def code_of(error: Exception) -> str | None:
    """Return DynamoDB's error code, None if the failure is no answer of DynamoDB.

    Of a cancelled transaction it is `CONDITION_FAILED` if a condition failed, else the code of the first action that
    failed.
    """
    if not isinstance(error, wire.ServiceError):
        return None
    causes = [cause for cause in map(_cause_code, error.reasons) if cause]
    if causes and "ConditionalCheckFailed" not in causes:
        return causes[0]
    return CONDITION_FAILED if causes else error.code


def reasons_of(error: Exception) -> list[Any]:
    """Return why each action of a cancelled transaction failed, in order."""
    return error.reasons if isinstance(error, wire.ServiceError) else []


def item_of(error: Exception) -> dict[str, Any] | None:
    """Return the item that a failed condition found, if there is one."""
    return error.item if isinstance(error, wire.ServiceError) else None


def _cause_code(reason: Any) -> str | None:
    code = reason.get("Code")
    return None if code == "None" else code


class MissingIndexFault(Fault):
    """The index of a request does not exist."""


def fault_of(error: Exception, executed: bool = False, sent: Sent | None = None) -> Fault:
    """Return the fault of a request that failed for good.

    Args:
        error: the driver's exception.
        executed: whether the request was a write of which any attempt may have been executed.
        sent: the request, so that the reason names what it concerned.
    """
    verdict = judge(error)
    code = code_of(error)
    cause = DriverError(type(error).__name__, code)
    reason = _reason(verdict, code) if sent is None else _reason_with(verdict, code, sent)
    if executed:
        return Fault(DbOutcomeUnknownError, f"no answer to a write ({reason}): read what is stored, then decide", cause)
    if verdict is _MISSING_INDEX:
        return MissingIndexFault(verdict.error, reason, cause)
    unreadable = verdict is _INVALID and sent is not None and sent.index
    return Fault(DbSchemaError if unreadable else verdict.error, reason, cause)


def _reason(verdict: Classification, code: str | None) -> str:
    if verdict is _REFUSED and code and code.isalnum():
        return f"the database refused the request with {code}: see what DynamoDB means by it"
    return verdict.reason


def _reason_with(verdict: Classification, code: str | None, sent: Sent) -> str:
    """Return the reason of a verdict, with the table, index or permission that the request concerned."""
    if verdict is _DENIED:
        return f"{verdict.reason}: {sent.permissions} on {sent.place}"
    if verdict is _NO_TABLE:
        return f"{verdict.reason}; it was {sent.place}"
    if verdict is _MISSING_INDEX:
        return f"an index is missing: {sent.place}; {_VERIFY}"
    if verdict is _INVALID and sent.index:
        # The message is none of the known ones; most likely the index is being created or deleted.
        return f"an index cannot be read, perhaps it is being created: {sent.place}; {_VERIFY}"
    if verdict is _INVALID:
        return f"the database refused a request to {sent.place}: {_VERIFY}"
    return _reason(verdict, code)


def in_use(error: Exception) -> bool:
    """Tell whether creating a table failed because it exists."""
    return "ResourceInUseException" in str(error)
