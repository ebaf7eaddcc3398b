"""Every page leads where it says, and shows what it speaks of."""

import ast
import subprocess
import sys
from textwrap import dedent

import pytest

from support.pages import DOCS, PAGES, ROOT, anchors, blocks, languages, links, name_of

MORE = [
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "bench").rglob("*.md")),
]
# Blocks that are part of how a page is laid out.
LAYOUT = {"{toctree}", "{eval-rst}", "{image}", "{reference}"}


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    dead = []
    for line, target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        known = file.exists() and (DOCS not in page.parents or DOCS in file.parents)
        if not known or (file.suffix == ".md" and anchor and anchor not in anchors(file)):
            dead.append(f"{name_of(page)}:{line}: {target}")
    assert dead == []


def test_every_page_is_linked_from_another_one():
    led_to = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for _, target in links(page)
        if not target.startswith("#")
    }
    pages = {page for page in PAGES if DOCS in page.parents} - {DOCS / "index.md"}
    assert [name_of(page) for page in sorted(pages - led_to)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_has_an_example(page):
    assert languages(page) - LAYOUT


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "{code-block} python")], ids=name_of
)
def test_code_that_is_shown_and_not_run_is_python_at_least(page):
    for line, code in blocks(page, "{code-block} python"):
        ast.parse("\n" * (line - 1) + dedent(code), name_of(page))


def test_the_diagrams_are_drawn_from_their_sources():
    command = [sys.executable, str(ROOT / "scripts" / "diagrams.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "nothing to draw\n"), "run scripts/diagrams.py"
