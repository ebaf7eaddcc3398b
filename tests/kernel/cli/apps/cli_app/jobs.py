"""The job classes of an application, as the command line meets them."""

from datetime import date, timedelta
from typing import TYPE_CHECKING

from rocketjob import Job, after, before, field

if TYPE_CHECKING:
    from datetime import date as checked_date


class CliReportJob(Job):
    destroy_on_complete = False
    username: str
    user_count: int = 0
    tags: list[str] = field(factory=list)
    report_date: date | None = field(default=None, user_editable=True)

    def perform(self):
        self.logger.info("building", username=self.username)
        return {"calculation": 24_000, "for": self.username}


class CliMonthlyReportJob(CliReportJob):
    pass


class CliImportJob(Job):
    destroy_on_complete = False

    def perform(self, file_name: str, *, dry_run: bool = False, wait: timedelta | None = None):
        return f"{file_name} {dry_run} {wait}"


class CliLooseJob(Job):
    destroy_on_complete = False

    def perform(self, *values, **named):
        return [*values, named]


class CliBoomJob(Job):
    message: str = "boom"

    def perform(self):
        raise ValueError(self.message)


class CliExitJob(Job):
    def perform(self):
        raise SystemExit(3)


class CliGuardedJob(Job):
    @before("abort")
    def refuse(self):
        raise RuntimeError("not today")

    def perform(self): ...


class CliFussyJob(Job):
    note: str

    @after("initialize")
    def be_fussy(self):
        if self.note == "fussy":
            raise ZeroDivisionError(self.note)

    def perform(self): ...


class CliSecretJob(Job):
    token: str | None = field(default=None, encrypted=True, user_editable=True)
    pin: int | None = field(default=None, encrypted=True, user_editable=True)

    def perform(self): ...


NOT_A_JOB = 3


class CliUnresolvedJob(Job):
    def perform(self, day: "checked_date | None" = None): ...
