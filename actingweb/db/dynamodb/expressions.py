"""Builds DynamoDB expressions, with a placeholder for each attribute name and value."""

from typing import Any

__all__ = ["Expression"]


class Expression:
    """Builds the expressions of one request and collects their attribute names and values."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, dict[str, Any]] = {}

    def name(self, attribute: str) -> str:
        """Return the placeholder of an attribute."""
        placeholder = f"#{attribute}"
        self._names[placeholder] = attribute
        return placeholder

    def value(self, value: dict[str, Any]) -> str:
        """Return a placeholder of a value."""
        placeholder = f":{len(self._values)}"
        self._values[placeholder] = value
        return placeholder

    def compare(self, attribute: str, operator: str, value: dict[str, Any]) -> str:
        """Return a comparison of an attribute with a value."""
        return f"{self.name(attribute)} {operator} {self.value(value)}"

    def equals(self, attribute: str, text: str) -> str:
        """Return the condition that an attribute is this text."""
        return self.compare(attribute, "=", {"S": text})

    def equals_or_unclear(self, attribute: str, text: str) -> str:
        """Return the condition that an attribute is this text or has another type, which the caller has to decode."""
        return f"({self.equals(attribute, text)} OR ({self.exists(attribute)} AND NOT {self.has_type(attribute, 'S')}))"

    def has_type(self, attribute: str, stored: str) -> str:
        """Return the condition that an attribute has this type."""
        return f"attribute_type({self.name(attribute)}, {self.value({'S': stored})})"

    def absent_or_of_type(self, attribute: str, stored: str) -> str:
        """Return the condition that the item lacks an attribute, or that it has this type."""
        return f"({self.absent(attribute)} OR {self.has_type(attribute, stored)})"

    def exists(self, attribute: str) -> str:
        """Return the condition that the item has an attribute."""
        return f"attribute_exists({self.name(attribute)})"

    def absent(self, attribute: str) -> str:
        """Return the condition that the item lacks an attribute."""
        return f"attribute_not_exists({self.name(attribute)})"

    def assign(self, attribute: str, value: dict[str, Any]) -> str:
        """Return the clause that sets an attribute in an update."""
        return self.compare(attribute, "=", value)

    def project(self, attributes: list[str]) -> str:
        """Return the projection expression for these attributes."""
        return ", ".join(map(self.name, attributes))

    def arguments(self) -> dict[str, Any]:
        """Return the request's arguments that resolve the placeholders."""
        arguments: dict[str, Any] = {}
        if self._names:
            arguments["ExpressionAttributeNames"] = self._names
        if self._values:
            arguments["ExpressionAttributeValues"] = self._values
        return arguments
