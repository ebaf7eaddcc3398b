"""Mission Control in a real browser: Debian's chromium, driven by Playwright, and a real server."""

import contextlib
import os
import shutil
import threading
from pathlib import Path

import pytest
import uvicorn

from rocketjob_contrib.mission_control import WebSettings, create_app
from rocketjob_contrib.mission_control.serve import listen

AXE = Path(__file__).parent.parent / "data" / "axe-core-4.14.1" / "axe.min.js"
PANELS = "facts fields exception history slices failures retries"
PARTS = tuple(f"jobs/{name}.html" for name in PANELS.split())
PATIENCE = 60_000  # milliseconds: a machine may be busy, and nothing waits so long if all is well


def needs_chromium():
    """Return the path of the browser; without one the test is skipped, or fails in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        message = "no chromium: apt-get install chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return path


@contextlib.contextmanager
def started_browser():
    """Yield a browser of Playwright's."""
    path = needs_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Served:
    """Mission Control on a port of this machine, in a thread of the test's own process."""

    def __init__(self, **settings):
        self._app = create_app(WebSettings(**settings))
        self._listening = listen("127.0.0.1", 0)
        self.port = self._listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._start()

    def _start(self):
        config = uvicorn.Config(self._app, log_level="warning", lifespan="off")
        config.timeout_graceful_shutdown = 1
        self._server = uvicorn.Server(config)
        run, started = self._server.run, threading.Event()
        self._thread = threading.Thread(
            target=lambda: (started.set(), run(sockets=[self._listening]))
        )
        self._thread.start()
        started.wait()

    def rendered(self):
        """Return a list that gets the name of the template of each page from now on."""
        templates, names = self._app.state.site.templates, []
        render = templates.render

        def noting(name, values):
            if not name.startswith(PARTS):
                names.append(name)
            return render(name, values)

        templates.render = noting
        return names

    def stop(self):
        """End it, with every stream that is open."""
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()


@contextlib.contextmanager
def page_of(browser, width=1280, theme="light", scripts=True, quiet=True):
    """Yield a page; at its end the browser must have said nothing in its console."""
    context = browser.new_context(
        viewport={"width": width, "height": 800 if width > 500 else 844},
        color_scheme=theme,
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    try:
        yield page
        assert not quiet or said == []
    finally:
        context.close()


def look_at(page, width, theme):
    """Look at the same page with a screen of another width and in another theme."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")


def faults_of(page):
    """Return what axe-core finds wrong with a page by WCAG 2.2 AA, as text."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": tags, "resultTypes": ["violations"]}  # what passes is not described
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{fault['id']}: {node['target'][0]}: {node.get('failureSummary', '')}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]
