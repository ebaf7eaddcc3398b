"""What a view may raise instead of returning a response."""

from __future__ import annotations


class WebError(Exception):
    """A page that cannot be shown, with the status of HTTP that says so."""

    status = 500
    title = "Something went wrong"
    links: tuple[tuple[str, str], ...] = ()
    """Where to go instead: titles and paths; without any, back to where somebody came from."""


class BadRequest(WebError):
    """What was asked for makes no sense."""

    status, title = 400, "That makes no sense"


class Forbidden(WebError):
    """It may not be done by whoever asks, or by nobody."""

    status, title = 403, "Not allowed"


class Unreadable(WebError):
    """What is stored was written by something else."""

    status, title = 409, "Cannot be read"


class TooLarge(WebError):
    """More was sent than is read."""

    status, title = 413, "Too large"


class Missing(WebError):
    """There is no such thing.

    Args:
        back: the path, below the mount path, where whoever asked is sent with the message; None:
            the message is a page.
    """

    status, title = 404, "Not found"

    def __init__(self, message: str, back: str | None = None) -> None:
        super().__init__(message)
        self.back = back
