"""docs/reliability.md names what is there."""

import re
from pathlib import Path

import pytest

from tests.faults.report import FIGURES

ROOT = FIGURES.parents[1]
PAGES = (FIGURES.with_suffix(".md"), ROOT / "SECURITY.md", ROOT / "docs" / "dependencies.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_links_of_a_page_exist(page: Path) -> None:
    text = page.read_text()
    files = {ROOT / name for name in re.findall(r"`((?:tests|deploy|actingweb|requirements)/[\w./-]*)", text)}
    links = {page.parent / link for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]*)?\)", text)}
    assert sorted(map(str, [path for path in files | links if not path.exists()])) == []


def test_each_point_of_the_issue_has_its_tests() -> None:
    rows = [line for line in PAGES[0].read_text().splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 16))
    assert all(re.search(r"`tests/[\w/]+\.py`", row) for row in rows)
