"""Mission Control in tests: a browser without scripts, and what it sees."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cache
from html import unescape
from html.parser import HTMLParser

from starlette.testclient import TestClient

from rocketjob import Job
from rocketjob.base import clock
from rocketjob.server.verdict import OK, Verdict
from rocketjob.store import context
from rocketjob_contrib.mission_control import Identity, WebSettings, create_app
from rocketjob_contrib.mission_control.watch import Sight, Watch
from rocketjob_plugins.failures import groups_of, look
from rocketjob_plugins.failures.groups import key_of

VOID = {"meta", "link", "input", "br", "hr", "img", "use", "path", "circle", "rect", "line"}


def browser(root_path="", *, client=("127.0.0.1", 40000), sections=None, app=None, **settings):
    """Return a client of Mission Control that follows no redirects by itself."""
    if app is None:
        app = _app(frozenset(settings.items())) if sections is None else None
    app = app or create_app(WebSettings(**settings), sections=sections)
    return TestClient(
        app,
        base_url="http://127.0.0.1",
        client=client,
        root_path=root_path,
        follow_redirects=False,
        raise_server_exceptions=False,
    )


@cache
def _app(settings):
    """Return the application of some settings; it holds nothing of a test."""
    return create_app(WebSettings(**dict(settings)))


def _who(request):
    roles = request.headers["x-roles"].split()
    return Identity(request.headers["x-login"] or None, frozenset(roles))


def as_role(*roles, login="ada", **settings):
    """Return a client of somebody with these roles."""
    client = browser(authorize=_who, **settings)
    client.headers.update({"x-roles": " ".join(roles), "x-login": login or ""})
    return client


def _gap(tag):
    return "" if tag[0] == "<wbr>" else " "


def text_of(response):
    """Return what a page says, without its markup."""
    body = re.sub(r"<wbr>|<(script|style|title)\b.*?</\1>", _gap, response.text, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


class _Finder(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def tags(response, name, /, **wanted):
    """Return the attributes of every tag of a name that has these attributes; `_` for `-`."""
    finder = _Finder()
    finder.feed(response.text)
    wanted = {key.rstrip("_").replace("_", "-"): value for key, value in wanted.items()}
    return [a for t, a in finder.tags if t == name and wanted.items() <= a.items()]


def links(response):
    """Return where the links of a page lead."""
    return [a["href"] for a in tags(response, "a") if "href" in a]


def headings(response):
    """Return the titles of the columns of a list."""
    head = re.search(r"<thead>(.*?)</thead>", response.text, re.S)
    cells = re.findall(r"<th\b[^>]*>(.*?)</th>", head.group(1), re.S) if head else []
    return [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in cells]


def cells(response, key):
    """Return what the rows of a list say in one column."""
    found = re.findall(rf'<td [^>]*class="cell-{key}[ "][^>]*>(.*?)</td>', response.text, re.S)
    return [" ".join(unescape(re.sub(r"<[^>]*>", _gap, cell)).split()) for cell in found]


class WebFailingJob(Job):
    """What the pages of failures are shown with."""

    destroy_on_complete = False
    text: str = "state 'ZZ' in line 1"

    def perform(self): ...


def a_group_of_failures(*texts):
    """Return the key of a group of failed jobs with these messages."""
    for text in texts or ("state 'ZZ' in line 1",):
        WebFailingJob.create(text=text).fail(ValueError(text))
    return key_of("WebFailingJob", "ValueError", (texts or ("state 'ZZ' in line 1",))[0])


@contextmanager
def counted_calls():
    """Count the calls of the store that a page makes, by what is called.

    The whole is looked at for all pages together, see `watch`: that is no page's own.
    """
    store = context.current().store
    calls = []
    original = type(store).collection
    counting = (
        "count_by",
        "count_by_range",
        "claim_many",
        "write_many",
        "commit",
        "collection_names",
    )

    class Counting:
        def __init__(self, collection):
            self._collection = collection

        def __getattr__(self, name):
            value = getattr(self._collection, name)
            if name.startswith(("find", "count", "distinct", "update", "delete", "insert")):
                calls.append(f"{self._collection.name}.{name}")
            return value

    def collection(name):
        return Counting(original(store, name))

    seen = Sight(
        verdict=Verdict(level=OK, at=clock.now()), failures=look(), groups=groups_of(look())
    )
    watched, Watch.sight = Watch.sight, lambda self: seen
    store.collection = collection
    for name in counting:
        _count(store, name, calls)
    try:
        yield calls
    finally:
        Watch.sight = watched
        del store.collection
        for name in counting:
            del store.__dict__[name]


def _count(store, name, calls):
    method = getattr(store, name)

    def counting(*args, **kwargs):
        calls.append(name)
        return method(*args, **kwargs)

    setattr(store, name, counting)
