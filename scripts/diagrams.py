#!/usr/bin/env python3
"""Draw the diagrams of the documentation: docs/explanation/diagrams/*.txt become *.svg beside them.

    python scripts/diagrams.py            draw what has changed
    python scripts/diagrams.py --check    say what would change, and exit with 1 if anything would

A line of the source is a box at a column and row of a grid, with `|` between its lines of text, or
an arrow between two boxes:

    store: Store | SQLite or MongoDB @ 2,1
    app -> store: creates
    app .> store: reads            dashed
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "diagrams"
WIDE, HIGH = 176, 58  # a box
RIGHT, DOWN = 296, 128  # from one column or row to the next: labels stand in between
EDGE = 12
BOX = re.compile(r"^(\w+): (.+) @ ([\d.]+),([\d.]+)$")
ARROW = re.compile(r"^(\w+) (->|\.>) (\w+)(?:: (.+))?$")
STYLE = """
rect { fill: #f4f6f8; stroke: #5b6b7b; rx: 6px }
text { font: 13px system-ui, sans-serif; fill: #1b2733; text-anchor: middle }
text.line0 { font-weight: 600 }
text.label { font-size: 12px; fill: #3b4b5b; paint-order: stroke; stroke: #fff; stroke-width: 4px }
line { stroke: #5b6b7b; stroke-width: 1.5 }
line.dashed { stroke-dasharray: 5 4 }
marker path { fill: #5b6b7b }
@media (prefers-color-scheme: dark) {
  rect { fill: #232b33; stroke: #8b9bab }
  text { fill: #e3e9ef }
  text.label { fill: #b9c6d3; stroke: #131416 }
  line { stroke: #8b9bab }
  marker path { fill: #8b9bab }
}
"""


class Box(NamedTuple):
    lines: list[str]
    x: float
    y: float

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + WIDE / 2, self.y + HIGH / 2


class Arrow(NamedTuple):
    start: str
    end: str
    label: str
    dashed: bool


def parse(source: str) -> tuple[dict[str, Box], list[Arrow]]:
    boxes, arrows = dict[str, Box](), list[Arrow]()
    for number, line in enumerate(source.splitlines(), 1):
        if found := BOX.match(line):
            name, text, column, row = found.groups()
            x, y = (float(column) - 1) * RIGHT + EDGE, (float(row) - 1) * DOWN + EDGE
            boxes[name] = Box(text.split(" | "), x, y)
        elif found := ARROW.match(line):
            start, kind, end, label = found.groups()
            arrows.append(Arrow(start, end, label or "", kind == ".>"))
        elif line and not line.startswith("#"):
            raise SystemExit(f"line {number} is neither a box nor an arrow: {line}")
    return boxes, arrows


def draw(source: str) -> str:
    boxes, arrows = parse(source)
    width = max(box.x for box in boxes.values()) + WIDE + EDGE
    height = max(box.y for box in boxes.values()) + HIGH + EDGE
    title = next((line[1:].strip() for line in source.splitlines() if line[:1] == "#"), "")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>',
    ]
    ways = [(arrow, *ends(boxes[arrow.start], boxes[arrow.end])) for arrow in arrows]
    parts += [drawn_arrow(*way) for way in ways]
    parts += [drawn_box(box) for box in boxes.values()]
    parts += [drawn_label(*way) for way in ways]  # last, so that no line crosses a label
    return "\n".join([*(part for part in parts if part), "</svg>", ""])


def ends(start: Box, end: Box) -> tuple[float, float, float, float]:
    """Return where an arrow leaves one box and reaches the other."""
    (x1, y1), (x2, y2) = start.middle, end.middle
    right, down = x2 - x1, y2 - y1
    share = edge(right, down)
    return x1 + right * share, y1 + down * share, x2 - right * share, y2 - down * share


def edge(right: float, down: float) -> float:
    """Return the share of a way from the middle of a box that lies within it."""
    sideways = WIDE / 2 / abs(right) if right else 1.0
    return min(sideways, HIGH / 2 / abs(down) if down else 1.0)


def drawn_arrow(arrow: Arrow, x1: float, y1: float, x2: float, y2: float) -> str:
    dashed = ' class="dashed"' if arrow.dashed else ""
    return (
        f'<line{dashed} x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        'marker-end="url(#tip)"/>'
    )


def drawn_label(arrow: Arrow, x1: float, y1: float, x2: float, y2: float) -> str:
    if not arrow.label:
        return ""
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    y += 4 if abs(x2 - x1) < abs(y2 - y1) else -7  # on a line that stands, above one that lies
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{escape(arrow.label)}</text>'


def drawn_box(box: Box) -> str:
    x, y = box.middle
    first = y + 4.5 - 8 * (len(box.lines) - 1)
    lines = "".join(
        f'<text class="line{n}" x="{x:g}" y="{first + 16 * n:g}">{escape(line)}</text>'
        for n, line in enumerate(box.lines)
    )
    return f'<rect x="{box.x:g}" y="{box.y:g}" width="{WIDE}" height="{HIGH}"/>{lines}'


def main() -> int:
    old = []
    for source in sorted(FOLDER.glob("*.txt")):
        svg, target = draw(source.read_text(encoding="utf-8")), source.with_suffix(".svg")
        if not target.exists() or target.read_text(encoding="utf-8") != svg:
            old.append(target.name)
            if "--check" not in sys.argv:
                target.write_text(svg, encoding="utf-8")
    print("\n".join(old) or "nothing to draw")
    return int(bool(old) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
