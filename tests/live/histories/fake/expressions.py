"""DynamoDB's expressions: conditions, updates and projections of top-level attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from operator import eq, ge, gt, le, lt
from typing import Any

from tests.live.histories.fake.faults import invalid

Attribute = dict[str, Any]
Item = dict[str, Attribute]
Operand = Callable[[Item], Attribute | None]
Condition = Callable[[Item], bool]

_TOKEN = re.compile(r"\s*(?:([#:]?[A-Za-z_0-9]+)|(<>|<=|>=|[=<>(),+\-]))")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_COMPARISONS = {"=", "<>", *_ORDERS}
_UPDATE_CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            raise invalid(f"Invalid expression: Syntax error; token: {text[position:]}")
        yield found[1] or found[2]
        position = found.end()


@dataclass
class Placeholders:
    """The names and values that a request gives for its placeholders."""

    names: dict[str, str]
    values: dict[str, Attribute]

    @classmethod
    def of(cls, request: dict[str, Any]) -> Placeholders:
        """Return those of a request."""
        return cls(request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {}))

    def name(self, token: str) -> str:
        """Return the attribute that a token names."""
        return self._found(self.names, token, "name") if token.startswith("#") else token

    def value(self, token: str) -> Attribute:
        """Return the value that a token stands for."""
        value: Attribute = self._found(self.values, token, "value")
        return value

    @staticmethod
    def _found(known: dict[str, Any], token: str, kind: str) -> Any:
        if token not in known:
            raise invalid(
                f"An expression attribute {kind} used in expression is not defined; attribute {kind}: {token}"
            )
        return known[token]


class _Parser:
    """Reads one expression, from left to right."""

    def __init__(self, text: str, placeholders: Placeholders) -> None:
        self._tokens = [*_tokens(text), ""]
        self._placeholders = placeholders

    @property
    def next(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[0]

    def take(self) -> str:
        """Return the next token and go on."""
        if not self.next:
            raise invalid("Invalid expression: Syntax error; token: <EOF>")
        return self._tokens.pop(0)

    def takes(self, token: str) -> bool:
        """Go on if the next token is this one, and tell whether it was."""
        return self.next.upper() == token and bool(self.take())

    def expect(self, token: str) -> None:
        """Go on. Raise `ServiceError` unless the next token is this one."""
        if not self.takes(token):
            raise invalid(f'Invalid expression: Syntax error; token: "{self.next}", expected: {token}')

    def several(self, one: Callable[[], Any]) -> list[Any]:
        """Return what stands between commas."""
        found = [one()]
        while self.takes(","):
            found.append(one())
        return found

    def name(self) -> str:
        """Return an attribute's name. Raise `ServiceError` if there is none."""
        token = self.take()
        if not token.lstrip("#").isidentifier():
            raise invalid(f'Invalid expression: Syntax error; token: "{token}"')
        return self._placeholders.name(token)

    def condition(self) -> Condition:
        """Return a condition."""
        return self._joined("OR", lambda: self._joined("AND", self._negated, all), any)

    def _joined(self, word: str, part: Callable[[], Condition], join: Callable[[Iterator[bool]], bool]) -> Condition:
        parts = [part()]
        while self.takes(word):
            parts.append(part())
        return lambda item: join(part(item) for part in parts)

    def _negated(self) -> Condition:
        if self.takes("NOT"):
            negated = self._negated()
            return lambda item: not negated(item)
        if self.takes("("):
            condition = self.condition()
            self.expect(")")
            return condition
        return self._predicate()

    def _predicate(self) -> Condition:
        if self.next in _PREDICATES and self._tokens[1] == "(":
            test = _PREDICATES[self.take()]
            self.expect("(")
            operands = self.several(self.operand)
            self.expect(")")
            return lambda item: test(*(operand(item) for operand in operands))
        return self._comparison(self.operand())

    def _comparison(self, left: Operand) -> Condition:
        if self.takes("BETWEEN"):
            low = self.operand()
            self.expect("AND")
            high = self.operand()
            return lambda item: _compared(">=", left(item), low(item)) and _compared("<=", left(item), high(item))
        if self.takes("IN"):
            self.expect("(")
            members = self.several(self.operand)
            self.expect(")")
            return lambda item: any(_compared("=", left(item), member(item)) for member in members)
        operator = self.take()
        if operator not in _COMPARISONS:
            raise invalid(f'Invalid expression: Syntax error; token: "{operator}"')
        right = self.operand()
        return lambda item: _compared(operator, left(item), right(item))

    def operand(self) -> Operand:
        """Return an attribute, a value or what a function makes of them."""
        if self.next.startswith(":"):
            value = self._placeholders.value(self.take())
            return lambda _: value
        if self.next in ("if_not_exists", "size"):
            return self._function(self.take())
        name = self.name()
        return lambda item: item.get(name)

    def _function(self, name: str) -> Operand:
        self.expect("(")
        operands = self.several(self.operand)
        self.expect(")")
        if name == "size":
            return lambda item: _size(operands[0](item))
        return lambda item: operands[0](item) or operands[1](item)

    def sum(self) -> Operand:
        """Return an operand, or the sum or difference of two."""
        left = self.operand()
        for sign, factor in (("+", 1), ("-", -1)):
            if self.takes(sign):
                right = self.operand()
                return lambda item, factor=factor: _added(left(item), right(item), factor)  # type: ignore[misc]
        return left


def _is_type(attribute: Attribute | None, wanted: Attribute | None) -> bool:
    return attribute is not None and wanted is not None and wanted["S"] in attribute


def _begins(attribute: Attribute | None, start: Attribute | None) -> bool:
    return bool(attribute and start) and str((attribute or {}).get("S", "\0")).startswith((start or {})["S"])


def _contains(attribute: Attribute | None, part: Attribute | None) -> bool:
    if attribute is None or part is None:
        return False
    ((_, content),) = attribute.items()
    ((_, member),) = part.items()
    return member in content


_PREDICATES: dict[str, Callable[..., bool]] = {
    "attribute_exists": lambda attribute: attribute is not None,
    "attribute_not_exists": lambda attribute: attribute is None,
    "attribute_type": _is_type,
    "begins_with": _begins,
    "contains": _contains,
}


def _compared(operator: str, left: Attribute | None, right: Attribute | None) -> bool:
    """Compare two values. Those of different types are different, and no order holds between them."""
    if left is None or right is None:
        return operator == "<>"
    ((left_type, one),), ((right_type, other),) = left.items(), right.items()
    if left_type != right_type:
        return operator == "<>"
    one, other = comparable(left_type, one), comparable(right_type, other)
    if operator in ("=", "<>"):
        return bool(eq(one, other)) == (operator == "=")
    return _ORDERS[operator](one, other)


def comparable(stored: str, content: Any) -> Any:
    """Return a value in whose order DynamoDB sorts: numbers by size, texts by their bytes."""
    if stored == "N":
        return Decimal(content)
    return content.encode() if stored == "S" else content


def _size(attribute: Attribute | None) -> Attribute | None:
    """Return the size of a text; this fake knows no other."""
    text = (attribute or {}).get("S")
    return None if text is None else {"N": str(len(text.encode()))}


def _added(left: Attribute | None, right: Attribute | None, factor: int) -> Attribute:
    if left is None:
        raise invalid("The provided expression refers to an attribute that does not exist in the item")
    if right is None or "N" not in left or "N" not in right:
        raise invalid("An operand in the update expression has an incorrect data type")
    return {"N": str(Decimal(left["N"]) + factor * Decimal(right["N"]))}


def _ended(parser: _Parser) -> None:
    if parser.next:
        raise invalid(f'Invalid expression: Syntax error; token: "{parser.next}"')


def condition_of(text: str | None, placeholders: Placeholders) -> Condition:
    """Return a condition as a function of the item. Raise `ServiceError`."""
    if text is None:
        return lambda _: True
    parser = _Parser(text, placeholders)
    condition = parser.condition()
    _ended(parser)
    return condition


def projection_of(text: str | None, placeholders: Placeholders) -> Callable[[Item], Item]:
    """Return a projection as a function of the item."""
    if text is None:
        return dict
    names = {placeholders.name(token) for token in _tokens(text) if token != ","}
    return lambda item: {name: value for name, value in item.items() if name in names}


def updated(item: Item, text: str | None, placeholders: Placeholders) -> Item:
    """Return an item as an update leaves it. All operands are those of the item before. Raise `ServiceError`."""
    result = dict(item)
    parser = _Parser(text or "", placeholders)
    while parser.next:
        clause = parser.take().upper()
        if clause not in _UPDATE_CLAUSES:
            raise invalid(f'Invalid UpdateExpression: Syntax error; token: "{clause}"')
        parser.several(lambda clause=clause: _change(parser, clause, item, result))  # type: ignore[misc]
    return result


def _change(parser: _Parser, clause: str, item: Item, result: Item) -> None:
    name = parser.name()
    if clause == "REMOVE":
        result.pop(name, None)
    elif clause == "SET":
        parser.expect("=")
        value = parser.sum()(item)
        if value is None:
            raise invalid("The provided expression refers to an attribute that does not exist in the item")
        result[name] = value
    elif clause == "ADD":
        result[name] = _added(item.get(name, {"N": "0"}), parser.operand()(item), 1)
    else:
        raise invalid("sets are not supported by this fake")
