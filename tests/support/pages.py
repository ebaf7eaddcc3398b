"""The pages of the documentation, and what is in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md"))
    if "_build" not in path.parts
)
FENCE = re.compile(r"^( *)(`{3,}|:{3,})(\S*)([^\n]*)\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^(#{1,6}) (.+?) *#*$", re.MULTILINE)


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, *languages):
    """List the code of a page's blocks in these languages, with their line numbers.

    `{code-block} python` is the language of what is shown and not run.
    """
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(5)) + 1, found[5])
        for found in FENCE.finditer(text)
        if found[3] in languages or f"{found[3]}{found[4]}" in languages
    ]


def languages(page):
    """Return the languages of a page's blocks."""
    return {found[3] for found in FENCE.finditer(page.read_text(encoding="utf-8"))}


def prose(page):
    """Return a page without its code, on the same lines."""

    def blank(found):
        return "\n" * found[0].count("\n")

    text = FENCE.sub(blank, page.read_text(encoding="utf-8"))
    return re.sub(r"(?<!`)(`+)(?!`)[^`].*?(?<!`)\1(?!`)", "", text)


def links(page):
    """List the targets of a page's links to other files and places, with their line numbers."""
    text = prose(page)
    return [
        (text.count("\n", 0, found.start()) + 1, found[1])
        for found in LINK.finditer(text)
        if not re.match(r"[a-z]+:", found[1])
    ]


def anchors(page):
    """Return the places of a page that a link can lead to: its headings, as GitHub names them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found, seen = set(), {}
    for heading in HEADING.finditer(text):
        slug = slug_of(heading[2])
        seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
    return found | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


def slug_of(heading):
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
