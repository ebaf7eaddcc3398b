"""Reading and writing `.pgp` and `.gpg` files with the program gpg and its keys.

Nothing is ever asked: a key with a passphrase must be known to the gpg agent.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.source import Reader

CHUNK = 64 * 1024
CURES = {  # by a part of what gpg says; the last where it says something else
    "No secret key": "the secret key that it is encrypted for is not here: gpg --import it",
    "skipped: ": "the public key of a recipient is not here: gpg --import it",
    "passphrase": "the key has a passphrase that the gpg agent does not know: unlock it there",
    "": "is it complete, and PGP data?",
}
_KEY = re.compile(r"(?:0x)?(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f ]{40,50}|[0-9A-Fa-f]{16})!?")
_ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_USER = re.compile(r"[^<>]*<[^\s<>@]+@[^\s<>@]+>")
_COMMAND = ["gpg", "--batch", "--no-tty", "--quiet", "--status-fd=2"]


class _Gpg:
    """The program, with what it says on standard error in a file: it never blocks on that."""

    def __init__(self, arguments: Sequence[str], name: str, **pipes: Any) -> None:
        self.name = name
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
        try:
            self.process = subprocess.Popen(
                [*_COMMAND, *arguments], stderr=self._said, bufsize=0, **pipes
            )
        except FileNotFoundError:
            self._said.close()
            raise StreamError(
                "needs the program gpg, which is not installed here: install GnuPG", file=name
            ) from None

    def check(self, doing: str) -> None:
        """Wait for the end.

        Raises:
            StreamError: it failed; with its own words.
        """
        if self.process.wait() == 0:
            return
        self._said.seek(0)
        lines = self._said.read(CHUNK).decode("utf-8", "replace").splitlines()
        words = dict.fromkeys(line.removeprefix("gpg: ") for line in lines if line[:5] == "gpg: ")
        reason = "; ".join(words) or "no reason given"
        cure = next((cure for status, cure in CURES.items() if status in reason), CURES[""])
        raise StreamError(f"gpg cannot {doing} it: {cure} (it says: {reason})", file=self.name)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._said.close()


class Decrypt:
    """Read through `gpg --decrypt`."""

    def __init__(self, below: Reader, name: str) -> None:
        self._below = below
        self._failed: BaseException | None = None
        self._gpg = _Gpg(["--decrypt"], name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._feeder = threading.Thread(target=self._feed, name="rocketjob-gpg", daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        stdin = _pipe(self._gpg.process.stdin)
        try:
            # gpg stops reading where it fails; it says why itself.
            with contextlib.suppress(BrokenPipeError):
                while data := self._below.read(CHUNK):
                    _write_all(stdin.write, data)
        except BaseException as error:
            self._failed = error
        finally:
            with contextlib.suppress(OSError):
                stdin.close()

    def read(self, size: int) -> bytes:
        data = _pipe(self._gpg.process.stdout).read(size)
        if not data:
            self._feeder.join()
            if self._failed is not None:
                raise self._failed
            self._gpg.check("decrypt")
        return data

    def close(self) -> None:
        _pipe(self._gpg.process.stdout).close()
        self._gpg.close()
        self._feeder.join()
        self._below.close()


class Encrypt:
    """Write through `gpg --encrypt`, for the owners of some keys."""

    def __init__(self, write: Callable[[bytes], Any], name: str, recipients: Sequence[str]) -> None:
        if not recipients:
            raise StreamError(
                'is to be encrypted, but for whom? Pass pgp_recipients=["name@example.com"]',
                file=name,
            )
        if isinstance(recipients, str):
            recipients = [recipients]
        exact = [_recipient(each, name) for each in recipients]
        for_whom = [word for each in exact for word in ("--recipient", each)]
        self._write = write
        self._gpg = _Gpg(
            ["--trust-model=always", "--no-auto-key-locate", *for_whom, "--encrypt"],
            name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._failed: BaseException | None = None
        self._drainer = threading.Thread(target=self._drain, name="rocketjob-gpg", daemon=True)
        self._drainer.start()

    def _drain(self) -> None:
        stdout = _pipe(self._gpg.process.stdout)
        try:
            while data := stdout.read(CHUNK):
                self._write(data)
        except BaseException as error:
            self._failed = error
            self._gpg.process.kill()

    def write(self, data: bytes) -> None:
        try:
            _write_all(_pipe(self._gpg.process.stdin).write, data)
        except BrokenPipeError:
            self.finish()
            raise StreamError("gpg stopped early", file=self._gpg.name) from None

    def finish(self) -> None:
        """Write what is left, and check that all went well."""
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._gpg.process.stdin).close()
        self._drainer.join()
        if self._failed is not None:
            raise self._failed
        self._gpg.check("encrypt")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            _pipe(self._gpg.process.stdin).close()
        self._gpg.close()
        self._drainer.join()
        _pipe(self._gpg.process.stdout).close()


def _recipient(given: str, name: str) -> str:
    """Return a recipient so that gpg takes that one alone: a part of a name would do for it."""
    text = str(given).strip()
    if _KEY.fullmatch(text):
        return text.replace(" ", "")
    if _ADDRESS.fullmatch(text):
        return f"<{text}>"
    if _USER.fullmatch(text):
        return text if text[0] == "<" else f"={text}"
    raise StreamError(
        f"{given!r} is not a recipient that means one key: give a whole address, such as "
        "name@example.com, or the fingerprint of the key",
        file=name,
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _write_all(write: Callable[[memoryview], int], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[write(left) :]
