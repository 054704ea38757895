"""What Terraform files make, as far as their expressions are references; `make test-deploy` asks Terraform itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions

__all__ = ["Module"]

_OPTIONS = SerializationOptions(strip_string_quotes=True, with_comments=False, explicit_blocks=False)


class Module:
    """The files of a directory.

    Attributes:
        locals: the local values; those that are no literals stay expressions.
    """

    def __init__(self, directory: Path) -> None:
        documents = [hcl2.loads(file.read_text(), serialization_options=_OPTIONS) for file in directory.glob("*.tf")]
        self.locals: dict[str, Any] = {}
        self._resources: dict[tuple[str, str], dict[str, Any]] = {}
        for document in documents:
            for values in document.get("locals", []):
                self.locals |= values
            for resource in document.get("resource", []):
                ((kind, named),) = resource.items()
                ((name, body),) = named.items()
                self._resources[kind, name] = body

    def resource(self, kind: str, name: str) -> dict[str, Any]:
        """Return a resource as it is written."""
        return self._resources[kind, name]

    def instances(self, kind: str, name: str, each: Mapping[str, Any], **variables: str) -> dict[str, dict[str, Any]]:
        """Return what a resource makes for each item of a map; blocks are lists, also those of `dynamic`."""
        names: dict[str, Any] = {f"local.{key}": value for key, value in self.locals.items()}
        names |= {f"var.{key}": value for key, value in variables.items()}
        body = {key: value for key, value in self._resources[kind, name].items() if key != "for_each"}
        return {key: _filled(body, {**names, **_named("each", key, value)}) for key, value in each.items()}


def _filled(node: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_filled(item, names) for item in node]
    if isinstance(node, str):
        return _text(node, names)
    if not isinstance(node, dict):
        return node
    made = {key: _filled(value, names) for key, value in node.items() if key != "dynamic"}
    for block in node.get("dynamic", []):
        ((name, facts),) = block.items()
        made[name] = [*made.get(name, []), *_blocks(name, facts, names)]
    return made


def _blocks(name: str, facts: dict[str, Any], names: Mapping[str, Any]) -> Iterator[Any]:
    items = _filled(facts["for_each"], names)
    (content,) = facts["content"]
    for key, value in items.items() if isinstance(items, dict) else enumerate(items):
        yield _filled(content, {**names, **_named(name, key, value)})


def _named(name: str, key: Any, value: Any) -> dict[str, Any]:
    named = {f"{name}.key": key, f"{name}.value": value}
    if isinstance(value, dict):
        named |= {f"{name}.value.{part}": one for part, one in value.items()}
    return named


def _text(text: str, names: Mapping[str, Any]) -> Any:
    """Replace references; a text that is one reference becomes its value. Other expressions stay as they are."""
    whole = re.fullmatch(r"\$\{([\w.]+)\}", text)
    if whole:
        return names.get(whole[1], text)
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(names.get(match[1], match[0])), text)
