#!/usr/bin/env python3
"""Measure for docs/performance.md, and write its tables and its chart from what was measured.

    python scripts/performance.py measure            all workloads; half an hour on an idle machine
    python scripts/performance.py measure simple     only those whose title has this in it
    python scripts/performance.py measure --runs 2   all, less often, to try it
    python scripts/performance.py write              the tables and the chart, from the figures
    python scripts/performance.py write --check      say what would change; exit with 1 if anything

The figures are in docs/_static/performance.json: what `rocketjob perf ... --json` printed. Those
of a workload are replaced as soon as it is measured, so that what was interrupted keeps the rest.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).resolve().parent.parent / "docs"
RESULTS = DOCS / "_static" / "performance.json"
CHART = DOCS / "_static" / "performance.svg"
PAGE = DOCS / "performance.md"
BEGIN, END = "<!-- figures: written by scripts/performance.py -->", "<!-- end of figures -->"
FULL = "sqlite:///STORE?synchronous=FULL"  # STORE becomes a file that is removed
Report = dict[str, Any]


class Entry(NamedTuple):
    """A workload as the page shows it.

    Attributes:
        title: also what tells it from the others.
        command: the words after `rocketjob perf`.
    """

    title: str
    command: str


ENTRIES = (
    Entry("Simple jobs", "simple --runs 5"),
    Entry("Simple jobs that are kept", "simple --runs 3 --kept"),
    Entry("Simple jobs, each write flushed to disk", f"simple -n 10000 --runs 3 --url {FULL}"),
    Entry("Simple jobs, 64 workers in 4 processes", "simple --runs 3 -w 64 -p 4"),
    Entry("Batch, 1,000 lines a slice", "batch --runs 3 --imap"),
    Entry("Batch, 100 lines a slice", "batch --runs 3 --imap --slice-size 100"),
    Entry("Batch of ten million lines", "batch --runs 1 -n 10000000"),
    Entry("Latency on an idle server", "latency --runs 3"),
    Entry("Calls of the store", "store --runs 5"),
    Entry("Growth of the queue", "growth --up-to 1000000 --runs 1"),
)


class Bar(NamedTuple):
    label: str
    figure: dict[str, Any]


class Panel(NamedTuple):
    """A part of the chart: bars on one scale.

    Attributes:
        bars: label, title of the entry, and name of the figure; without a label, of all figures
            whose names end so: what is in front of that is the label.
    """

    title: str
    bars: Sequence[tuple[str, str, str]]


def _simple(title: str, label: str) -> tuple[str, str, str]:
    return label, title, "performed"


PANELS = (
    Panel(
        "Simple jobs a second",
        (
            ("stored one by one", "Simple jobs", "stored one by one"),
            ("stored in bulk", "Simple jobs", "stored in bulk"),
            _simple("Simple jobs", "performed, removed"),
            _simple("Simple jobs that are kept", "performed, kept"),
            _simple("Simple jobs, each write flushed to disk", "performed, synchronous FULL"),
            _simple("Simple jobs, 64 workers in 4 processes", "performed, 64 workers"),
        ),
    ),
    Panel(
        "Records of a batch a second, file to file",
        (
            ("imap, keeps nothing", "Batch, 1,000 lines a slice", "imap, which keeps nothing"),
            ("1,000 a slice", "Batch, 1,000 lines a slice", "file to file"),
            ("ten million, 1,000 a slice", "Batch of ten million lines", "file to file"),
            ("imap, 100 a task", "Batch, 100 lines a slice", "imap, which keeps nothing"),
            ("100 a slice", "Batch, 100 lines a slice", "file to file"),
        ),
    ),
    Panel(
        "Milliseconds from enqueue, on an idle server (less is better)",
        tuple(
            (name, "Latency on an idle server", name)
            for name in ("to start, p50", "to start, p95", "to start, p99", "to end, p50")
        ),
    ),
    Panel(
        "Microseconds of processor time for a job of a claim of 50 (less is better)",
        (("", "Growth of the queue", ": claim of 50, processor time"),),
    ),
)


# --- measuring -----------------------------------------------------------------------------------


def measure(wanted: Sequence[str], runs: str | None = None) -> None:
    """Measure, and write what was measured after each workload."""
    chosen = [e for e in ENTRIES if not wanted or any(w.lower() in e.title.lower() for w in wanted)]
    if not chosen:
        raise SystemExit(f"none of: {', '.join(entry.title for entry in ENTRIES)}")
    for entry in chosen:
        asked = re.sub(
            r"--runs \d+", lambda match: f"--runs {runs}" if runs else match[0], entry.command
        )
        print(f"{entry.title}: rocketjob perf {asked}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            words = asked.replace("STORE", f"{folder}/store.db").split()
            command = [sys.executable, "-m", "rocketjob", "perf", *words, "--json"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        report = json.loads(done.stdout)
        report["settings"]["store"] = report["settings"]["store"].replace(folder, "")
        results = {**load(), entry.title: {"command": asked, **report}}
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def load() -> dict[str, Report]:
    """Return the reports by the title of their entry, in the order of the entries."""
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return {entry.title: found[entry.title] for entry in ENTRIES if entry.title in found}


# --- the tables ----------------------------------------------------------------------------------


def tables(results: dict[str, Report]) -> str:
    """Return the part of the page that has the figures."""
    return "\n".join([*machine(results), *(line for t in results for line in table(t, results[t]))])


def machine(results: dict[str, Report]) -> Iterator[str]:
    """Say on what was measured, and whether it was idle."""
    described = {tuple(sorted(report["machine"].items())) for report in results.values()}
    for each in sorted(described, key=repr):
        facts = dict(each)
        yield (
            f"The machine: {facts['processor']}, {facts['cores']} cores, "
            f"{facts['memory_mib']:,} MiB, {facts['system']}, Python {facts['python']}, "
            f"RocketJob {facts['rocketjob']}, {facts['store_software']}."
        )
    busy = [title for title, report in results.items() if not report["is_idle"]]
    if busy:
        yield ""
        yield (
            f"**Not idle.** For {len(busy)} of the {len(results)} workloads below others used the "
            "machine at the same time, as said with each. It can do better than these figures, by "
            "far where others used nearly all of it, and they are to be taken again; steps of "
            "SQLite are not affected."
        )


def table(title: str, report: Report) -> Iterator[str]:
    """Yield the lines of one workload."""
    yield from ("", f"### {title}", "")
    yield f"`rocketjob perf {report['command']}`, on {report['at'][:10]}. {others(report)}"
    yield from ("", "| figure | median | lowest | highest | unit | durability |")
    yield "|---|---:|---:|---:|---|---|"
    for figure in report["figures"]:
        numbers = " | ".join(number(figure[name]) for name in ("median", "lowest", "highest"))
        unit, durability = figure["unit"], figure["durability"]
        yield f"| {figure['name']} | {numbers} | {unit} | {durability} |"


def others(report: Report) -> str:
    """Say how busy others kept the machine."""
    shares = [share for share in report["others_share"] if share is not None]
    if not shares:
        return "How busy others kept the machine is not known."
    return f"Others used {max(shares):.0%} of the processors at most before a run."


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:g}"


# --- the chart -----------------------------------------------------------------------------------

WIDTH, LEFT, BAR, GAP, HEAD, NOTE = 860, 250, 18, 8, 34, 110
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1b2733 }
text.title { font-weight: 600 }
text.label { text-anchor: end }
rect { fill: #3d7ea6 }
rect.nothing { fill: #b4bcc4 }
line { stroke: #1b2733; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e3e9ef }
  rect { fill: #5fa3cc }
  rect.nothing { fill: #5b6670 }
  line { stroke: #e3e9ef }
}
"""


def chart(results: dict[str, Report]) -> str:
    """Return the chart: a bar for each median, with a line from the lowest to the highest."""
    parts: list[str] = []
    top = 8
    for panel in PANELS:
        if bars := list(bars_of(panel, results)):
            parts += drawn(panel.title, bars, top)
            top += HEAD + len(bars) * (BAR + GAP) + GAP
    legend = (
        "Grey: nothing is stored. The thin line goes from the lowest to the highest of the runs."
    )
    parts.append(text(8, top + 14, legend))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 26}" role="img">',
            "<title>What was measured: the figures are in the tables of the page</title>",
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def bars_of(panel: Panel, results: dict[str, Report]) -> Iterator[Bar]:
    """Yield the bars of a panel that were measured."""
    for label, title, name in panel.bars:
        for figure in results.get(title, {}).get("figures", ()):
            if figure["name"] == name:
                yield Bar(label, figure)
            elif not label and figure["name"].endswith(name):
                yield Bar(figure["name"].removesuffix(name), figure)


def drawn(title: str, bars: Sequence[Bar], top: float) -> Iterator[str]:
    """Yield the elements of a panel."""
    most = max(bar.figure["highest"] for bar in bars)
    scale = (WIDTH - LEFT - NOTE) / most if most else 0.0
    yield text(8, top + 16, title, "title")
    for row, (label, figure) in enumerate(bars):
        y = top + HEAD + row * (BAR + GAP)
        middle = y + BAR / 2
        low, wide, high = (figure[n] * scale for n in ("lowest", "median", "highest"))
        nothing = ' class="nothing"' if figure["durability"] == "nothing is stored" else ""
        yield text(LEFT - 8, middle + 4, label, "label")
        yield f'<rect{nothing} x="{LEFT}" y="{y:g}" width="{wide:.1f}" height="{BAR}"/>'
        yield (
            f'<line x1="{LEFT + low:.1f}" y1="{middle:g}" x2="{LEFT + high:.1f}" y2="{middle:g}"/>'
        )
        yield text(LEFT + max(wide, high) + 8, middle + 4, number(figure["median"]))


def text(x: float, y: float, words: str, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:.1f}" y="{y:g}">{escape(words)}</text>'


# --- writing -------------------------------------------------------------------------------------


def written() -> dict[Path, str]:
    """Return what the page and the chart should be."""
    results = load()
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    part = f"{BEGIN}\n\n{tables(results)}\n\n{END}"
    return {CHART: chart(results), PAGE: pattern.sub(lambda match: part, page)}


def write(check: bool) -> int:
    """Write what differs; return the exit code."""
    changed = [
        path
        for path, content in written().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]
    for path in changed:
        print(f"{'would change' if check else 'wrote'} {path.relative_to(DOCS.parent)}")
        if not check:
            path.write_text(written()[path], encoding="utf-8")
    if not changed:
        print("nothing to write")
    return 1 if check and changed else 0


def main(words: Sequence[str]) -> int:
    if words[:1] == ["measure"]:
        runs = words[2] if words[1:2] == ["--runs"] and words[2:3] else None
        measure(words[3:] if runs else words[1:], runs)
        return 0
    if words[:1] == ["write"] and set(words[1:]) <= {"--check"}:
        return write("--check" in words)
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
