"""`ApiView`: one request of a program, as the functions behind operations are given it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from starlette.responses import Response

from rocketjob.cli.output import plain
from rocketjob_contrib.mission_control.api import problems
from rocketjob_contrib.mission_control.api.bodies import read_json
from rocketjob_contrib.mission_control.api.operations import PREFIX
from rocketjob_contrib.mission_control.api.problems import Fault, Problem
from rocketjob_contrib.mission_control.cookies import Message
from rocketjob_contrib.mission_control.errors import WebError
from rocketjob_contrib.mission_control.requests import Form
from rocketjob_contrib.mission_control.view import View


@attrs.frozen
class Done:
    """What the view of a page has done.

    Attributes:
        messages: that the next page would show.
        values: that the page was made with, if it was one.
        path: where it leads.
        response: that it has returned, if that is no page: a file, for example.
    """

    messages: list[Message]
    values: Mapping[str, Any]
    path: str | None = None
    response: Response | None = None


class ApiView(View):
    """One request of a program.

    It is also what the view of a page is given, where an operation does the work of that page: then
    what the page would show is kept here, and `by_page` returns it.

    Attributes:
        body: what was sent.
        params: the parameters in the URL, by their types.
    """

    via = "api"
    prefix = PREFIX
    leads_back = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.body: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self._page: Mapping[str, Any] = {}
        self._path: str | None = None
        self._problem: Problem | None = None

    async def receive(self) -> None:
        self.body = await read_json(self.request, self.site.settings.max_body)
        reason = self.body.get("reason")
        self.form = Form([("reason", reason)] if isinstance(reason, str) else [])

    # --- answering ---------------------------------------------------------------------------

    def json(
        self,
        value: Any,
        status: int = 200,
        *,
        etag: str | None = None,
        location: str | None = None,
    ) -> Response:
        """Return a value as JSON, without the passwords of URLs.

        Args:
            etag: the version of it, for If-Match.
            location: the path, below `/api/v1`, of what was made.
        """
        headers = {} if etag is None else {"etag": f'"{etag}"'}
        if location is not None:
            headers["location"] = self.url(PREFIX + location)
        return Response(json.dumps(plain(value)), status, headers, "application/json")

    def nothing(self) -> Response:
        """Return that it is done, and that there is nothing to say of it."""
        return Response(status_code=204)

    def failed(self, error: WebError) -> Response:
        return problems.response(error.status, str(error), getattr(error, "faults", ()))

    def quoted_exception(self, error: dict[str, Any] | None, job: Any) -> dict[str, Any] | None:
        """Return an exception, with its messages only for those who may see them."""
        if error is None:
            return None
        shown = {**error, "message": self.quoted(error.get("message"), job)}
        if "cause" in shown:
            shown["cause"] = self.quoted_exception(shown["cause"], job)
        return shown

    # --- doing what a page does ---------------------------------------------------------------

    def by_page(
        self, do: Callable[[Any], Response], pairs: Iterable[tuple[str, str | None]] = ()
    ) -> Done:
        """Do what the view of a page does with these fields of its form.

        Raises:
            Problem: it shows why it has done nothing.
        """
        reason = [("reason", self.form["reason"])] if "reason" in self.form else []
        self.form = Form([(name, text) for name, text in pairs if text is not None] + reason)
        response = do(self)
        if self._problem is not None:
            raise self._problem
        if self.said and all(message.kind != "success" for message in self.said):
            raise Problem(409, "; ".join(message.text for message in self.said))
        is_page = self._page or self._path is not None
        return Done(self.said, self._page, self._path, None if is_page else response)

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """Keep what a page would be made with; a page that says what is wrong is a problem."""
        if status < 400:
            self._page = values
            return self.nothing()
        found = list(_faults_of(values.get("form")))
        texts = [values.get("text"), values.get("problem"), *_texts_of(values.get("form"))]
        said = [str(text) for text in texts if text]
        said = said or [f"{each.pointer} {each.detail}" for each in found]
        self._problem = Problem(status, "; ".join(said), found)
        return self.failed(self._problem)

    def go(self, path: str) -> Response:
        self._path = path
        return self.nothing()


def _texts_of(form: Any) -> list[Any]:
    """Return what the form of a page says besides its fields."""
    texts = [getattr(form, name, None) for name in ("warning", "error")]
    return [*texts, *getattr(form, "problems", ())]


def _faults_of(form: Any) -> Iterable[Fault]:
    """Yield what the form of a page says beside its fields."""
    for name in ("controls", "own", "properties"):
        for control in getattr(form, name, ()):
            for text in control.errors:
                yield Fault(f"#/{control.name}", text)
