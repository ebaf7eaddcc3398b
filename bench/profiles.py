"""Profile each workload of `rocketjob perf`, as text: bench/profiles/*.txt.

    pip install py-spy
    python bench/profiles.py                    all workloads, a minute each
    python bench/profiles.py simple batch       only these

`py-spy` samples all processes of a run a hundred times a second. Waiting threads are left out. For
each kind of process the functions are listed by what they spend themselves and with what they call,
in percent of the samples of that kind of process. A share says where time goes, not how long it
takes: that is what `rocketjob perf` is for.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = HERE / "profiles"
RATE = 100  # samples a second
SHOWN = 30  # functions
LEAST = 0.5  # percent
WORKLOADS = {
    "simple": "simple -n 30000 --runs 1",
    "batch": "batch -n 500000 --runs 1",
    "batch-small-slices": "batch -n 200000 --slice-size 100 --runs 1",
    "latency": "latency -n 200 --runs 1 --idle-seconds 1",
    "store": "store -n 20000 --runs 1",
    "growth": "growth --up-to 10000 --runs 1",
}
# What a process is, by a part of its command line.
KINDS = (
    ("worker_main", "worker process"),
    (" server ", "supervisor"),
    (" perf ", "the command: what stores jobs, and looks whether they have ended"),
)
# Where threads wait: py-spy takes one for busy that was woken and has not got a processor.
WAITS = frozenset(
    (
        *("Condition.wait", "Event.wait", "Thread._wait_for_tstate_lock", "Child._obey_until_stop"),
        *("Outlet._read", "_stop_at_eof", "_answer", "Process._end_group", "Sweeper._run"),
        *("RungWaiter._listen", "Popen._try_wait", "Popen._wait", "select", "sleep"),
    )
)
FRAME = re.compile(r"^(?P<function>.+) \((?P<file>[^()]+?)(?::\d+)?\)$")
Stacks = dict[str, list[tuple[list[str], int]]]  # by the kind of process


def record(command: str) -> str:
    """Run a workload under py-spy; return its stacks, one a line, as flame graphs are made of."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "stacks.txt"
        spy = ["py-spy", "record", "--subprocesses", "--rate", str(RATE), "--format", "raw"]
        spy += ["--nolineno", "--output", str(target), "--"]
        words = [sys.executable, "-m", "rocketjob", "perf", *command.split()]
        subprocess.run([*spy, *words], check=True, stdout=subprocess.DEVNULL)
        return target.read_text(encoding="utf-8")


def parse(text: str) -> Stacks:
    """Return the stacks by the kind of process."""
    stacks: Stacks = defaultdict(list)
    for line in text.splitlines():
        path, _, count = line.rpartition(" ")
        frames = path.split(";")
        processes = [frame for frame in frames if frame.startswith("process ")]
        # The last one is it: a process is below those that started it.
        kind = kind_of(processes[-1]) if processes else KINDS[-1][1]
        calls = [named(frame) for frame in frames if is_call(frame)]
        if calls and calls[-1].partition("  ")[0] not in WAITS:
            stacks[kind].append((calls, int(count)))
    return stacks


def kind_of(process: str) -> str:
    return next((kind for part, kind in KINDS if part in f"{process} "), "other processes")


def is_call(frame: str) -> bool:
    return not frame.startswith(("process ", "thread (")) and FRAME.match(frame) is not None


def named(frame: str) -> str:
    """Return a function and its file, below the package that it is of."""
    match = FRAME.match(frame)
    assert match is not None
    file = match["file"]
    for part in ("site-packages/", "/plugins/", "/lib/python3", f"{ROOT}/"):
        if part in file:
            file = file.split(part, 1)[1]
            break
    return f"{match['function']}  {file}"


def profile_of(stacks: list[tuple[list[str], int]]) -> Iterator[str]:
    """Yield the lines of one kind of process."""
    whole = sum(count for _, count in stacks)
    own, total = Counter[str](), Counter[str]()
    for calls, count in stacks:
        own[calls[-1]] += count
        for call in set(calls):  # once, however often it calls itself
            total[call] += count
    for title, counted in (("by itself", own), ("with what it calls", total)):
        yield f"  {title}"
        for name, count in counted.most_common(SHOWN):
            if 100 * count / whole >= LEAST:
                yield f"  {100 * count / whole:6.1f} %  {name}"
        yield ""


def written(command: str, stacks: Stacks) -> str:
    """Return a profile as text."""
    lines = [
        f"rocketjob perf {command}",
        f"sampled by bench/profiles.py, {RATE} times a second",
        "",
    ]
    for kind in sorted(stacks, key=lambda kind: -sum(count for _, count in stacks[kind])):
        samples = sum(count for _, count in stacks[kind])
        lines += [f"{kind}: {samples:,} samples", "", *profile_of(stacks[kind])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    options = parser.parse_args()
    if shutil.which("py-spy") is None:
        raise SystemExit("there is no py-spy: pip install py-spy")
    FOLDER.mkdir(exist_ok=True)
    for name in options.workloads or WORKLOADS:
        print(f"{name}: rocketjob perf {WORKLOADS[name]}", flush=True)
        text = written(WORKLOADS[name], parse(record(WORKLOADS[name])))
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
