"""What pyproject.toml asks for, and what is installed for it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["ROOT", "allowed", "direct", "licence", "needed", "stated"]

ROOT = Path(__file__).parents[2]


def stated() -> dict[str, list[Requirement]]:
    """Return the requirements by extra; those of "" are always installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(text) for text in texts] for extra, texts in groups.items()}


def direct() -> dict[str, list[Requirement]]:
    """Return the requirements by extra without the extra `all`, which repeats others."""
    return {extra: requirements for extra, requirements in stated().items() if extra != "all"}


def allowed(requirement: Requirement) -> str:
    """Return the range of versions."""
    return ",".join(sorted(map(str, requirement.specifier), reverse=True))


def needed(requirements: Iterable[Requirement]) -> dict[str, metadata.Distribution]:
    """Return what is installed for requirements, and for what they require in their turn, by canonical name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(requirements)
    seen = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) not in seen:
            seen.add(str(requirement))
            distribution = metadata.distribution(requirement.name)
            found[canonicalize_name(requirement.name)] = distribution
            waiting += _required(distribution, requirement.extras)
    return dict(sorted(found.items()))


def _required(distribution: metadata.Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for text in distribution.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def licence(distribution: metadata.Distribution) -> str:
    """Return the licence as its package states it; several are separated by commas."""
    facts = distribution.metadata
    if facts["License-Expression"]:
        return facts["License-Expression"]
    classifiers = [text.split(" :: ") for text in facts.get_all("Classifier", [])]
    named = [parts[-1] for parts in classifiers if parts[0] == "License" and parts[-1].endswith(("License", ")"))]
    text = (facts["License"] or "").strip()
    return ", ".join(re.sub(r" \(.*\)$", "", name) for name in named) or text.partition("\n")[0]
