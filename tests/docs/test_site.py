"""The pages of docs/: the navigation has each of them, and each question of the front page is answered one click away.

`tests/supply/test_pages.py` follows every link and anchor; `make docs` builds the site with warnings as errors.
"""

from __future__ import annotations

import re
import runpy

from tests.guide.blocks import ROOT

DOCS = ROOT / "docs"
FRONT = (DOCS / "index.md").read_text()

_NAVIGATION = re.compile(r"^```\{toctree\}\n((?::[^\n]*\n)*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([\w/.-]+\.md)(?:#[\w-]+)?\)")


def test_the_navigation_has_every_page_once() -> None:
    named = [name for _, names in _NAVIGATION.findall(FRONT) for name in names.split()]
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    assert sorted(named) == sorted(pages), "docs/index.md has the navigation: add the page to one of its parts"


def test_twenty_questions_are_answered() -> None:
    section = FRONT.partition("## Twenty questions")[2].partition("```{toctree}")[0]
    rows = [row.split(" | ") for row in re.findall(r"^\| (.+\?.*) \|$", section, re.MULTILINE)]
    assert len(rows) == 20
    for question, answer in rows:
        links = _LINK.findall(answer)
        assert links, question
        assert all((DOCS / link).is_file() for link in links), question


def test_a_page_of_the_root_is_linked_where_the_site_shows_it() -> None:
    for page in ("changelog", "contributing", "security"):
        assert f"(../{page.upper()}.md)" in (DOCS / f"{page}.md").read_text()


def test_the_figures_that_pages_ask_for_are_there() -> None:
    table = runpy.run_path(str(DOCS / "_ext" / "figures.py"))["table"]
    asked = re.findall(
        r"^```\{figures\}\n(.*?)^```$", (DOCS / "which-database.md").read_text(), re.MULTILINE | re.DOTALL
    )
    (operations,) = (names.splitlines() for names in asked)
    rows = table(operations).splitlines()[2:]
    shown = [re.fullmatch(r"\| (.*?) \|(?: [\d,]+ \|){3}", row) for row in rows]
    assert [row and row[1] for row in shown] == operations
