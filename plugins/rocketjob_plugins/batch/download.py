"""Download: an output, in the order of the input, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rocketjob_plugins.batch import streams
from rocketjob_plugins.batch.category import OutputCategory
from rocketjob_plugins.batch.slices import OutputSlices

if TYPE_CHECKING:
    from rocketjob_plugins.batch.batch import Batch


def check_complete(job: Batch) -> None:
    # After the last slice, in the callbacks after the batch, the output is whole.
    if job.is_running and (job.record_count is None or job.input.count()):
        raise RuntimeError(f"Cannot download incomplete job: {job!r}. Wait for it: job.wait()")


def records(job: Batch, category: str | OutputCategory) -> Iterator[Any]:
    """Yield the records of an output."""
    check_complete(job)
    found = job.output_category_for(category)
    for slice_ in OutputSlices(job.id, found):
        yield from slice_.records


def download(
    job: Batch,
    target: Any,
    category: str | OutputCategory,
    header_line: str | None,
    stream_names: Sequence[str] | None,
) -> int:
    """Write an output; see `Batch.download`."""
    check_complete(job)
    found = job.output_category_for(category)
    target = target if target is not None else found.file_name
    if target is None:
        raise ValueError(
            f"download: give a file, or set the file_name of the output category {found.name}"
        )
    if isinstance(target, str):
        found.file_name = target
    slices = OutputSlices(job.id, found)
    if slices.serializer.whole:
        return _download_whole(slices, target)
    count = 0
    with streams.open_writer(target, streams=stream_names) as writer:
        header = header_line if header_line is not None else _header(found)
        if header is not None:
            writer.write_lines([header])
        for slice_ in slices:
            lines = slice_.records
            writer.write_lines(lines)
            count += len(lines)
    return count


def _header(category: OutputCategory) -> str | None:
    from rocketjob_plugins.batch.tables import header_of

    return header_of(category)


def _download_whole(slices: OutputSlices, target: Any) -> int:
    """Write slices that are themselves bzip2 streams, as they are; return how many."""
    count = 0
    with streams.open_writer(target, streams=[]) as writer:
        for slice_ in slices:
            writer.write(slice_.records[0])
            count += 1
    return count
