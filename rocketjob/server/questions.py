"""Questions that servers are asked, and their answers by the names that people know.

    for reply in ask_servers(Server.named("web"), "stacks", seconds=2.0):
        for given in reply.given: print(given.name, given.content["threads"])
        for sentence in reply.missing: print(sentence)

The kernel's own (`stacks`, `work`, `log_level`) are answered by every process of a server: see
`QuestionSubscriber`. Plugins bring others with the hook `register_questions`; those are answered
by the server's supervisor, on a thread of their own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from rocketjob.base.log import Logger
from rocketjob.base.text import relative
from rocketjob.jobs.exception import message_of
from rocketjob.server import answers
from rocketjob.server.answers import Answers
from rocketjob.server.server import Server
from rocketjob.store.context import Plugins

log = Logger("rocketjob.questions")
EVENT = "question"
WAITING = 16  # questions that wait for an earlier one to be answered; any more stay unanswered
KERNEL = ("log_level", "stacks", "work")
NOTHING: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen
class Question:
    """What a server can be asked: what `register_questions` returns.

    Attributes:
        name: which is asked for; as `dirmon_preview`, with the name of the plugin.
        answer: called with the parameters of the question as keyword arguments; it returns values
            that can be stored. An error is the answer: whoever asked is told its message.
    """

    name: str = attrs.field(validator=attrs.validators.matches_re(r"[a-z][a-z0-9_]*"))
    answer: Callable[..., Mapping[str, Any]] = attrs.field(validator=attrs.validators.is_callable())


# --- asking ----------------------------------------------------------------------------------


@attrs.frozen
class Given:
    """What one process answered.

    Attributes:
        name: that people know it by: the server's, of a worker process with its number.
        is_worker: whether it is a worker process, not the supervisor.
        content: the answer, with `pid`; that to the question of a plugin is in `answer`.
    """

    name: str
    is_worker: bool
    content: Mapping[str, Any]


@attrs.frozen
class Reply:
    """What one server answered.

    Attributes:
        server: that was asked.
        given: what its processes answered: the supervisor first.
        silent: the names of the processes that did not answer in time.
        missing: a sentence for each of those, for each that could not answer, for a dead server.
    """

    server: Server
    given: tuple[Given, ...]
    silent: tuple[str, ...]
    missing: tuple[str, ...]


def ask_servers(
    servers: Iterable[Server],
    question: str,
    seconds: float = 5.0,
    parameters: Mapping[str, Any] = NOTHING,
) -> list[Reply]:
    """Ask servers at once, and return what each answered, in their order.

    One whose process is seen to be gone is not waited for.

    Args:
        seconds: that all of them have together.
        parameters: of the question.

    Raises:
        ValueError: a parameter cannot be stored.
    """
    servers = list(servers)
    whom = [server.incarnation for server in servers if not server.is_gone()]
    found = answers.ask(EVENT, question, whom, seconds, {"servers": whom, **parameters})
    known: dict[str, Any] = {}
    for each in found.given.values():
        known |= each.get("others", {})
    return [_reply(server, found, known, seconds) for server in servers]


def _reply(server: Server, found: Answers, known: dict[str, Any], seconds: float) -> Reply:
    given = [
        Given(_name(server, who), "." in who, found.given[who]) for who in _of(server, found.given)
    ]
    return Reply(
        server,
        tuple(each for each in given if "error" not in each.content),
        tuple(_name(server, who) for who in _of(server, found.silent)),
        (*_missing(server, found, known, seconds), *_unable(given)),
    )


def _of(server: Server, named: Iterable[str]) -> list[str]:
    """Return which of these names are the server's: itself first, then its processes."""
    mine = [who for who in named if who.partition(".")[0] == server.incarnation]
    return sorted(mine, key=lambda who: (len(who), who))


def _name(server: Server, who: str) -> str:
    """Return the name that people know a process by."""
    _, dot, number = who.partition(".")
    return server.name + (f":{number}" if dot else "")


def _missing(
    server: Server, found: Answers, known: dict[str, Any], seconds: float
) -> Iterator[str]:
    if server.is_gone():
        yield f"{server.name} is dead: its process {server.pid} has ended"
    for who in _of(server, found.silent):
        why = _why(known.get(who))
        if who == server.incarnation and server.is_zombie():
            why = f": its last heartbeat was {relative(server.heartbeat_at)}"
        yield f"{_name(server, who)} did not answer within {seconds:g} s{why}"


def _why(known: dict[str, Any] | None) -> str:
    if known is None:
        return ""
    performing = ", ".join(known["performing"])
    at = f", at {performing}: a job may hold the interpreter" if performing else ""
    return f" (process {known['pid']}{at})"


def _unable(given: Iterable[Given]) -> Iterator[str]:
    for each in given:
        if "error" in each.content:
            yield f"{each.name} cannot answer: {each.content['error']}"


# --- answering what plugins bring ------------------------------------------------------------


Give = Callable[..., None]
"""Called with the number of a question and the content of its answer."""


class Answerer:
    """Answers the questions of plugins, one after the other, on a thread of its own.

    So one that takes long, as on a share that is away, holds up neither events nor the server. The
    thread is there as soon as something is asked.
    """

    def __init__(self, brought: Sequence[Question]) -> None:
        self._brought = {each.name: each for each in brought}
        self._asked: queue.Queue[tuple[str, str, dict[str, Any], Give]] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def take(self, name: str, question: str, parameters: dict[str, Any], give: Give) -> None:
        """Have a question answered; called by the one thread that reads the events."""
        if name not in self._brought:
            give(question, error=f"no plugin that it has loaded answers {name}")
            return
        try:
            self._asked.put_nowait((name, question, parameters, give))
        except queue.Full:
            log.warning("a question is not answered: too many wait", question=name)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="questions", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self.answer_next()

    def answer_next(self) -> None:
        """Answer the question that has waited longest; wait for one."""
        name, question, parameters, give = self._asked.get()
        try:
            give(question, answer=dict(self._brought[name].answer(**parameters)))
        except Exception as error:
            log.warning("a question cannot be answered", question=name, error=message_of(error))
            try:
                give(question, error=f"{type(error).__name__}: {message_of(error)}")
            except Exception as away:
                log.warning("an answer cannot be stored", question=name, error=message_of(away))


def brought_by(plugins: Plugins) -> list[Question]:
    """Return the questions of all plugins; one whose name is taken is refused."""
    found: dict[str, Question] = {}
    for answer in plugins.answers("register_questions"):
        for each in answer.value:
            if each.name in found or each.name in KERNEL:
                why = f"answers {each.name}, as the kernel or another plugin does already"
                plugins.refuse(answer, "register_questions", why)
            else:
                found[each.name] = each
    return list(found.values())
