"""What must hold after any faults: a picture of everything, and what is wrong with it.

No job is lost, doubled, stuck, over its limit or in a wrong state; outputs are whole and in order;
nothing is half done; the metrics agree with the history. What is allowed is what docs/guarantees.md
and docs/metrics.md say: an attempt may be cut short and made again, under a claim of its own, and a
process that is killed takes along what it has counted since its last write.
"""

import contextlib
import threading
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import attrs

from rocketjob.model.record import HISTORY_LIMIT
from rocketjob_plugins.batch.slices import reject_slices
from rocketjob_plugins.dirmon.intake import DROPPED
from rocketjob_plugins.metrics.collections import MINUTES, Counts
from support.fault_jobs import AT_ONCE, BAD, ROWS, FaultsBatchJob

ACTIVE = ("queued", "running", "paused")
BATCHES = ("FaultsBatchJob", "FaultsFileJob")
SERIES = ("FaultsCronJob", "FaultsRestartJob")
LEADS_TO = {
    "queued": {"running", "queued", "aborted", "failed"},
    "running": {"completed", "failed", "queued", "aborted", "running"},
    "failed": {"queued", "aborted"},
    "completed": set(),
    "aborted": set(),
}
COUNTED = {"complete": "completed", "abort": "aborted"}
LIMITS = {  # how many may be active or running at any moment
    "FaultsThrottledJob": (("running",), AT_ONCE),
    "FaultsSingletonJob": (ACTIVE, 1),
    "FaultsCronJob": (ACTIVE, 1),
    "FaultsRestartJob": (ACTIVE, 1),
    "DirmonJob": (ACTIVE, 1),
}


@attrs.define
class Picture:
    """Everything that is left.

    Attributes:
        jobs: as they are stored.
        stored: the class names of the jobs whose creation was confirmed, by id.
        performed: what the jobs have noted, a list of words each.
        inputs: the records of each batch job, in order, by its id or the name of its file.
        outputs: by the id of a batch job, that or the path, its output, and how many rejects.
        counted: by class and outcome: the metrics.
        orderly: the names of worker processes that have ended in an orderly way.
        noticed: what was wrong while it ran.
        left_over: what should be gone.
    """

    jobs: list
    stored: dict
    performed: list
    inputs: dict
    outputs: dict
    counted: Counter
    orderly: set
    noticed: list
    left_over: list


def take(store, folder, stored, inputs, orderly, noticed):
    """Take a picture of a store at which nobody is at work any more."""
    jobs = list(store.collection("rocket_job.jobs").find({}))
    path = Path(folder, "performed")
    performed = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    outputs = {}
    for each in jobs:
        if each["_type"] in BATCHES:
            job = FaultsBatchJob.from_document(each)
            source = job.id if job.upload_file_name is None else job.upload_file_name
            records = [record for slice_ in job.output for record in slice_]
            rejects = reject_slices(job.id).collection.count_documents({})
            outputs[job.id] = str(source), records, rejects
    counted = Counter()
    for minute in store.collection(MINUTES).find({}):
        for name, figures in Counts.load(minute).classes.items():
            for outcome in figures.outcomes:
                counted[name, outcome] += figures.count(outcome)
    return Picture(
        jobs, dict(stored), performed, dict(inputs), outputs, counted, set(orderly), list(noticed),
        list(left_over(store, jobs)),
    )  # fmt: skip


def left_over(store, jobs):
    """Yield what is half done, or belongs to nobody."""
    for job in jobs:
        for key in job:
            if key.startswith("_") and key not in ("_id", "_type"):
                yield f"a half-done unit in {job['_type']} {job['_id']}: {key}"
        if job["_type"] in BATCHES:
            slices = FaultsBatchJob.from_document(job).input.collection
            if number := slices.count_documents({}):
                yield f"{number} slices of {job['_type']} {job['_id']} that nobody has processed"
            for slice_ in slices.find({"state": "failed"}):
                yield why(f"slice {slice_['_id']} of {job['_id']}", slice_["exception"])
    for server in store.collection("rocket_job.servers").find({}):
        yield f"a server that has ended: {server}"
    # A scan that was taken for dead leaves a mark for a day: it may only have been slow.
    for claim in store.collection("rocket_job.dirmon_files").find({"by": {"$ne": DROPPED}}):
        yield f"a file that was claimed and is no job: {claim}"


def why(what, failure):
    """Say why something has failed, in full: a storm is not easily repeated."""
    said = f"why: {what} failed: {failure.get('class_name')}: {failure.get('message')}"
    return "\n".join((said, *failure.get("backtrace", ()), f"cause: {failure.get('cause')}"))


def problems(picture):
    """Return all that is wrong with a picture, as sentences."""
    found = list(picture.noticed) + list(picture.left_over)
    for rule in (lost, ended, histories, doubled, series, own_rules, batches, metrics):
        found += rule(picture)
    return found


def named(job):
    return f"{job['_type']} {job['_id']}"


def events(job, name=None):
    return [each for each in job.get("history", ()) if name in (None, each["event"])]


def lost(picture):
    there = {job["_id"] for job in picture.jobs}
    for id, name in picture.stored.items():
        if id not in there:
            yield f"lost: {name} {id}"


def ended(picture):
    """Each job has come to the end that its class must come to; a series goes on."""
    for job in picture.jobs:
        wanted = {"FaultsTimeoutJob": "failed"}.get(job["_type"], "completed")
        if job["_type"] in (*SERIES, "DirmonJob") and job["state"] == "queued":
            wanted = "queued"
        if job["state"] != wanted:
            stuck = "stuck" if job["state"] in ACTIVE else "wrong"
            yield f"{stuck}: {named(job)} is {job['state']}, not {wanted}"
            if failure := job.get("exception"):
                yield why(named(job), failure)
        if "claimed_by" in job:
            yield f"held: {named(job)} by {job['claimed_by']}"
        if wanted == "failed" and (job.get("exception") or {}).get("class_name") != "JobTimeout":
            yield f"wrong: {named(job)} has no JobTimeout"


def histories(picture):
    """What a job went through can be gone through, and its last claim has ended it, once."""
    for job in picture.jobs:
        history, last = events(job), job.get("claim_number", 0)
        states = ["queued", *(each["state"] for each in history)]
        if len(history) >= HISTORY_LIMIT:
            continue
        for before, after in pairwise(states):
            if after not in LEADS_TO[before]:
                yield f"history: {named(job)} went from {before} to {after}"
        if states[-1] != job["state"]:
            yield f"history: {named(job)} is {job['state']}, its history says {states[-1]}"
        claims = [each["claim"] for each in history if "claim" in each]
        if claims != sorted(claims) or max(claims, default=0) > last:
            yield f"history: {named(job)}, claim {last}, was changed under the claims {claims}"
        ends = [each for each in history if each["event"] in ("complete", "abort")]
        if len(ends) > 1:
            yield f"doubled: {named(job)} has ended {len(ends)} times"
        if ends and (ends[-1] is not history[-1] or ends[-1].get("claim", last) != last):
            yield f"history: {named(job)} was not ended by its last claim"


def doubled(picture):
    """No claim was performed twice, nor a record under the same claim of its slice."""
    for words, number in Counter(map(tuple, picture.performed)).items():
        if number > 1 and words[0] != "row":
            yield f"doubled: performed {number} times: {' '.join(words)}"


def series(picture):
    """Each instance of a series has exactly one successor, and the last one is to come."""
    for name in SERIES:
        members = [job for job in picture.jobs if job["_type"] == name]
        if not members:
            continue
        numbers = sorted(job["number"] for job in members)
        if numbers != list(range(len(numbers))):
            yield f"series: {name} has the instances {numbers}"
        if [job["number"] for job in members if job["state"] in ACTIVE] != numbers[-1:]:
            yield f"series: {name} does not go on with its last instance"


def own_rules(picture):
    """What the classes promise besides."""
    rows = defaultdict(set)
    for words in picture.performed:
        if words[0] == "row":
            rows[words[1]].add(int(words[2]))
    for job in picture.jobs:
        if job["_type"] == "FaultsRetriedJob":
            failed = len(events(job, "fail"))
            if failed != job["fails"] or len(events(job, "retry")) != failed:
                yield f"retries: {named(job)} has failed {failed} times, not {job['fails']}"
        if job["_type"] == "FaultsResumableJob" and job["state"] == "completed":
            missing = set(range(ROWS)) - rows[str(job["_id"])]
            if missing:
                yield f"lost: rows {sorted(missing)} of {named(job)}"


def batches(picture):
    """Output and rejects are all there and in order, and of each file there is one job."""
    jobs_of = defaultdict(list)
    for job in picture.jobs:
        if job["_id"] in picture.outputs:
            source, output, rejects = picture.outputs[job["_id"]]
            name = next((each for each in picture.inputs if source.endswith(each)), None)
            jobs_of[name].append(named(job))
            yield from _output(job, picture.inputs.get(name, []), output, rejects)
    for name, jobs in jobs_of.items():
        if len(jobs) > 1 or name is None:
            yield f"doubled: of {name} there are {', '.join(jobs)}"
    for name in picture.inputs.keys() - jobs_of.keys():
        if name.endswith(".txt"):
            yield f"lost: of the file {name} there is no job"


def _output(job, records, output, rejects):
    wanted = [record.upper() for record in records if not record.endswith(BAD)]
    if output != wanted:
        kind = "order" if sorted(output) == sorted(wanted) else "records"
        yield f"output: {named(job)} has other {kind}: {len(output)} for {len(wanted)}"
    if rejects != len(records) - len(wanted):
        yield f"output: {named(job)} has {rejects} rejects, not {len(records) - len(wanted)}"


def metrics(picture):
    """Nothing is counted that did not happen; what is not counted was lost with its process."""
    happened, losable = Counter(), Counter()
    for job in picture.jobs:
        history = events(job)
        for each, after in pairwise([*history, {"event": None}]):
            outcome = COUNTED.get(each["event"])
            if each["event"] == "fail":
                outcome = "retried" if after["event"] == "retry" else "failed"
            if outcome is not None:
                happened[job["_type"], outcome] += 1
                losable[job["_type"], outcome] += each.get("worker") not in picture.orderly
    for key in happened.keys() | {key for key in picture.counted if key[0].startswith("Faults")}:
        if key[1] not in ("completed", "failed", "retried", "aborted"):
            continue
        counted, actual = picture.counted[key], happened[key]
        if not actual - losable[key] <= counted <= actual:
            least = actual - losable[key]
            yield f"metrics: {' '.join(key)}: {counted} counted, {least} to {actual} in history"


class Watcher:
    """Looks again and again whether more are active than may be, for the length of a block.

    What is so in two looks, one after the other, was so between them: no job of these classes
    becomes active a second time under the same claim.
    """

    def __init__(self, store, every):
        self._jobs, self._every = store.collection("rocket_job.jobs"), every
        self.noticed, self.looks = [], 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        before = self._active()
        while not self._done.wait(self._every):
            now = self._active()
            for name, (_, most) in LIMITS.items():
                if len(both := now[name] & before[name]) > most:
                    self.noticed.append(f"limit: {len(both)} of {name} at once, not {most}: {both}")
            before = now
            self.looks += 1

    def _active(self):
        """Return what is active of each class; nothing where the store is away."""
        found = {name: set() for name in LIMITS}
        active = {"_type": {"$in": list(LIMITS)}, "state": {"$in": list(ACTIVE)}}
        with contextlib.suppress(Exception):
            for each in self._jobs.find(active, {"_type": 1, "state": 1, "claim_number": 1}):
                states, _ = LIMITS[each["_type"]]
                claim = each["claim_number"] if states == ("running",) else None
                if each["state"] in states:
                    found[each["_type"]].add((each["_id"], claim))
        return found

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._done.set()
        self._thread.join()
