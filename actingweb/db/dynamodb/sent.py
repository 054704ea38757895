"""The request that an error belongs to: its tables, its index, and the permissions that it needs."""

from typing import Any

__all__ = ["Sent"]


class Sent:
    """A request as it was sent: the name of the operation, and its arguments."""

    def __init__(self, operation: str, request: dict[str, Any]) -> None:
        self.operation = operation
        self.request = request

    @property
    def index(self) -> str | None:
        """The index that it reads."""
        return self.request.get("IndexName")

    @property
    def place(self) -> str:
        """The tables and the index of the request, in words. The error may concern any one of several tables."""
        table = f"table {' or '.join(self.tables())}"
        return f"{self.index} of {table}" if self.index else table

    @property
    def permissions(self) -> str:
        """The IAM actions that it needs."""
        kinds = {kind for action in self._actions() for kind in action}
        names = sorted(f"{kind}Item" for kind in kinds) or [self.operation]
        return ", ".join(f"dynamodb:{name}" for name in names)

    def tables(self) -> list[str]:
        """Return the names of its tables, in order."""
        names = {self.request.get("TableName"), *self.request.get("RequestItems", ())}
        names |= {arguments["TableName"] for action in self._actions() for arguments in action.values()}
        return sorted(name for name in names if name)

    def _actions(self) -> list[dict[str, Any]]:
        return list(self.request.get("TransactItems", ()))
