"""The Markdown pages: every relative link, anchor and file that they name exists."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_ID = re.compile(r'<a id="([^"]+)"')
_CODE = re.compile(r"`([\w.-]+(?:/[\w.*-]+)*/?)(?:::[\w\[\]-]+)?`")
_OF_A_FILE = re.compile(r".+/.+\.(?:py|md|json|toml|sql|ya?ml|ini|mako|svg|service)$")


def _tracked() -> frozenset[str]:
    """Return the files of the repository and their directories."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [Path(name) for name in listed.splitlines()]
    return frozenset(str(path) for file in files for path in (file, *file.parents) if (ROOT / path).exists())


TRACKED = _tracked()
PAGES = sorted(name for name in TRACKED if name.endswith(".md"))


@cache
def _text(page: Path) -> str:
    """Return a page without its code blocks."""
    return _FENCED.sub("", page.read_text())


@cache
def _anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives the headings of a page, and those that it sets itself."""
    seen: Counter[str] = Counter()
    anchors = set(_ID.findall(_text(page)))
    for heading in _HEADING.findall(_text(page)):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(anchors)


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_resolves(page: str) -> None:
    broken = []
    for target, anchor in _LINK.findall(_text(ROOT / page)):
        path = (ROOT / page).parent / target if target else ROOT / page
        if not path.exists() or (anchor and anchor not in _anchors(path.resolve())):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    top = {name.partition("/")[0] for name in TRACKED if "/" in name}
    missing = []
    for name in _CODE.findall(_text(ROOT / page)):
        if name.startswith("..."):  # a path on the reader's machine
            continue
        if (name.partition("/")[0] in top and "/" in name) or _OF_A_FILE.fullmatch(name):
            found = [*ROOT.glob(name.rstrip("/"))] if "*" in name else name.rstrip("/") in TRACKED
            if not found:
                missing.append(name)
    assert missing == []


def test_the_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/contract.md", "docs/reliability.md"} <= set(PAGES)
    assert any(_LINK.findall(_text(ROOT / page)) for page in PAGES)
