"""The preview of an entry: which files match now, and what the next scans do with each.

It is made where the files are: servers are asked, with the question `dirmon_preview`. Nothing is
taken, remembered or changed by it. The entry may be in any state, or be a draft that is not stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
from bson import ObjectId

from rocketjob import Job
from rocketjob.base.errors import NotFound, RocketJobError
from rocketjob.base.passwords import without_passwords
from rocketjob.jobs.exception import message_of
from rocketjob.model.registry import lookup
from rocketjob.model.types import decode_any, encode_any
from rocketjob.server.questions import Question, Reply, ask_servers
from rocketjob.server.server import Server
from rocketjob_plugins.dirmon.entry import DirmonEntry
from rocketjob_plugins.dirmon.folder import DirmonError, FileState, Problem, shown_name
from rocketjob_plugins.dirmon.job import DirmonJob, check_entry
from rocketjob_plugins.dirmon.verdict import Defer, Refuse, Take, verdict_on

QUESTION = "dirmon_preview"
DRAFTED = ("pattern", "job_class_name", "properties", "archive_directory", "encoding")
"""The fields of an entry that a draft may have."""
TEXTS = ("pattern", "job_class_name", "archive_directory")
"""Those that are no more than blank, where a form has nothing."""
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
        files: of each its `path`, `size` in bytes, `changed_at` (UTC, or None), `action` (a key of
            `ACTIONS`) and `why`; of a great many the first only.
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


def ask_for(
    entry: DirmonEntry, seconds: float = SECONDS, draft: Mapping[str, Any] | None = None
) -> tuple[list[Preview], list[str]]:
    """Ask all living servers for the preview of an entry.

    Args:
        draft: values of its fields that are yet to be stored; the entry itself may be new.

    Returns:
        what they answered, the same only once; and a sentence for each that did not.
    """
    living = [
        server
        for server in Server.all().order_by("name")
        if server.state != "starting" and not server.seems_dead()
    ]
    asked: dict[str, Any] = {"entry_id": "" if entry.is_new else str(entry.id), "most": MOST}
    if draft is not None:
        asked["draft"] = _sent(entry, draft)
    replies = ask_servers(living, QUESTION, seconds, asked)
    missing = [sentence for reply in replies for sentence in reply.missing]
    return _merged(replies), missing


def _sent(entry: DirmonEntry, draft: Mapping[str, Any]) -> dict[str, Any]:
    """Return a draft as it is sent: as it would be stored, what is encrypted as that."""
    values = {name: draft[name] for name in DRAFTED if name in draft}
    job_class = lookup(str(values.get("job_class_name", entry.job_class_name)).strip(), Job)
    if job_class is not None and isinstance(values.get("properties"), Mapping):
        values["properties"] = job_class.seal_properties(values["properties"])
    sent: dict[str, Any] = encode_any(values)
    return sent


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


def preview(
    entry_id: str, most: int = MOST, draft: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what the next scans do with the files that match an entry here and now.

    Args:
        entry_id: empty for an entry that is new.
        draft: values of its fields that are yet to be stored, as they would be stored.

    Raises:
        NotFound: the entry is gone.
    """
    stored = DirmonEntry.where(id=ObjectId(entry_id)).first() if entry_id else None
    if entry_id and stored is None:
        raise NotFound("The entry is gone")
    entry = stored or DirmonEntry(pattern="", job_class_name="")
    for name, value in decode_any(dict(draft or {})).items():
        if name in DRAFTED:
            setattr(entry, name, "" if value is None and name in TEXTS else value)
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
            for file in entry.files(problems, self._pass) if entry.pattern else ():
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
        self._note(shown_name(file.path), action, why, file.size, _changed_at(file))

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

    def _note(
        self,
        path: str,
        action: str,
        why: str,
        size: int | None = None,
        changed_at: datetime | None = None,
    ) -> None:
        self._counts[action] += 1
        if len(self._found[action]) < self._most:
            row = {"path": without_passwords(path), "size": size, "changed_at": changed_at}
            self._found[action].append({**row, "action": action, "why": without_passwords(why)})


def _changed_at(file: FileState) -> datetime | None:
    """Return when a file was last written to, if what is known of it is a time."""
    if not file.number:
        return None  # of a remote one it may be anything that changes with the file
    try:
        return datetime.fromtimestamp(file.stamp // 10**9, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _monitor() -> DirmonJob:
    """Return the directory monitor that knows what the last scan has seen; a new one knows nothing.

    One that is at a scan still has what it began with.
    """
    found = DirmonJob.where({"state": {"$in": ["queued", "running"]}}).first()
    return found or DirmonJob()
