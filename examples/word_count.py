"""One job for each file in a folder: count its lines and words.

    python examples/word_count.py /usr/share/doc        # stores the jobs
    cd examples && rocketjob server --app word_count    # runs them
    python examples/word_count.py --results             # what came out

The larger a file, the later its job starts, so that short ones do not have to wait.
"""

import sys
from pathlib import Path

from rocketjob import Job, before


class WordCountJob(Job):
    destroy_on_complete = False
    collect_output = True

    path: str
    size: int = 0

    @before("create")
    def small_files_first(self):
        self.size = Path(self.path).stat().st_size
        self.priority = min(100, 1 + self.size // 10_000)

    def perform(self) -> dict:
        text = Path(self.path).read_text(encoding="utf-8", errors="replace")
        return {"lines": text.count("\n"), "words": len(text.split())}


def store_jobs(folder: str, pattern: str = "*.txt") -> int:
    """Store a job for each file; return how many."""
    files = sorted(path for path in Path(folder).rglob(pattern) if path.is_file())
    return len(WordCountJob.create_many({"path": str(path)} for path in files))


def show_results() -> None:
    for job in WordCountJob.completed().order_by("path"):
        print(f"{job.result['words']:9,} {job.path}")
    for job in WordCountJob.failed():
        print(f"   failed {job.path}: {job.exception.message}")


if __name__ == "__main__":
    if "--results" in sys.argv:
        show_results()
    else:
        print(store_jobs(sys.argv[1] if sys.argv[1:] else "."), "jobs stored")
