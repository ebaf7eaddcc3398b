"""Mistakes that a type checker must find: one in each line marked so, and no other."""

from rocketjob import Document, Job, field, now


class MistakenJob(Job):
    username: str
    limit: int = 1
    note: str | None = field(default=None)

    def perform(self) -> None: ...


class MistakenDocument(Document):
    collection_name = "mistaken"
    name: str


class TypedJob(Job):
    async def perform(self, count: int, *, dry_run: bool = False) -> None: ...


TypedJob.perform_later("5")  # mistake: wrong type of an argument
TypedJob.perform_later(5, dryrun=True)  # mistake: no such argument
TypedJob.perform_later(5, dry_run=True).perform_later()  # mistake: an argument is missing


MistakenJob(username=5)  # mistake: wrong type
MistakenJob(username="x", limit="5")  # mistake: wrong type
MistakenJob(username="x", usrname="x")  # mistake: unknown keyword
MistakenJob("x")  # mistake: positional argument
MistakenJob(username="x", state="failed")  # mistake: set by the system
MistakenJob(username="x", priority="high")  # mistake: wrong type of an inherited field
MistakenJob(username="x", note=5)  # mistake: wrong type of a field()
MistakenJob(username="x").limit.upper()  # mistake: no such method of an int
MistakenJob(username="x").abort(savee=False)  # mistake: unknown argument of an event
MistakenJob(username="x").fail(5)  # mistake: neither text nor exception
MistakenJob.where(5)  # mistake: no filter
MistakenJob(username="x", limit=2, note="n", run_at=now(), priority=5)
MistakenJob(username="x", run_at="tomorrow")  # mistake: neither time nor timedelta
MistakenJob.create(usrname="x", username="x")  # mistake: unknown keyword
MistakenJob.create(username=5)  # mistake: wrong type
MistakenJob.create()  # mistake: a field is missing
MistakenJob.create_if_valid(usrname="x", username="x")  # mistake: unknown keyword
MistakenDocument.create(nam="x")  # mistake: unknown keyword
MistakenDocument.create_if_valid(name=5)  # mistake: wrong type
MistakenJob.create(username="x", expires_at=5)  # mistake: neither time nor timedelta
MistakenJob.perform_later(1)  # mistake: perform takes nothing


class WrongDefaultJob(Job):
    limit: int = "five"  # mistake: wrong type of a default
    other: int = field(default="five")  # mistake: wrong type of a default


async def mistaken() -> None:
    await MistakenJob.create_async(usrname="x", username="x")  # mistake: unknown keyword
    await MistakenJob.create_async(username=5)  # mistake: wrong type
    await MistakenJob.perform_later_async(1)  # mistake: perform takes nothing
    await MistakenJob(username="x").wait_async("5")  # mistake: wrong type
