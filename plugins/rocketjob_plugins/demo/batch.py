"""`rocketjob demo --batch`: one large file of real text, reversed line by line on all cores.

The lines are those of a folder's text files, over and over, each with its number. The file is
uploaded, a server's processes share its slices, and the output is compared, by digest, with what a
plain loop over the same lines produces.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from rocketjob.base import clock
from rocketjob.jobs.job import Job
from rocketjob.model.fields import field
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory

from .files import TextFiles, size_text

BLOCK = 5_000
DIGEST_BYTES = 1024 * 1024


class DemoBatchJob(Batch, Job):
    """Reverses each line of a file."""

    destroy_on_complete = False
    demo_run: str = field(default="", description="which run of the demo it belongs to")
    input_category = InputCategory(slice_size=1000)
    output_category = OutputCategory()

    def perform(self, line: str) -> str:
        return line[::-1]


@attrs.define
class Timing:
    """How long a run took, in seconds, and what came out."""

    records: int = 0
    bytes: int = 0
    upload: float = 0.0
    work: float = 0.0
    download: float = 0.0
    correct: bool = False

    @property
    def rate(self) -> float:
        seconds = self.upload + self.work + self.download
        return self.records / seconds if seconds else 0.0


def lines_of(sources: TextFiles) -> Iterator[str]:
    """Yield the lines of the files, again and again; none if there are none."""
    while True:
        any_line = False
        for path, _ in sources.files:
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            for line in text.splitlines():
                any_line = True
                yield line
        if not any_line:
            return


def generate(sources: TextFiles, target: Path, count: int) -> str:
    """Write a file of `count` lines; return the digest of the reversed lines."""
    digest = hashlib.sha256()
    numbered = (f"{number} {line}" for number, line in enumerate(lines_of(sources), 1))
    lines = itertools.islice(numbered, count)
    with target.open("w", encoding="utf-8", newline="\n") as file:
        while block := list(itertools.islice(lines, BLOCK)):
            file.write("".join(f"{line}\n" for line in block))
            digest.update("".join(f"{line[::-1]}\n" for line in block).encode())
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(DIGEST_BYTES):
            digest.update(data)
    return digest.hexdigest()


def run(
    stage: Any,
    count: int,
    say: Callable[[str], None],
    update: Callable[[DemoBatchJob, float], None],
) -> Timing:
    """Take a file through a batch job on the stage's server.

    Raises:
        Failure: the job did not complete.
    """
    from rocketjob.cli import Failure  # workers load this module too

    source, target = stage.folder / "input.txt", stage.folder / "output.txt"
    expected = generate(stage.sources, source, count)
    timing = Timing(bytes=source.stat().st_size)
    say(f"{count:,} lines of real text, {size_text(timing.bytes)}, into {source}")
    job = DemoBatchJob(demo_run=stage.run)
    began = clock.monotonic()
    timing.records = job.upload(source)
    timing.upload = clock.monotonic() - began
    job.save()
    began = clock.monotonic()
    while not job.reload().is_completed:
        if job.is_failed or job.is_aborted:
            raise Failure(f"the job ended as {job.state}: {job.exception}")
        update(job, clock.monotonic() - began)
        stage.check_server()
        stage.pause()
    timing.work = clock.monotonic() - began
    update(job, timing.work)
    began = clock.monotonic()
    job.download(target)
    timing.download = clock.monotonic() - began
    timing.correct = digest_of(target) == expected
    return timing
