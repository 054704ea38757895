"""Several calls as one transaction, which DynamoDB does not have."""

from contextlib import AbstractContextManager

from actingweb.db.exceptions import DbNotSupportedError

__all__ = ["transaction"]


def transaction() -> AbstractContextManager[None]:
    """Raise `DbNotSupportedError`, see `actingweb.db.transaction`."""
    raise DbNotSupportedError(
        "transaction",
        reason="DynamoDB has none over several calls: use set_many and create_many, which store all or nothing, "
        "or set_if_value_equals and conditional_update_attr, which change what nobody else has changed",
    )
