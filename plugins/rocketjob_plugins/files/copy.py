"""`CopyFileJob`: copy a file from one place to another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rocketjob import Job, before, field, validate
from rocketjob.base.passwords import has_password
from rocketjob_plugins.batch.streams import (
    FileFormat,
    StreamError,
    open_binary,
    open_lines,
    open_writer,
)
from rocketjob_plugins.batch.streams.file_formats import lines_of
from rocketjob_plugins.batch.streams.known import chosen_streams, file_formats, streams_of
from rocketjob_plugins.batch.streams.names import is_url, library_failed, shown
from rocketjob_plugins.batch.streams.source import fsspec, local_path
from rocketjob_plugins.batch.streams.target import check_address
from rocketjob_plugins.retry import Retry

CHUNK = 256 * 1024


class CopyFileJob(Retry, Job):
    """Copies a file, or `source_data`, to a path or URL, in pieces.

    The target appears only when it is complete; a copy that fails is retried. The file names'
    extensions decide what is decoded and encoded: `a.csv.gz` to `a.csv.zst` is decompressed and
    compressed again. If both say the same, the bytes are copied as they are.

    `source_args` and `target_args` are passed to the library for the URL, for example a password.
    They and `source_data` are stored encrypted, so a job that has one needs `encryption_keys`.
    """

    priority = 30
    retry_limit = 10
    destroy_on_complete = False

    source_url: str | None = field(default=None, user_editable=True, description="a path or URL")
    target_url: str = field(user_editable=True, description="a path or URL")
    source_args: dict[str, Any] | None = field(default=None, encrypted=True)
    target_args: dict[str, Any] | None = field(default=None, encrypted=True)
    source_streams: list[str] | None = field(
        default=None, user_editable=True, description="overrides what the name says"
    )
    target_streams: list[str] | None = field(
        default=None, user_editable=True, description="overrides what the name says"
    )
    pgp_recipients: list[str] | None = field(
        default=None, user_editable=True, description="for whose keys a .pgp target is encrypted"
    )
    source_data: str | bytes | None = field(
        default=None, encrypted=True, description="to write, instead of a source_url"
    )

    # --- validation --------------------------------------------------------------------------

    @validate
    def _one_source(self) -> None:
        if (self.source_url is None) == (self.source_data is None):
            problem = (
                "is required" if self.source_url is None else "and source_data exclude each other"
            )
            self.errors.add("source_url", f"{problem}: give a source_url or source_data")

    @validate
    def _no_secrets_in_urls(self) -> None:
        for name in ("source_url", "target_url"):
            url = getattr(self, name)
            if isinstance(url, str) and is_url(url) and has_password(url):
                args = name.replace("url", "args")
                problem = f"has a password, which would be stored in plain text: give it in {args}"
                self.errors.add(name, problem)

    @validate
    def _target_is_no_web_address(self) -> None:
        if isinstance(self.target_url, str) and "target_url" not in self.errors:
            try:
                check_address(self.target_url)
            except StreamError as error:
                self.errors.add("target_url", str(error))

    @validate
    def _streams_exist(self) -> None:
        for name in ("source_streams", "target_streams"):
            streams = getattr(self, name)
            if isinstance(streams, list):
                try:
                    chosen_streams(None, streams)
                except StreamError as error:
                    self.errors.add(name, str(error))

    @before("save")
    def _describe(self) -> None:
        self.description = self.description or f"Copying to {shown(self.target_url)}"

    # --- work --------------------------------------------------------------------------------

    def perform(self) -> dict[str, int]:
        """Copy; return how many `bytes` were written, before compression."""
        source, target = self._streams()
        with self._open_target() as file, self._writer(file, target) as writer:
            count = 0
            for data in self._pieces(source):
                writer.write(data)
                count += len(data)
        return {"bytes": count}

    def _streams(self) -> tuple[list[str], list[str]]:
        """Return the streams of both sides; none if they are the same."""
        source = chosen_streams(self.source_url, self.source_streams)
        target = chosen_streams(self.target_url, self.target_streams)
        return ([], []) if source == target and self.source_data is None else (source, target)

    def _pieces(self, streams: list[str]) -> Iterator[bytes]:
        if self.source_data is not None:
            data = self.source_data
            yield data.encode() if isinstance(data, str) else data
            return
        with self._open_source() as source:
            if streams and (format := file_formats().get(streams[0])) is not None:
                self._refuse_rows(format)
                with open_lines(source, file_name=self.source_url, streams=streams) as lines:
                    for line in lines:
                        yield f"{line}\n".encode()
                return
            with open_binary(source, file_name=self.source_url, streams=streams) as file:
                while data := file.read(CHUNK):
                    yield data

    def _refuse_rows(self, format: type[FileFormat]) -> None:
        if lines_of(format) is None:
            raise StreamError(
                f"is {format.name}, which is no text: convert it by a ConversionJob",
                file=shown(str(self.source_url)),
            )

    @contextlib.contextmanager
    def _open_source(self) -> Iterator[Any]:
        url = str(self.source_url)
        if not self.source_args or local_path(url) is not None:
            yield url
            return
        try:
            opened = fsspec().open(url, "rb", **self.source_args).open()
        except (OSError, ImportError, ValueError) as error:
            raise library_failed("cannot be opened", error, url) from None
        with opened as file:
            yield file

    @contextlib.contextmanager
    def _open_target(self) -> Iterator[Any]:
        """Yield the target; a remote file with arguments appears at the end of the block."""
        url = self.target_url
        if not self.target_args or local_path(url) is not None:
            yield url
            return
        # Not a shared instance: other writes must not join this transaction.
        system, path = fsspec().core.url_to_fs(url, skip_instance_cache=True, **self.target_args)
        with system.transaction, system.open(path, "wb") as file:
            yield file

    def _writer(self, file: Any, streams: list[str]) -> Any:
        # Bytes that are copied as they are must already be encrypted if the target's name says so.
        as_they_are = self.source_data is None and set(streams_of(self.target_url)) <= {
            *streams_of(self.source_url),
            *chosen_streams(self.source_url, self.source_streams),
        }
        return open_writer(
            file,
            file_name=self.target_url,
            streams=streams,
            pgp_recipients=self.pgp_recipients or (),
            as_it_is=as_they_are and not streams,
        )
