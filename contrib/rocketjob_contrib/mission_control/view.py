"""`View`: one look at one page, as the functions behind the routes are given it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rocketjob.base import clock
from rocketjob.base.passwords import without_passwords
from rocketjob_contrib.mission_control.access import Identity
from rocketjob_contrib.mission_control.cookies import FLASH, Look, Message, pack, set_cookie
from rocketjob_contrib.mission_control.errors import Forbidden, Missing, WebError
from rocketjob_contrib.mission_control.own_paths import is_own_path
from rocketjob_contrib.mission_control.requests import Form, read_form
from rocketjob_contrib.mission_control.security import CANNOT_STREAM, is_from_script
from rocketjob_contrib.mission_control.templating import shortened
from rocketjob_contrib.mission_control.watch import Sight, page_of, watch_of

if TYPE_CHECKING:
    from rocketjob.server.checks import Finding
    from rocketjob_contrib.mission_control.sections import Section, Tab
    from rocketjob_contrib.mission_control.site import Site

T = TypeVar("T")
RECORDS = "slices.view"
NO_LONGER = "What let you in was revoked, or expired, in the meantime: nothing more is done."
READ_ONLY = "Mission Control is read-only here: nothing can be changed"
HIDDEN = "(hidden, as it may quote a record)"


class View:
    """One look at a page.

    Attributes:
        via: how whoever acts comes in, for the audit.
        prefix: in front of the paths of routes, for the audit.
        request: of Starlette.
        site: what all looks share: settings, sections, templates.
        identity: who looks.
        section: that the route belongs to.
        form: what was posted.
        target: what the view is about, if its route says so.
        now: one moment for the whole page, UTC.
    """

    via = "web"
    prefix = ""

    def __init__(
        self,
        request: Request,
        site: Site,
        identity: Identity,
        section: Section | None,
        form: Form,
        look: Look,
        messages: list[Message],
    ) -> None:
        self.request, self.site, self.identity = request, site, identity
        self.section, self.form, self.look = section, form, look
        self.messages = messages
        self.target: Any = None
        self.now: datetime = clock.now()
        self.said: list[Message] = []  # for the next page
        self.shows_tabs = True
        self._read: dict[str, Any] = {}

    async def receive(self) -> None:
        """Read what was sent."""
        self.form = await read_form(self.request, self.site.settings.max_body)

    # --- asking ------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id in the path."""
        return str(self.request.path_params.get("id", ""))

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters in the URL."""
        return self.request.query_params

    @property
    def is_fragment(self) -> bool:
        """Whether the script asks for a part: not a link for a page, or an open page for itself."""
        is_boosted = self.request.headers.get("hx-boosted") == "true"
        return is_from_script(self.request.headers) and not is_boosted and not self.is_update

    @property
    def is_update(self) -> bool:
        """Whether an open page asks for itself again, for what has changed."""
        return self.request.headers.get("x-live") == "1"

    @property
    def streams(self) -> bool:
        """Whether an open page can be told of changes, instead of asking for them."""
        return not self.request.scope.get(CANNOT_STREAM)

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which times are shown."""
        return ZoneInfo(self.look.zone) if self.look.zone else self.site.settings.zone

    @property
    def read_only(self) -> bool:
        return self.site.settings.read_only

    def may(self, permission: str, target: Any = None) -> bool:
        """Return whether somebody may do something here and now: what is shown goes by it too."""
        if self.read_only and permission in self.site.changing:
            return False
        return self.site.policy.may(self.identity, permission, target)

    def grant_for(self, permission: str) -> str | None:
        """Return what is asked of servers that go on in the name of whoever acts here."""
        grant = self.identity.grant
        return None if grant is None else grant(self.site.policy.needed(self.identity, permission))

    def refusal(self, permission: str) -> Forbidden:
        """Return what to raise for somebody who may not do something: what it would need."""
        if self.read_only and permission in self.site.changing:
            return Forbidden(READ_ONLY)
        return Forbidden(f"That needs the role {self.site.policy.permissions[permission].role}")

    def step(self) -> None:
        """Refuse to go on if whoever acts may not any more: called before each step of a change.

        Raises:
            Forbidden: such as for a token that has been revoked since the request began.
        """
        if self.identity.still is not None and not self.identity.still():
            raise Forbidden(NO_LONGER)

    def steps(self, items: Sequence[T]) -> Iterator[T]:
        """Yield what a change goes through, as long as whoever acts may.

        Raises:
            Forbidden: it says how many have been done.
        """
        for number, item in enumerate(items):
            try:
                self.step()
            except Forbidden as error:
                raise Forbidden(f"{error} {number:,} of {len(items):,} were done") from None
            yield item

    def quoted(self, text: str | None, target: Any = None) -> str:
        """Return what an exception says, if whoever looks may see it: it may quote a record.

        Args:
            target: the job that it is of.
        """
        return HIDDEN if text and not self.may_quote(target) else text or ""

    def may_quote(self, target: Any = None) -> bool:
        """Return whether whoever looks may see, and search, what exceptions say.

        Args:
            target: the job that it is of; None: any job.
        """
        if not self.site.settings.redact_messages:
            return True
        known = RECORDS in self.site.policy.permissions
        return known and self.site.policy.may(self.identity, RECORDS, target)

    def once(self, name: str, read: Callable[[], T]) -> T:
        """Return what `read` returns, read once for this page: all of it shows the same moment."""
        if name not in self._read:
            self._read[name] = read()
        value: T = self._read[name]
        return value

    @property
    def sight(self) -> Sight:
        """What is known of the whole, for all pages: see `watch`; read once for a page."""
        return self.once("sight", watch_of(self.site.memory).sight)

    def page_of(self, cause: Finding) -> str | None:
        """Return the address of the page on which a cause of the verdict can be seen."""
        page = page_of(cause, self.site.has)
        return None if page is None else self.url(page[0], **page[1])

    def look_again(self) -> None:
        """Have the whole be looked at anew, as something has just been changed."""
        watch_of(self.site.memory).forget()
        self._read.pop("sight", None)

    def tabs(self) -> list[Tab]:
        """Return the entries at the side of this page."""
        section = self.section if self.shows_tabs else None
        return section.tabs(self) if section is not None and section.tabs is not None else []

    # --- addresses ---------------------------------------------------------------------------

    def url(self, path: str, **query: Any) -> str:
        """Return the address of a path of Mission Control, wherever that is mounted."""
        return self.site.root(self.request) + self.address(path, **query)

    def address(self, path: str, **query: Any) -> str:
        """Return a path below the mount path with its parameters, without the empty ones."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return path + (f"?{urlencode(given)}" if given else "")

    def asset(self, name: str) -> str:
        """Return the address of a file in `static`."""
        return self.url(self.site.assets.path(name))

    @property
    def path(self) -> str:
        """The path of this page, below the mount path."""
        path: str = self.request.scope["path"]
        return path.removeprefix(self.site.root(self.request)) or "/"

    @property
    def here(self) -> str:
        """This page's path with its parameters, for the way back to it."""
        query = self.request.scope["query_string"].decode("latin-1")
        path = quote(f"/{self.path.lstrip('/')}")  # two slashes would lead to another site
        return path + (f"?{query}" if query else "")

    def back(self, otherwise: str) -> str:
        """Return the path that a form was sent from, if it is one of ours."""
        asked = self.form.get("back") or self.query.get("back") or ""
        return asked if is_own_path(asked) else otherwise

    # --- answering ---------------------------------------------------------------------------

    def say(self, kind: str, text: str, link: str | None = None) -> None:
        """Show a message on the next page: `success`, `warning` or `danger`."""
        self.said.append(Message(kind, text, link))

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page.

        Args:
            template: its name, such as `weather/index.html`.
            values: that it is given, besides `view`.
        """
        text = self.site.templates.render(template, {"view": self, **values})
        return self._with_cookies(HTMLResponse(text, status))

    def failed(self, error: WebError) -> Response:
        """Return the page that says what is wrong, or lead back with a message that does."""
        if isinstance(error, Missing) and error.back is not None:
            self.say("danger", str(error))
            return self.go(error.back)
        text = shortened(str(error), 2000)  # it may quote what was sent
        values = {"title": error.title, "text": text, "links": error.links}
        return self.render("error.html", error.status, **values)

    def part(self, template: str, **values: Any) -> Markup:
        """Return a part of a page; for templates, which are given values of their own."""
        return Markup(self.site.templates.render(template, {"view": self, **values}))

    def go(self, path: str) -> Response:
        """Send the browser on with a GET, so that reloading repeats nothing."""
        return self._with_cookies(RedirectResponse(self.url(path), status_code=303))

    def shown(self, value: Any) -> Any:
        """Return a value as a page may show it: without the passwords of URLs."""
        return without_passwords(value)

    def _with_cookies(self, response: Response) -> Response:
        root = self.site.root(self.request)
        if self.said:
            set_cookie(response, FLASH, pack(self.said, self.site.settings.secret), root)
        elif self.messages and not self.is_update:
            response.delete_cookie(FLASH, path=root or "/", httponly=True, samesite="lax")
        return response
