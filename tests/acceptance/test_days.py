"""Two days on which the clocks go forward or back, with 200 scheduled jobs."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from rocketjob import Job, now
from rocketjob.cli import make_cli
from rocketjob_plugins.cron import Cron, CronSchedule

ZONES = (
    "America/New_York",  # changes on both days
    "America/New_York",
    "America/Havana",  # at midnight, on the first
    "America/St_Johns",  # half an hour off
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "UTC",
)
RAN = []


class DayJob(Cron, Job):
    def perform(self):
        RAN.append((self.cron_schedule, self.cron_dst, now()))


def expressions(random):
    """Make 200 different ones: fixed hours around the change, and hours of every kind."""
    found = {}
    while len(found) < 200:
        minute = random.choice(("0", "30", "15,45", str(random.randrange(60))))
        hour = random.choice(
            (
                "1",
                "2",
                "2",
                "3",
                "1,2",
                "0-3",
                "1-2",
                "*/3",
                "*",
                str(random.randrange(24)),
                "22-4/2",
            )
        )
        day = random.choice(("* * *", "* * *", "* * Sun", "1,8 * *", "* Mar,Nov *", "* * Sun#1"))
        found[f"{minute} {hour} {day} {random.choice(ZONES)}"] = random.choice(("safe", "literal"))
    return sorted(found.items())


@pytest.mark.parametrize(
    "day",
    [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)],
    ids=["gap", "overlap"],
)
def test_each_runs_exactly_as_cron_next_had_said(rocketjob, day, capsys):
    RAN.clear()
    start, end = day - timedelta(hours=1), day + timedelta(hours=30)
    rocketjob.freeze(start)
    chosen = expressions(random.Random(1))
    wanted = []
    for expression, dst in chosen:
        schedule = CronSchedule(expression, dst=dst)
        for run in schedule.times_after(start):
            if run > end:
                break
            wanted.append((expression, dst, run))
    DayJob.create_many([{"cron_schedule": e, "cron_dst": d} for e, d in chosen])
    # Minute by minute is from one due time to the next: a claim at any time between finds nothing.
    while (due := rocketjob.queue.next_due(now())) is not None and due <= end:
        assert rocketjob.queue.claim(1) == []
        rocketjob.travel(due)
        rocketjob.work_off()
    assert sorted(RAN) == sorted(wanted)
    assert len(wanted) > 400
    assert DayJob.count() == 200
    for expression, dst in random.Random(2).sample(chosen, 5):
        said = cron_next(capsys, expression, dst, start)
        ran = [at for e, d, at in RAN if (e, d) == (expression, dst)]
        assert ran == [at for at in said if at <= end]


def cron_next(capsys, expression, dst, start):
    capsys.readouterr()
    words = ["cron", "next", expression, "--dst", dst, "--from", start.isoformat()]
    with pytest.raises(SystemExit):
        make_cli().main([*words, "--count", "100", "--json"])
    lines = capsys.readouterr().out.splitlines()
    return [datetime.fromisoformat(json.loads(line)["utc"]) for line in lines]
