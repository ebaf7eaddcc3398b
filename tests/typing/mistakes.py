"""Mistakes that a type checker must find: one in each line marked so, and no other."""

from rocketjob import Job, field, now


class MistakenJob(Job):
    username: str
    limit: int = 1
    note: str | None = field(default=None)


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


class WrongDefaultJob(Job):
    limit: int = "five"  # mistake: wrong type of a default
    other: int = field(default="five")  # mistake: wrong type of a default
