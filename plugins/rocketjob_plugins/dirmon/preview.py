"""The preview of an entry: which files match now, and what the next scans do with each.

It is made where the files are: servers are asked, with the question `dirmon_preview`. Nothing is
taken, remembered or changed by it, and the entry may be in any state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs
from bson import ObjectId

from rocketjob.base.errors import NotFound, RocketJobError
from rocketjob.base.passwords import without_passwords
from rocketjob.jobs.exception import message_of
from rocketjob.server.questions import Question, Reply, ask_servers
from rocketjob.server.server import Server
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.dirmon.folder import DirmonError, FileState, Problem, shown_name
from rocketjob_plugins.dirmon.job import DirmonJob, check_entry
from rocketjob_plugins.dirmon.verdict import Defer, Refuse, Take, verdict_on

QUESTION = "dirmon_preview"
MOST = 100  # files that are named
SECONDS = 5.0
START, WAIT, PASS, FAIL = "start", "wait", "pass", "fail"
ACTIONS = {
    FAIL: "failing the entry",
    START: "taken by the next scan",
    WAIT: "waiting for a later scan",
    PASS: "passed over",
}
"""What becomes of a file, the most important first."""
NEW = "no scan has seen it yet: it is taken once two scans find it unchanged"
GROWING = "it has changed since the last scan: it may still be growing"
REFUSED = "a plugin has refused it, and is not asked again before it changes"


# --- asking ----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Preview:
    """What servers say of the files of an entry.

    Attributes:
        servers: the names of those that say the same.
        files: of each its `path`, `size` in bytes, `action` (a key of `ACTIONS`) and `why`; of a
            great many the first only.
        counts: how many there are, by action.
        problems: why a scan would fail the entry, or look at nothing.
    """

    servers: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def summary(self) -> str:
        """How many files there are, and what becomes of them."""
        total = sum(self.counts.values())
        if not total:
            return "no file matches"
        parts = [f"{n:,} {ACTIONS[action]}" for action, n in self.counts.items() if n]
        cut = f"the first {len(self.files):,} of " if total > len(self.files) else ""
        return f"{cut}{total:,} {'file' if total == 1 else 'files'}: {', '.join(parts)}"


def ask_for(entry: DirmonEntry, seconds: float = SECONDS) -> tuple[list[Preview], list[str]]:
    """Ask all living servers for the preview of an entry.

    Returns:
        what they answered, the same only once; and a sentence for each that did not.
    """
    living = [
        server
        for server in Server.all().order_by("name")
        if server.state != "starting" and not server.seems_dead()
    ]
    asked = {"entry_id": str(entry.id), "most": MOST}
    replies = ask_servers(living, QUESTION, seconds, asked)
    missing = [sentence for reply in replies for sentence in reply.missing]
    return _merged(replies), missing


def _merged(replies: list[Reply]) -> list[Preview]:
    """Return what was answered: servers with the same files, as on one machine, say the same."""
    found: list[Preview] = []
    for reply in replies:
        for given in reply.given:
            said = given.content["answer"]
            each = Preview(
                servers=(given.name,),
                files=tuple(said["files"]),
                counts=said["counts"],
                problems=tuple(said["problems"]),
            )
            for number, known in enumerate(found):
                if attrs.evolve(known, servers=each.servers) == each:
                    found[number] = attrs.evolve(known, servers=(*known.servers, given.name))
                    break
            else:
                found.append(each)
    return found


# --- answering -------------------------------------------------------------------------------


def question() -> Question:
    """Return what servers can be asked."""
    return Question(QUESTION, preview)


def preview(entry_id: str, most: int = MOST) -> dict[str, Any]:
    """Return what the next scans do with the files that match an entry here and now.

    Raises:
        NotFound: the entry is gone.
    """
    entry = DirmonEntry.where(id=ObjectId(entry_id)).first()
    if entry is None:
        raise NotFound("The entry is gone")
    return Looking(entry, most).look()


class Looking:
    """One look at the files of an entry."""

    def __init__(self, entry: DirmonEntry, most: int) -> None:
        self._entry, self._most = entry, most
        self._monitor = _monitor()
        self._found: dict[str, list[dict[str, Any]]] = {action: [] for action in ACTIONS}
        self._counts: Counter[str] = Counter()

    def look(self) -> dict[str, Any]:
        """Look, and return what is to be stored as the answer."""
        entry, faults, problems = self._entry, list[str](), list[Problem]()
        try:
            check_entry(entry)
        except RocketJobError as error:
            faults.append(message_of(error))
        try:
            for file in entry.files(problems, self._pass):
                self._judge(file)
        except RocketJobError as error:  # such as a folder that is not there
            faults.append(message_of(error))
        faults += [str(each) for each in problems if each.is_folder]
        for each in problems:
            if not each.is_folder:
                self._note(each.path, FAIL, each.why)
        files = [row for action in ACTIONS for row in self._found[action]][: self._most]
        return {
            "files": files,
            "counts": {action: self._counts[action] for action in ACTIONS},
            "problems": [without_passwords(fault) for fault in dict.fromkeys(faults)],
        }

    def _pass(self, path: str, why: str) -> None:
        self._note(shown_name(path), PASS, why)

    def _judge(self, file: FileState) -> None:
        action, why = self._judged(file)
        self._note(shown_name(file.path), action, why, file.size)

    def _judged(self, file: FileState) -> tuple[str, str]:
        """Return what the next scan does with a file, and why; in the order of a scan."""
        monitor = self._monitor
        if file.held:
            return PASS, file.held
        if not (file.immediate or monitor.is_settled(file)):
            return WAIT, GROWING if monitor.has_seen(file) else NEW
        if monitor.was_refused(file):
            return PASS, REFUSED
        if len(self._found[START]) >= self._most:
            return START, ""  # it is not named: nobody is asked about it
        return self._asked(file)

    def _asked(self, file: FileState) -> tuple[str, str]:
        """Ask the plugins, and whether the file could be archived."""
        verdict = verdict_on(self._entry, file)
        if isinstance(verdict, Refuse):
            return PASS, f"a plugin refuses it: {verdict.reason}"
        if isinstance(verdict, Defer):
            return WAIT, f"a plugin defers it: {verdict.reason}"
        try:
            self._entry.archive_of(file)
        except DirmonError as error:
            return FAIL, message_of(error)
        other = verdict.job_class_name if isinstance(verdict, Take) else None
        return START, f"a plugin wants it for {other}" if other else ""

    def _note(self, path: str, action: str, why: str, size: int | None = None) -> None:
        self._counts[action] += 1
        if len(self._found[action]) < self._most:
            row = {"path": without_passwords(path), "size": size, "action": action}
            self._found[action].append({**row, "why": without_passwords(why)})


def _monitor() -> DirmonJob:
    """Return the directory monitor that knows what the last scan has seen; a new one knows nothing.

    One that is at a scan still has what it began with.
    """
    found = DirmonJob.where({"state": {"$in": ["queued", "running"]}}).first()
    return found or DirmonJob()
