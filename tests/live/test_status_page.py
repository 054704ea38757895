"""The page of the status, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actingweb.migration.live.state import State
from tests.live.chromium import HOW_TO_GET_IT, Page, browser, find_chromium
from tests.live.served import SECRET, change, create, drop
from tests.support import wait_until

PROGRAM = find_chromium()

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=HOW_TO_GET_IT)

REFRESH = "clearTimeout(timer); refresh()"
CONTRASTS = """
(() => {
  const light = text => text.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = node => {
    const colour = getComputedStyle(node).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" ? behind(node.parentElement) : colour;
  };
  const shown = [...document.querySelectorAll("h1, h2, p, li, dt, dd, th, td, button, figcaption, span")];
  return shown.filter(node => node.textContent).map(node => {
    const pair = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => a - b);
    return [(pair[1] + 0.05) / (pair[0] + 0.05), node.textContent];
  }).sort((a, b) => a[0] - b[0]);
})()
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    """Return a tab of a browser that all tests of the module share."""
    assert PROGRAM is not None
    with browser(PROGRAM) as page:
        yield page


@pytest.fixture
def page(filled: State, chromium: Page, url: str) -> Page:
    """Return a tab that shows the page. The migration must exist."""
    chromium.resize(1280, 900)
    chromium.use_colours("light")
    chromium.complaints.clear()
    chromium.requested.clear()
    chromium.open(url)
    wait_until(lambda: "as of" in chromium.text("#updated"))
    return chromium


def test_everything_is_shown(filled: State, page: Page, url: str) -> None:
    assert page.text("#phase") == "DynamoDB → PostgreSQL, syncing ·"
    assert page.text("#verdict") == "✗ No, because"
    reasons = page.text("#reasons")
    assert "the scan of properties is not done" in reasons
    assert "1 rows were rejected" in reasons
    figures = page.text("#figures").splitlines()
    shown = dict(zip(figures[::2], figures[1::2], strict=True))
    expected = {
        "rows scanned": "2,500",
        "dirty keys": "3",
        "marks for DynamoDB": "2",
        "rejects": "1",
        "unsettled conflicts": "1",
        "sync processes": "1",
        "of the actors owned by PostgreSQL": "10 %",
        "of the streams' 24 h used": "25 %",
    }
    assert {name: shown.get(name) for name in expected} == expected
    rows = page.text("#tables tbody").splitlines()
    assert [row.split()[:2] for row in rows] == [
        ["actors", "done"],
        ["properties", "running"],
        ["property_lookup_v1", "absent"],
    ]
    assert "2 differences" in rows[0]
    assert "pause: 1.5, share: 10" in page.text("#audit")
    assert "operator@host" in page.text("#audit")
    assert [row.split()[-1] for row in page.text("#conflicts tbody").splitlines()][1] == "no"
    assert SECRET not in str(page.value("document.documentElement.outerHTML"))
    assert page.complaints == []
    assert {address.removeprefix(url) for address in page.requested} <= {"", "status.json", "data:,"}


def test_the_plots_show_the_samples(filled: State, page: Page) -> None:
    labels = page.value("[...document.querySelectorAll('#plots svg')].map(svg => svg.getAttribute('aria-label'))")
    assert labels == [
        "rows and changes a second: now 1, at most 1",
        "changes waiting: now 1, at most 40",
        "lag: now 0.0 s, at most 3.9 s",
    ]
    points = "document.querySelectorAll('.curve')[1].getAttribute('d').split('L').length"
    assert page.value(points) == 40
    # Where nothing was sampled there is no line.
    change(
        filled, "DELETE FROM {state}.samples WHERE at BETWEEN now() - interval '30 min' AND now() - interval '9 min'"
    )
    page.value(REFRESH)
    assert page.value("document.querySelectorAll('#plots figure:last-child .curve').length") == 2


def test_the_page_follows(filled: State, page: Page) -> None:
    change(filled, "UPDATE {state}.tables SET read = read + 100 WHERE name = 'actors'")
    page.value(REFRESH)
    assert "2,600" in page.text("#figures")
    # It also does so by itself.
    change(filled, "UPDATE {state}.tables SET read = read + 100 WHERE name = 'actors'")
    wait_until(lambda: "2,700" in page.text("#figures"))


def test_pause(filled: State, page: Page) -> None:
    page.value("document.querySelector('#pause').click()")
    assert page.text("#pause") == "Go on"
    assert page.value("paused")
    change(filled, "DELETE FROM {state}.marks")
    page.value("document.querySelector('#pause').click()")
    assert page.text("#pause") == "Pause"
    wait_until(lambda: "marks for DynamoDB\n0" in page.text("#figures"))


def test_a_status_that_cannot_be_read(filled: State, page: Page) -> None:
    assert page.text("#problem") == ""
    drop(filled)
    page.value(REFRESH)
    assert "there is no live migration" in page.text("#problem")
    # What was read last stays, with its time.
    assert "2,500" in page.text("#figures")
    create(filled)
    page.value(REFRESH)
    assert page.text("#problem") == ""
    assert "not enough samples yet" in page.text("#plots")
    assert page.text("#conflicts tbody") == "none"


def test_texts_are_texts(filled: State, page: Page) -> None:
    with filled.connect() as connection:
        filled.audit(connection, "<b id=bold>", "<img src=x onerror='problem(1)'>", {"<i>": "</td><script>"})
    page.value(REFRESH)
    assert "<img src=x onerror='problem(1)'>" in page.text("#audit")
    assert page.value("document.querySelector('#bold, #audit img, #audit i, #audit script')") is None
    assert page.text("#problem") == ""
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast(filled: State, page: Page, scheme: str) -> None:
    page.use_colours(scheme)
    lowest, text = page.value(CONTRASTS)[0]
    assert lowest >= 4.5, text
    brightness = page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] / 255")
    assert (brightness > 0.5) == (scheme == "light")


@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_fits_its_window(filled: State, page: Page, width: int) -> None:
    page.resize(width, 800)
    assert page.value("document.documentElement.scrollWidth") <= width


def test_parts_have_names(filled: State, page: Page) -> None:
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {(node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node["ignored"]}
    assert {
        ("heading", "Live migration"),
        ("main", ""),
        ("button", "Pause"),
        ("region", "Tables"),
        ("columnheader", "dirty keys"),
        ("rowheader", "properties"),
        ("progressbar", "share of PostgreSQL"),
    } <= named, sorted(named)
    assert [name for role, name in named if role in ("button", "image", "progressbar", "region") and not name] == []
