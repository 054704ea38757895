"""The code blocks of the guide, or another page, and what its HTML comments say about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "postgresql-migration.md"

_PART = re.compile(
    r"^(?P<level>\#{1,4})[ ](?P<heading>[^\n]+)$"
    r"|^(?:<!--[ ](?P<mark>[^>]+)[ ]-->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        mark: the comment right before it, empty if there is none. `not run here: ...` names what is missing, `prints`
            is what the block before prints, `as ROLE` or `as ROLE in DATABASE` is how SQL is run. On other pages it
            names the backend.
        headings: the section it is in and the sections around that.
    """

    language: str
    mark: str
    text: str
    headings: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        return f"{self.headings[-1]}, line {self.line}"


def blocks(page: Path = GUIDE) -> list[Block]:
    """Return the blocks of a page in order."""
    content = page.read_text()
    headings: list[str] = []
    found = []
    for part in _PART.finditer(content):
        if part["heading"] is not None:
            headings[len(part["level"]) - 1 :] = [part["heading"]]
            continue
        line = content.count("\n", 0, part.start("text")) + 1
        found.append(Block(part["language"], part["mark"] or "", part["text"], tuple(headings), line))
    return found


def section(heading: str) -> list[Block]:
    """Return the blocks below a heading."""
    return [block for block in blocks() if heading in block.headings]
