"""`docs/performance.md` and its plots are what the figures of the last run give."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import print_sections, rendered, write_pages
from benchmarks.results import Figure, Section, figure, read_sections

DOCS = Path(__file__).parents[2] / "docs"
MACHINE = {
    "processor": "2 x a processor",
    "memory": "4 GiB",
    "system": "Linux",
    "python": "3.13.1",
    "date": "2026-02-03",
}


def section(name: str) -> Section:
    return Section(name, f"About {name}", machine=MACHINE, settings={"quick": False})


def row(operation: str, baseline: Figure | None) -> dict[str, Any]:
    times = {"floor": figure([40.0, 50.0, 60.0]), "ours": figure([45.0, 56.0, 65.0])}
    times |= {"baseline": baseline} if baseline else {}
    ratios = {"ours / floor": figure([1.12])} | ({"baseline / ours": figure([4.0])} if baseline else {})
    return {"µs a call": operation, **times, **ratios, "CPU ours": figure([33.0])}


def made_up() -> list[Section]:
    """Return results of each form."""
    latency = section("postgresql")
    latency.rows += [
        row("property get", figure([200.0, 220.0, 260.0])),
        row("property set", None),
        row("actor | list", None),
    ]
    latency.judge("property get", "ours − floor, µs", figure([6.0, 7.25, 9.0]), most=12)
    latency.judge("property get", "baseline / ours", figure([2.0, 2.1, 2.3]), least=2.5)
    threads = section("threads")
    threads.notes.append("Threads share a lock.")
    threads.rows += [
        {"operation": "property get", "threads": count, "floor": 100 * count, "ours": 90 * count} for count in (1, 4)
    ]
    threads.judge("get, 4 threads", "operations/s, ours / floor", figure([0.9]), least=0.85)
    growth = section("growth")
    growth.rows += [{"operation": "get", "kind": "read", "1,000": 50.0, "100,000": 55.5}]
    growth.judge("get", "most actors / 1,000", figure([1.11]), most=1.3)
    migration = section("migration")
    for data in ("a tenth of the rows", "all rows"):
        rates = {"rows": 100, "rows/s": 225.0, "least": 200.0, "most": 250.0, "peak MiB": 61.0}
        migration.rows += [{"data": data, "step": step, **rates} for step in ("import", "plain COPY")]
    migration.judge("import", "rows/s, import / plain COPY", figure([0.71]), least=0.6)
    migration.judge("import", "peak, all rows / a tenth", figure([1.0]), least=0.85, most=1.15)
    migration.judge("import", "peak MiB", figure([261.0]), most=200)
    return [latency, threads, growth, migration]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the pages of made-up results, once."""
    docs = tmp_path_factory.mktemp("docs")
    shutil.copy(DOCS / "performance.md", docs)
    write_pages(docs, made_up())
    return docs


@pytest.fixture
def docs(drawn: Path, tmp_path: Path) -> Path:
    """Return a directory with the pages of made-up results."""
    return Path(shutil.copytree(drawn, tmp_path / "docs"))


def sections(docs: Path) -> list[Section]:
    return read_sections(docs / "performance")


def page(docs: Path) -> str:
    return (docs / "performance.md").read_text()


def is_current(docs: Path) -> bool:
    """Tell whether the page is what the figures give."""
    return page(docs) == rendered(docs)


def plots(text: str) -> list[str]:
    return re.findall(r"!\[[^]]+]\((performance/[^)]+\.svg)\)", text)


def test_the_page_of_this_tree_is_current() -> None:
    assert is_current(DOCS), "run `python -m benchmarks report`"


def test_the_plots_of_this_tree_are_there() -> None:
    assert [name for name in plots(rendered(DOCS)) if not (DOCS / name).exists()] == []


def test_the_page_of_this_tree_is_short_and_its_figures_are_a_row_a_line() -> None:
    assert len(page(DOCS).splitlines()) <= 240
    assert len((DOCS / "performance" / "bench.json").read_text().splitlines()) < 700


def test_a_page_is_current_until_a_figure_changes(docs: Path) -> None:
    assert is_current(docs)
    path = docs / "performance" / "bench.json"
    path.write_text(path.read_text().replace("7.25", "8.25"))
    assert not is_current(docs)
    write_pages(docs)
    assert is_current(docs)


def test_the_targets_are_counted_and_what_misses_them_is_named_with_its_spread(docs: Path) -> None:
    lines = page(docs).splitlines()
    assert "| postgresql | ours − floor, µs | ≤ 12 | 1 | 1 | 7.25 | 7.25 |  |" in lines
    missed = "property get 2.10 (2.05 – 2.20)"
    assert f"| postgresql | baseline / ours | ≥ 2.5 | 1 | 0 | 2.10 | 2.10 | {missed} |" in lines
    assert "| growth | most actors / 1,000 | ≤ 1.3 | 1 | 1 | 1.11 | 1.11 |  |" in lines
    assert "| migration | rows/s, import / plain COPY | ≥ 0.6 | 1 | 1 | 0.71 | 0.71 |  |" in lines
    assert "| migration | peak, all rows / a tenth | ≥ 0.85, ≤ 1.15 | 1 | 1 | 1 | 1 |  |" in lines
    assert "| migration | peak MiB | ≤ 200 | 1 | 0 | 261 | 261 | import 261 (261 – 261) |" in lines
    assert "| all |  |  | 7 | 5 |  |  |  |" in lines


def test_a_run_prints_each_target_beside_the_floor_and_whether_it_is_met(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_sections(made_up()) == 2
    lines = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    over = ["property get", "ours − floor, µs", "7.25", "6.62 – 8.12", "≤ 12", "met", "ours 56, floor 50"]
    assert over in lines
    slow = ["property get", "baseline / ours", "2.10", "2.05 – 2.20", "≥ 2.5", "NOT MET", "baseline 220, ours 56"]
    assert slow in lines
    assert ["7 targets: 5 met, 2 not met."] in lines


def test_the_page_names_the_machine_and_what_was_left_out(docs: Path) -> None:
    assert "2 x a processor, 4 GiB, Linux, 3.13.1, 2026-02-03: postgresql, threads, growth, migration." in page(docs)
    assert "Threads share a lock." in page(docs)


def test_the_times_of_a_typical_operation_stand_in_one_row(docs: Path) -> None:
    lines = page(docs).splitlines()
    assert "| property get | 50 | 56 | 50.5 – 60.5 | 220 | 1.12 | 4 |" in lines
    assert "| property set | 50 | 56 | 50.5 – 60.5 |  | 1.12 |  |" in lines
    assert not any("actor | list" in line for line in lines)


def test_a_partial_run_leaves_the_other_sections(docs: Path) -> None:
    again = section("threads")
    again.rows.append({"operation": "property get", "threads": 16, "floor": 400, "ours": 200, "ours / floor": 0.5})
    again.judge("get, 16 threads", "operations/s, ours / floor", figure([0.5]), least=0.85)
    write_pages(docs, [again])
    found = {one.name: one for one in sections(docs)}
    assert list(found) == ["postgresql", "threads", "growth", "migration"]
    assert [list(target.figures) for target in found["threads"].targets] == [["get, 16 threads"]]
    assert "| ≥ 0.85 | 1 | 0 | 0.50 | 0.50 | get, 16 threads 0.50 (" in page(docs)
    assert "| postgresql | baseline / ours | ≥ 2.5 | 1 | 0 |" in page(docs)


def test_what_is_read_is_what_was_written(docs: Path) -> None:
    assert sections(docs) == made_up()


def test_figures_are_written_with_four_digits(docs: Path) -> None:
    exact = section("live")
    exact.judge("read", "slowest / whole", 0.123456, most=1)
    write_pages(docs, [exact])
    assert sections(docs)[-1].targets[0].figures["read"].median == 0.1235


def test_each_plot_of_the_page_is_drawn(docs: Path) -> None:
    drawn = plots(page(docs))
    assert [Path(name).stem for name in drawn] == ["latency-postgresql", "growth"]
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
