"""How `rocketjob top` looks: lines of text with styles, cut to a width and a height."""

from __future__ import annotations

from rocketjob.base import clock
from rocketjob.base.text import counted, megabytes, relative, span
from rocketjob.cli.output import Cell, Column, clean, cut, styled, table_lines
from rocketjob.cli.servers import STYLES
from rocketjob.server.server import Server
from rocketjob.server.signs import COUNTED
from rocketjob_plugins.metrics.present import SPARKS, sparkline
from rocketjob_plugins.top.desk import Desk, Question
from rocketjob_plugins.top.look import ROWS, TABS, Row, Snapshot

PLENTY = 40  # lines, with which advice is shown, and a blank line between the parts
BAR = 10  # columns of a progress bar
ALONE = 20  # jobs and servers that are shown where there is no terminal
KEYS = "↑↓ job  ←→ list  p pause  r retry/resume  a abort  s sort  ? help  q quit"
HELP = (
    "up, down or k, j   choose a job; it stays chosen while others come and go",
    "left, right, tab   another list: running, queued, scheduled, failed, paused",
    "p                  pause the job: it is held back until it is resumed",
    "r                  retry a failed job, or let a paused one go on",
    "a                  abort the job, for good",
    "s                  sort the list: in its order, the longest first, by class",
    "q, Ctrl-C          quit",
    "",
    "You are asked first: y does it, n does not, w lets you say why.",
    "If the job is no longer as you saw it, nothing is done, and you are told why.",
    "",
    f"A list has the first {ROWS} jobs of its order, and counts stop at {COUNTED:,}.",
    "Progress of jobs that several workers share is asked for a few at each look.",
    "",
    "FAILING  something has failed lately, or nobody does the work",
    "WATCH    something waits, takes or has been failed for long",
    "OK       neither, of what was looked at",
    "UNKNOWN  the store cannot be seen: the rest of the page is old",
)
SERVERS = (
    Column("SERVER"),
    Column("STATE", fixed=True),
    Column("VERSION", fixed=True, spare=2),
    Column("HOST", spare=3),
    Column("BUSY", fixed=True, right=True),
    Column("MEMORY", fixed=True, right=True, spare=1),
    Column("HEARTBEAT", fixed=True, right=True),
)
TIMES = {"running": "RUNS", "queued": "WAITS", "scheduled": "STARTS"}
JOB_COLORS = {"failed": "red", "paused": "yellow"}


def frame(desk: Desk, width: int, height: int | None = None) -> list[str]:
    """Return the lines to show.

    Args:
        height: how many at most; the last one is for questions and keys. None: no terminal.
    """
    head = _verdict(desk, width, height)
    foot = [] if height is None else [_foot(desk, width)]
    if height is None:
        return [*head, *_body(desk, width, ALONE, ALONE, spaced=True)]
    room = height - len(head) - len(foot)
    if desk.is_help:
        body = [cut(line, width) for line in HELP]
    else:
        servers = max(2, room // 4)
        body = _body(desk, width, servers, room, spaced=height >= PLENTY)
    body = body[: max(0, room)]
    lines = [*head, *body, *[""] * (room - len(body)), *foot]
    return lines[-height:] if len(lines) > height else lines


# --- the verdict ---------------------------------------------------------------------------------


def _verdict(desk: Desk, width: int, height: int | None) -> list[str]:
    verdict = desk.verdict
    now = f"{clock.now():%H:%M:%S} UTC"
    label = f"{verdict.level.icon} {verdict.level.word}"
    if verdict.causes:
        first, *rest = [clean(cause.message) for cause in verdict.causes]
    else:
        first, rest = verdict.sentence, []
    most = len(rest) if height is None else height // 6
    said = _line(width, (label, verdict.level.colour, True), (f"  {first}", "", False), right=now)
    lines = [said, *(cut(f"{' ' * len(label)}  {text}", width) for text in rest[:most])]
    if len(rest) > most:
        lines[-1] = cut(f"{' ' * len(label)}  and {len(rest) - most + 1} more", width)
    if (height is None or height >= PLENTY) and verdict.causes and verdict.causes[0].advice:
        advice = cut(f"{' ' * len(label)}  -> {verdict.causes[0].advice}", width)
        lines.insert(1, styled(advice, dim=True))
    return lines


def _line(width: int, *parts: tuple[str, str, bool], right: str = "") -> str:
    """Return a line of parts, each with colour and whether it is bold; cut to the width."""
    from rich.cells import cell_len  # for start-up time

    room, line = width - len(right) - (1 if right else 0), ""
    for text, colour, bold in parts:
        shown = cut(text, max(0, room))
        room -= cell_len(shown)
        line += styled(shown, fg=colour or None, bold=bold or None) if colour or bold else shown
    return line + " " * max(0, room + 1) + right if right else line


# --- the parts below it --------------------------------------------------------------------------


def _body(desk: Desk, width: int, servers: int, room: int, spaced: bool) -> list[str]:
    seen, gap = desk.snapshot, [""] if spaced else []
    if seen is None:
        return []
    above = [*gap, *_servers(seen, width, servers), *gap, *_throughput(seen, width), *gap]
    left = max(1, room - len(above) - 2)  # without the tabs and the head of the table
    return [*above, _tabs(desk, seen, width), *_jobs(desk, width, left)]


def _servers(seen: Snapshot, width: int, most: int) -> list[str]:
    busy = f"{seen.busy} of {counted(seen.workers, 'worker')} busy"
    if not seen.servers:
        return [cut("No server is registered. Start one: rocketjob server --app MODULE", width)]
    shown = sorted(
        seen.servers, key=lambda server: not server.seems_dead()
    )  # the dead are at the top
    rows = [_server(server) for server in shown[:most]]
    more = f", {len(shown) - most} servers not shown" if len(shown) > most else ""
    lines = [*table_lines(SERVERS, rows, width)]
    return [*lines, styled(cut(f"{busy}{more}", width), dim=True)]


def _server(server: Server) -> list[Cell | str]:
    state = "dead" if server.seems_dead() else server.state
    return [
        server.name,
        Cell(state, "red" if state == "dead" else STYLES.get(state, "")),
        server.version,
        server.host,
        f"{len(server.performing)}/{server.workers}",
        megabytes(server.memory) if server.memory else "",
        relative(server.heartbeat_at),
    ]


def _throughput(seen: Snapshot, width: int) -> list[str]:
    series = seen.series
    if series is None:
        return []
    of_all, last = series.total, [point.total.ended for point in series.points]
    rate = of_all.failure_rate
    failed = "" if rate is None else f", {100 * rate:.1f} % failed"
    recent = f", {last[-2]:,} in the last minute" if len(last) > 1 else ""
    text = f"Ended: {series.per_minute(of_all):,.1f}/min in the last hour{recent}{failed}  "
    bars = min(SPARKS, width - len(text))
    return [cut(text + (sparkline(last, bars) if bars > 4 else ""), width)]


# --- jobs ----------------------------------------------------------------------------------------


def _tabs(desk: Desk, seen: Snapshot, width: int) -> str:
    parts: list[tuple[str, str, bool]] = []
    for tab in TABS:
        number = seen.counts.get(tab.name, 0)
        count = f"{COUNTED:,}+" if number > COUNTED else f"{number:,}"
        is_open = tab is desk.tab
        text = f"{tab.name} {count}"
        colour = JOB_COLORS.get(tab.name, "") if number else ""
        parts.append((f"[{text}] " if is_open else f" {text}  ", colour, is_open))
    return _line(width, *parts)


def _jobs(desk: Desk, width: int, most: int) -> list[str]:
    rows = desk.rows
    chosen = desk.chosen(rows)
    if not rows:
        is_read = desk.snapshot is not None and desk.snapshot.tab is desk.tab
        return [f"No job is {desk.tab.name}." if is_read else ""]
    at = rows.index(chosen) if chosen is not None else 0
    begin = max(0, min(at - most // 2, len(rows) - most))
    columns = [Column("  JOB"), Column("ID", fixed=True)]
    if desk.tab.name == "running":
        columns += [Column("PROGRESS", fixed=True), Column("WORKER", spare=2)]
    columns += [
        Column(TIMES.get(desk.tab.name, "FOR"), fixed=True, right=True),
        Column("", least=10, spare=1 if desk.tab.name == "running" else 0),
    ]
    shown = [_job(desk, row, row is chosen) for row in rows[begin : begin + most]]
    return [*table_lines(columns, shown, width)]


def _job(desk: Desk, row: Row, is_chosen: bool) -> list[Cell | str]:
    cells: list[Cell | str] = [
        Cell(f"{'>' if is_chosen else ' '} {row.name}", "bold" if is_chosen else ""),
        str(row.id),
    ]
    if desk.tab.name == "running":
        cells += [bar(row.percent), row.workers]
    ahead = row.seconds < 0
    time = f"in {span(-row.seconds, 2)}" if ahead else span(row.seconds, 2)
    return [*cells, time, Cell(row.note, "red" if desk.tab.name == "failed" else "dim")]


def bar(percent: int | None) -> str:
    """Return how far a job is: a bar and a number; both can be told without colour."""
    if percent is None:
        return "·" * BAR + "    ?"
    done = min(max(percent, 0), 100) * BAR // 100
    return "█" * done + "░" * (BAR - done) + f" {percent:3}%"


# --- the last line -------------------------------------------------------------------------------


def _foot(desk: Desk, width: int) -> str:
    if desk.question is not None:
        return _line(width, (_asked(desk.question, width), "yellow", True))
    if (doing := desk.doing) is not None:
        return _line(width, (f"{doing.deed.title} {doing.job} ...", "", True))
    if desk.message:
        return _line(width, (clean(desk.message), "", True))
    return styled(cut("any key goes back" if desk.is_help else KEYS, width), dim=True)


def _asked(question: Question, width: int) -> str:
    """Ask; of a reason that is too long the end is seen, which is being typed."""
    what = f"{question.deed.title} {clean(question.job)}"
    if question.typed is None:
        return f"{what}?  y yes  n no  w why"
    before = f"{what} (Enter, or Esc) because: "
    return f"{before}{question.typed[-max(1, width - len(before) - 1) :]}_"
