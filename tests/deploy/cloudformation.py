"""What a CloudFormation template makes: the resources, with every function resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

__all__ = ["resources"]

_LOOP = "Fn::ForEach::"
_FUNCTION = f"(?!{_LOOP})(Ref|Fn::)"


class _Constructor(SafeConstructor):
    """Reads the short form of a function, such as `!Sub`, as the long one."""

    def function(self, suffix: str, node: Any) -> dict[str, Any]:
        """Return the long form."""
        name = suffix if suffix == "Ref" else f"Fn::{suffix}"
        return {name: getattr(self, f"construct_{node.id}")(node, *([] if node.id == "scalar" else [True]))}


_Constructor.add_multi_constructor("!", _Constructor.function)


def resources(template: Path, parameters: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the resources by their logical names, for the values of the parameters. Conditions are false."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    document = yaml.load(template)
    defaults = {name: facts["Default"] for name, facts in document["Parameters"].items() if "Default" in facts}
    stack = _Stack(document.get("Mappings", {}))
    found: dict[str, dict[str, Any]] = stack.resolved(document["Resources"], {**defaults, **parameters})
    return found


class _Stack:
    """Resolves functions; `names` has the values of parameters and loop variables."""

    def __init__(self, mappings: Mapping[str, Any]) -> None:
        self._mappings = mappings

    def resolved(self, node: Any, names: Mapping[str, Any]) -> Any:
        """Return a node with its functions resolved."""
        if isinstance(node, list):
            return [self.resolved(item, names) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1 and re.match(_FUNCTION, next(iter(node))):
            ((function, argument),) = node.items()
            return self._call(function, argument, names)
        pairs = (pair for key, value in node.items() for pair in self._entries(key, value, names))
        return {key: value for key, value in pairs if value is not None}

    def _entries(self, key: str, value: Any, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        if not key.startswith(_LOOP):
            yield _filled(key, names), self.resolved(value, names)
            return
        variable, items, body = value
        for item in items:
            yield from self.resolved(body, {**names, variable: item}).items()

    def _call(self, function: str, argument: Any, names: Mapping[str, Any]) -> Any:
        if function == "Ref":
            return None if argument == "AWS::NoValue" else names[argument]
        if function == "Fn::Sub":
            return _filled(argument, names)
        if function == "Fn::If":
            return self.resolved(argument[2], names)
        if function == "Fn::FindInMap":
            mapping, first, second = self.resolved(argument, names)
            return self._mappings[mapping][first][second]
        raise AssertionError(f"a function that is not known here: {function}")


def _filled(text: str, names: Mapping[str, Any]) -> str:
    """Fill in `${name}`, and `&{name}` without what a logical name may not have."""
    text = re.sub(r"&\{(\w+)\}", lambda match: re.sub("[^a-zA-Z0-9]", "", names[match[1]]), text)
    return re.sub(r"\$\{(\w+)\}", lambda match: str(names[match[1]]), text)
