"""The demo's job, which reads a file."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from rocketjob.base import clock
from rocketjob.jobs.job import Job
from rocketjob.model.fields import field

WORD = re.compile(r"[^\W\d_]{3,}")
CHUNK_BYTES = 1024 * 1024  # a large file is never wholly in memory
WORDS_KEPT = 100  # the most frequent ones of each file, to keep results small


class DemoFileJob(Job):
    """Counts the lines and words of one text file."""

    destroy_on_complete = False
    collect_output = True
    demo_run: str = field(description="which run of the demo it belongs to")
    path: str = field(description="the file")

    def perform(self) -> dict[str, Any]:
        return survey(Path(self.path))


def survey(path: Path) -> dict[str, Any]:
    """Return statistics of a text file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not text.
    """
    began, words = clock.monotonic(), Counter[str]()
    lines = size = longest = 0
    with path.open("rb") as file:
        while chunk := file.readlines(CHUNK_BYTES):
            data = b"".join(chunk)
            if b"\0" in data:
                raise ValueError(f"{path} is not text: it holds zero bytes")
            text = data.decode("utf-8", "replace")
            words.update(WORD.findall(text.lower()))
            lines, size = lines + len(chunk), size + len(data)
            longest = max(longest, *map(len, text.splitlines() or [""]), 0)
    return {
        "lines": lines,
        "bytes": size,
        "longest_line": longest,
        "words": words.total(),
        "different_words": len(words),
        "frequent": [[word, count] for word, count in words.most_common(WORDS_KEPT)],
        "seconds": round(clock.monotonic() - began, 6),
    }
