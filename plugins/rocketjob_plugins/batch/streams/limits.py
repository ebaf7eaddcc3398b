"""Against decompression bombs: what a file may unpack to."""

from __future__ import annotations

import attrs

from rocketjob_plugins.batch.streams.errors import StreamError


@attrs.frozen(kw_only=True)
class Limits:
    """Against decompression bombs: what a file may unpack to.

    Attributes:
        max_ratio: unpacked to packed size; gzip reaches 1,032 and text rarely 50.
        ratio_from: unpacked bytes up to which no ratio is too high.
        max_bytes: of the unpacked file.
    """

    max_ratio: float = 1000
    ratio_from: int = 64 * 1024 * 1024
    max_bytes: int = 1024**4

    def check(self, name: str, packed: int, unpacked: int) -> None:
        """Raise StreamError for what cannot be honest data."""
        if unpacked > self.max_bytes:
            raise StreamError(
                f"unpacks to more than {self.max_bytes:,} bytes; if it is meant to, "
                "pass Limits with a higher max_bytes",
                file=name,
            )
        if unpacked > self.ratio_from and unpacked > packed * self.max_ratio:
            raise StreamError(
                f"unpacks to more than {self.max_ratio:g} times its size, as a decompression bomb "
                "does; if it is honest, pass Limits with a higher max_ratio",
                file=name,
            )


LIMITS = Limits()
