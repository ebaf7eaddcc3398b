"""Scripts, styles and icons, served from the package; an address changes with the content.

They are compressed; the pages are not, as each has a secret of its visitor (the CSRF token) beside
what others may have put into it: of these the length of a compressed page tells too much
(https://www.breachattack.com).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"
FOREVER = b"public, max-age=31536000, immutable"


class Assets:
    """The files in `static`, each with a mark of its content for its address."""

    def __init__(self) -> None:
        self.marks = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            for path in FOLDER.iterdir()
            if path.is_file()
        }

    def path(self, name: str) -> str:
        """Return the path of a file; browsers keep it until the content is another."""
        return f"/static/{name}?v={self.marks[name]}"

    def app(self) -> ASGIApp:
        """Return the application that serves them."""
        files = StaticFiles(directory=FOLDER)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_kept(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] == 200:
                    message["headers"] = [*message["headers"], (b"cache-control", FOREVER)]
                await send(message)

            await files(scope, receive, send_kept)

        return GZipMiddleware(serve)
