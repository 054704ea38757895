"""`docs/performance.md` and its plots are what the figures of the last run give."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import Figure, figure
from benchmarks.report import read_sections, rendered, update_report, write_pages
from benchmarks.results import Row, Section

DOCS = Path(__file__).parents[2] / "docs"
MACHINE = {
    "processor": "2 x a processor",
    "memory": "4 GiB",
    "system": "Linux",
    "python": "3.13.1",
    "date": "2026-02-03",
}
TENTH = [{"rows": 100, "seconds": 0.5, "mib": 60.0}, {"rows": 100, "seconds": 0.4, "mib": 61.0}]
MIGRATION = {
    "machine": MACHINE,
    "scenarios": {"tenth": {"import": TENTH, "plain COPY": TENTH}, "whole": {"import": TENTH, "plain COPY": TENTH}},
    "verdicts": [
        {"what": "rows/s of import to those of plain COPY", "figure": 0.71, "least": 0.6, "most": None, "met": True},
        {"what": "peak MiB of import", "figure": 261.0, "least": None, "most": 200, "met": False},
    ],
}


def section(name: str) -> Section:
    return Section(name, f"About {name}", machine=MACHINE, settings={"rounds": 3, "actors": 1000, "quick": False})


def row(operation: str, peer: Figure | None) -> Row:
    floor, ours = figure([40.0, 50.0, 60.0]), figure([45.0, 56.0, 65.0])
    return Row(
        operation, "read", floor, ours, figure([6.0]), figure([1.12]), figure([1.3]), peer, peer and figure([4.0])
    )


def made_up() -> list[Section]:
    """Return results of each form."""
    latency = section("postgresql")
    latency.rows += [row("actor get", figure([200.0, 220.0, 260.0])), row("actor | list", None)]
    latency.judge("actor get", "ours − floor, µs", figure([6.0, 7.25, 9.0]), most=12)
    latency.judge("actor get", "peer / ours", figure([2.0, 2.1, 2.2]), least=2.5)
    threads = section("threads")
    threads.notes.append("Threads share a lock.")
    threads.table += [
        {"operation": "get", "threads": n, "floor": 100 * n, "ours": 90 * n, "ratio": 0.9} for n in (1, 4)
    ]
    threads.judge("get, 4 threads", "operations/s, ours / floor", figure([0.9]), least=0.85)
    growth = section("growth")
    growth.table += [{"operation": "get", "kind": "read", "1,000": 50.0, "100,000": 55.5}]
    growth.judge("get", "most actors / 1,000", figure([1.11]), most=1.3)
    return [latency, threads, growth]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the pages of made-up results, once."""
    docs = tmp_path_factory.mktemp("docs")
    (docs / "performance").mkdir()
    (docs / "performance" / "migration.json").write_text(json.dumps(MIGRATION))
    update_report(docs, made_up())
    return docs


@pytest.fixture
def docs(drawn: Path, tmp_path: Path) -> Path:
    """Return a directory with the pages of made-up results."""
    return Path(shutil.copytree(drawn, tmp_path / "docs"))


def page(docs: Path) -> str:
    return (docs / "performance.md").read_text()


def is_current(docs: Path) -> bool:
    """Tell whether the page is what the JSON files give; without them there is none."""
    measured = any((docs / "performance" / name).exists() for name in ("bench.json", "migration.json"))
    return page(docs) == rendered(docs) if measured else not (docs / "performance.md").exists()


def plots(text: str) -> list[str]:
    return re.findall(r"!\[[^]]+]\((performance/[^)]+\.svg)\)", text)


def test_the_page_of_this_tree_is_current() -> None:
    assert is_current(DOCS), "run `python -m benchmarks.report`"


def test_the_plots_of_this_tree_are_there() -> None:
    missing = [name for name in plots(rendered(DOCS)) if not (DOCS / name).exists()] if is_measured() else []
    assert missing == []


def is_measured() -> bool:
    return (DOCS / "performance.md").exists()


def test_a_page_is_current_until_a_figure_changes(docs: Path) -> None:
    assert is_current(docs)
    path = docs / "performance" / "bench.json"
    path.write_text(path.read_text().replace("7.25", "8.25"))
    assert not is_current(docs)
    write_pages(docs)
    assert is_current(docs)


def test_a_page_without_figures_is_not_current(tmp_path: Path) -> None:
    assert is_current(tmp_path)
    (tmp_path / "performance.md").write_text("# Performance\n")
    assert not is_current(tmp_path)


def test_each_target_has_a_row_with_target_figure_and_spread(docs: Path) -> None:
    lines = page(docs).splitlines()
    assert "| actor get | ours − floor, µs | ≤ 12 | 7.25 | 6.62 – 8.12 | yes |" in lines
    assert "| actor get | peer / ours | ≥ 2.5 | 2.10 | 2.05 – 2.15 | **no** |" in lines
    assert "| get | most actors / 1,000 | ≤ 1.3 | 1.11 | 1.11 – 1.11 | yes |" in lines
    assert "| rows/s of import to those of plain COPY | ≥ 0.6 | 0.71 | yes |" in lines
    assert "| peak MiB of import | ≤ 200 | 261 | **no** |" in lines


def test_the_targets_are_counted(docs: Path) -> None:
    lines = page(docs).splitlines()
    assert "| [About postgresql](#about-postgresql) | 2 | 1 |" in lines
    assert "| **all** | **6** | **4** |" in lines


def test_the_page_names_the_machine_and_what_was_left_out(docs: Path) -> None:
    assert "| 2 x a processor | 4 GiB | Linux | 3.13.1 | 2026-02-03 | postgresql, threads, growth, migration |" in page(
        docs
    )
    assert "Threads share a lock." in page(docs)


def test_the_times_of_an_operation_stand_in_one_row(docs: Path) -> None:
    lines = page(docs).splitlines()
    assert "| actor get | 50 | 56 | 50.5 – 60.5 | 220 | 6 | 1.12 | 1.30 | 4 |" in lines
    assert "| actor \\| list | 50 | 56 | 50.5 – 60.5 |  | 6 | 1.12 | 1.30 |  |" in lines


def test_a_partial_run_leaves_the_other_sections(docs: Path) -> None:
    again = section("threads")
    again.table.append({"operation": "get", "threads": 16, "floor": 400, "ours": 200, "ratio": 0.5})
    again.judge("get, 16 threads", "operations/s, ours / floor", figure([0.5]), least=0.85)
    update_report(docs, [again])
    assert [one.name for one in read_sections(docs)] == ["postgresql", "threads", "growth"]
    assert "| get, 16 threads |" in page(docs)
    assert "| get, 4 threads |" not in page(docs)
    assert "| actor get | peer / ours |" in page(docs)


def test_what_is_read_is_what_was_written(docs: Path) -> None:
    assert read_sections(docs) == made_up()


def test_each_plot_of_the_page_is_drawn(docs: Path) -> None:
    drawn = plots(page(docs))
    assert [Path(name).stem for name in drawn] == ["latency-postgresql", "threads", "growth", "migration"]
    assert all((docs / name).read_text().rstrip().endswith("</svg>") for name in drawn)


def test_plots_are_the_same_for_the_same_figures(docs: Path) -> None:
    before = svgs(docs)
    write_pages(docs)
    assert svgs(docs) == before
    assert not any("<dc:date>" in text for text in before.values())


def test_plots_can_be_read_on_light_and_on_dark(docs: Path) -> None:
    for name, text in svgs(docs).items():
        colours = {colour.lower() for colour in re.findall(r"(?:fill|stroke): (#[0-9a-fA-F]{6})", text)}
        assert colours, name
        assert {colour: contrast(colour) for colour in colours if contrast(colour) < 2.5} == {}


def svgs(docs: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((docs / "performance").glob("*.svg"))}


def contrast(colour: str) -> float:
    """Return the smaller of a colour's contrasts with white and with GitHub's dark background."""
    own, dark = luminance(colour), luminance("#0d1117")
    return min(1.05 / (own + 0.05), (own + 0.05) / (dark + 0.05))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear: list[Any] = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
