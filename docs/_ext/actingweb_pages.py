"""What the site shows that is written elsewhere: pages of the root, the help of the command line, figures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import figures
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command
from typer.testing import CliRunner

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent

# Pages that stand in the root, where GitHub looks for them. On GitHub the page in docs/ is a link to it.
_ROOT_PAGES = {"changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md", "security": "SECURITY.md"}
_PAGE_OF = {"README.md": "index.md"} | {name: f"{page}.md" for page, name in _ROOT_PAGES.items()}
_FENCED_OR_LINK = re.compile(
    r"^```.*?^```$|(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]+)?\)", re.MULTILINE | re.DOTALL
)


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the text of a page of the root in its place, and make links that leave docs/ work on the site."""
    page = DOCS / f"{docname}.md"
    text = source[0]
    if docname in _ROOT_PAGES:
        page = ROOT / _ROOT_PAGES[docname]
        app.env.note_dependency(str(page))
        text = page.read_text()
    source[0] = _FENCED_OR_LINK.sub(lambda found: _linked(found, page.parent, (DOCS / docname).parent), text)


def _linked(found: re.Match[str], written_in: Path, shown_in: Path) -> str:
    if found["target"] is None:
        return found[0]
    target = (written_in / found["target"]).resolve()
    if target.is_dir():
        return found["text"]
    target = DOCS / _PAGE_OF.get(str(target.relative_to(ROOT)), target)
    return f"[{found['text']}]({os.path.relpath(target, shown_in)}{found['anchor'] or ''})"


def _mark_code(_app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Make what docstrings have in single backticks code, before Napoleon takes a colon in it for its own."""
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line) for line in lines]


class CommandLine(SphinxDirective):
    """The help of each command of `actingweb-db`, as the command prints it."""

    def run(self) -> list[nodes.Node]:
        from actingweb.cli.app import main

        runner = CliRunner(env={"COLUMNS": "88", "TERMINAL_WIDTH": "88"})
        sections: list[nodes.Node] = []
        for words in _commands(get_command(main), ()):
            result = runner.invoke(main, [*words, "--help"], prog_name="actingweb-db")
            if result.exit_code != 0:
                raise self.error(f"{words}: {result.output}")
            title = " ".join(["actingweb-db", *words])
            section = nodes.section(ids=[nodes.make_id(title)], names=[title])
            help_text = "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines())
            section += [nodes.title(text=title), nodes.literal_block(help_text, help_text, language="text")]
            sections.append(section)
        return sections


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _commands(inner, (*words, name))


class Figures(SphinxDirective):
    """A table of the operations that its lines name, from the figures of `make bench-all`."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(figures.FILE))
        return self.parse_text_to_nodes(figures.table(self.content))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _mark_code, priority=400)
    app.add_directive("command-line", CommandLine)
    app.add_directive("figures", Figures)
    return {"parallel_read_safe": True}
