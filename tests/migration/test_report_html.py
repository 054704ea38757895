"""The page that a report can be."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from actingweb.db.version import __version__
from actingweb.migration.report_html import Level, ReportPage, ReportTable, is_html, write_page

HOSTILE = """</td><script>alert("1")</script><b onload='x'>$title & ${verdict}"""
VOID = {"meta", "br", "link", "img"}


class Outline(HTMLParser):
    """Collects the texts of a page, and fails where tags do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onload"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)


def outline(page: ReportPage) -> Outline:
    """Return what the page of a report contains."""
    found = Outline()
    found.feed(page.html())
    found.close()
    assert found.open == []
    return found


def test_everything_is_shown() -> None:
    table = ReportTable("Tables", ["table", "rows", "state"], [["actors", 1234, Level.OK], ["trusts", None, "new"]])
    written = datetime(2026, 11, 27, 13, 5, tzinfo=UTC)
    page = ReportPage("validate", Level.STOP, "no", [("schema", "public")], [table], ["a note"], written)
    texts = outline(page).texts
    assert texts["h1"] == ["validate"]
    assert texts["b"] == ["stops you"]
    assert texts["dd"] == ["2026-11-27 13:05:00 UTC", "public", f"actingweb-db {__version__}"]
    assert texts["th"] == ["table", "rows", "state"]
    assert texts["td"] == ["actors", "1,234", "trusts", "new"]
    assert texts["span"] == ["no", "ok"]
    assert texts["p"] == ["a note"]


@pytest.mark.parametrize("place", ["title", "verdict", "facts", "tables", "notes"])
def test_no_text_becomes_markup(place: str) -> None:
    """Nor is it taken for a placeholder of the template."""
    parts = {name: HOSTILE if name == place else "x" for name in ("title", "verdict", "facts", "tables", "notes")}
    table = ReportTable(parts["tables"], [parts["tables"]], [[parts["tables"]]])
    page = ReportPage(parts["title"], Level.OK, parts["verdict"], [(parts["facts"],) * 2], [table], [parts["notes"]])
    found = outline(page)
    assert "script" not in found.tags
    assert HOSTILE in [text for texts in found.texts.values() for text in texts]


def test_it_needs_nothing_else_and_suits_screen_and_paper() -> None:
    text = ReportPage("t", Level.WARNING, "v").html()
    assert "default-src 'none'" in text
    assert "@media print" in text
    assert "prefers-color-scheme: dark" in text
    assert "http://" not in text.replace("http-equiv", "")
    assert "https://" not in text


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.touch(0o644)
    write_page(path, ReportPage("t", Level.OK, "v"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("name", "expected"), [("a.html", True), ("A.HTM", True), ("a.ndjson", False), ("html", False)]
)
def test_the_name_decides(name: str, expected: bool) -> None:
    assert is_html(Path(name)) is expected
