"""What is shown by `rocketjob top`, and what its keys do; it knows no terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
from bson import ObjectId

from rocketjob.base import acts, clock
from rocketjob.base.errors import InvalidTransition, NotFound, ValidationError
from rocketjob.base.passwords import brief
from rocketjob.jobs.exception import message_of
from rocketjob.jobs.steering import Stale, as_it_is, steer
from rocketjob.server.verdict import Verdict, unknown
from rocketjob_plugins.top.look import TABS, Looker, Row, Snapshot, Tab

HOW = "rocketjob top"
LONGEST_REASON = 500  # characters, as they are kept


@attrs.frozen
class Deed:
    """Something that a key does with a job."""

    event: str
    title: str
    done: str
    states: tuple[str, ...]


DEEDS = {
    "p": (Deed("pause", "Pause", "is paused", ("running", "queued", "scheduled")),),
    "r": (
        Deed("retry", "Retry", "is queued again", ("failed",)),
        Deed("resume", "Resume", "goes on", ("paused",)),
    ),
    "a": (Deed("abort", "Abort", "is aborted", tuple(tab.name for tab in TABS)),),
}
SORTS: dict[str, Callable[[Row], object]] = {
    "order": lambda row: 0,  # as they are read
    "longest": lambda row: -row.seconds,
    "class": lambda row: row.name,
}


@attrs.define
class Question:
    """Whether a deed is meant, of which job, and why; done only while that is in its state.

    Attributes:
        typed: the reason, as far as it is typed; None while none is being typed.
    """

    deed: Deed
    id: ObjectId
    name: str
    state: str
    typed: str | None = None

    @property
    def job(self) -> str:
        return f"{self.name} {self.id}"


@attrs.define
class Desk:
    """The state of the view: the last look, the list and job that are chosen, and a question.

    A look and a deed ask the store, which may take long: `press` and what is shown never do, but
    `look` and `work` do, which are for a thread of their own.

    Attributes:
        snapshot: of the last look that succeeded; None before the first.
        failed: why the last look did not succeed.
        message: what became of the last deed, or why there was none.
        reason: given with the command, for deeds without one of their own.
    """

    by: str | None = None
    reason: str | None = None
    snapshot: Snapshot | None = None
    failed: str | None = None
    tab: Tab = TABS[0]
    sort: str = "order"
    selected: ObjectId | None = None
    question: Question | None = None
    message: str = ""
    is_help: bool = False
    is_done: bool = False
    wakes: Callable[[], None] = lambda: None
    _looker: Looker = attrs.field(factory=Looker)
    _orders: deque[Question] = attrs.field(factory=deque)

    # --- what is shown -----------------------------------------------------------------------

    @property
    def verdict(self) -> Verdict:
        """The verdict of the last look; UNKNOWN without any, or once that is old."""
        last = self.snapshot
        if self.failed is not None:
            old = f"nothing was seen since {last.at:%H:%M:%S} UTC: " if last else ""
            return unknown(f"{old}{self.failed}", last.at if last else clock.now())
        return last.verdict.now() if last else unknown("looking", clock.now())

    @property
    def rows(self) -> list[Row]:
        """The jobs of the list that is chosen; none until it has been read."""
        last = self.snapshot  # read once: another thread replaces it
        if last is None or last.tab is not self.tab:
            return []
        return sorted(last.rows, key=SORTS[self.sort])  # type: ignore[arg-type]

    @property
    def row(self) -> Row | None:
        """The job that is chosen: the first, if the one that was is not in the list any more."""
        return self.chosen(self.rows)

    def chosen(self, rows: list[Row]) -> Row | None:
        """Return which of these jobs is chosen."""
        return next((row for row in rows if row.id == self.selected), rows[0] if rows else None)

    @property
    def doing(self) -> Question | None:
        """What is being done now, or next; another thread takes it away when it is done."""
        try:
            return self._orders[0]
        except IndexError:
            return None

    # --- keys --------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Do what a key means: a character, or the name of a key, such as `up`."""
        if self.question is not None:
            self._answer(self.question, key)
        elif self.is_help:
            self.is_help = False
        elif key == "q":
            self.is_done = True
        elif key in ("?", "h"):
            self.is_help = True
        elif key in ("up", "k", "down", "j"):
            self._move(-1 if key in ("up", "k") else 1)
        elif key in ("left", "right", "tab"):
            self._turn(-1 if key == "left" else 1)
        elif key == "s":
            names = [*SORTS]
            self.sort = names[(names.index(self.sort) + 1) % len(names)]
            self.message = f"sorted by {self.sort}" if self.sort != "order" else "in their order"
        elif key in DEEDS:
            self._ask(DEEDS[key])

    def _move(self, by: int) -> None:
        rows = self.rows
        if (row := self.chosen(rows)) is not None:
            ids = [each.id for each in rows]
            self.selected = ids[min(max(ids.index(row.id) + by, 0), len(ids) - 1)]
            self.message = ""

    def _turn(self, by: int) -> None:
        self.tab = TABS[(TABS.index(self.tab) + by) % len(TABS)]
        self.selected, self.message = None, ""
        self.wakes()

    def _ask(self, deeds: tuple[Deed, ...]) -> None:
        row = self.row
        if row is None:
            self.message = "there is no job here"
            return
        self.selected = row.id  # that it stays, if others come before it
        deed = next((deed for deed in deeds if row.state in deed.states), None)
        if deed is None:
            wanted = " or ".join(each.title.lower() for each in deeds)
            self.message = f"{wanted}: not possible, {row.name} {row.id} is {row.state}"
            return
        stored = "queued" if row.state == "scheduled" else row.state
        self.question, self.message = Question(deed, row.id, row.name, stored), ""

    def _answer(self, question: Question, key: str) -> None:
        if question.typed is not None:
            self._type(question, key)
        elif key == "w":
            question.typed = ""
        elif key == "y":
            self._order(question)
        elif key in ("n", "escape", "q"):
            self.question, self.message = None, "nothing was done"

    def _type(self, question: Question, key: str) -> None:
        typed = question.typed or ""
        if key == "enter":
            self._order(question)
        elif key == "escape":
            question.typed = None
        elif key == "backspace":
            question.typed = typed[:-1]
        elif len(key) == 1 and key.isprintable():
            question.typed = (typed + key)[:LONGEST_REASON]

    def _order(self, question: Question) -> None:
        self.question = None
        self._orders.append(question)
        self.wakes()

    # --- what asks the store -----------------------------------------------------------------

    def look(self) -> None:
        """Look at the store; what cannot be seen is said."""
        try:
            self.snapshot = self._looker.look(self.tab)
            self.failed = None
        except Exception as error:
            self.failed = brief(message_of(error), 200)

    def work(self) -> None:
        """Do what was ordered, each only as it was asked."""
        while self._orders:
            try:
                self.message = self._done(self._orders[0])
            finally:
                self._orders.popleft()

    def _done(self, question: Question) -> str:
        deed, job = question.deed, question.job
        nothing = f"{deed.title}: nothing was done."
        reason = (question.typed or "").strip() or self.reason
        try:
            with acts.acting(self.by, how=HOW, via="command", reason=reason):
                steer(question.id, deed.event, expected=question.state, by=self.by)
        except Stale as error:
            return f"{nothing} {job} {as_it_is(error.job)}"
        except NotFound:
            return f"{nothing} {job} is gone"
        except (InvalidTransition, ValidationError) as error:
            return f"{nothing} {brief(message_of(error), 300)}"
        except Exception as error:  # of the store, or a callback of the class
            why = f"{type(error).__name__}: {brief(message_of(error), 300)}"
            return f"{deed.title}: it is not known whether {job} {deed.done}. {why}"
        return f"{job} {deed.done}"
