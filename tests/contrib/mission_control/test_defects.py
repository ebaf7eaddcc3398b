"""Defects of the original that are not to come back; the ids R.. are those of the design.

R04, R05, R06 are in `test_actions`, R11, R15, R16 in `test_job_page`, R12 also in `test_job_lists`,
R13 also in `test_access`.
"""

import re
import runpy
from pathlib import Path

from rocketjob import Job
from rocketjob_contrib.mission_control.jobs import list_page
from rocketjob_plugins.dirmon.entry import DirmonEntry
from support.web import as_role, browser, cells, tags, text_of


class DefectJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class DefectFileJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...

    def upload(self, stream, **options): ...


class DefectOtherFileJob(DefectFileJob): ...


def test_R09_directories_can_be_sorted_by_job_class(rocketjob):
    for name, job_class in (("a", "DefectOtherFileJob"), ("b", "DefectFileJob")):
        DirmonEntry.create(name=name, pattern=f"/in/{name}/*", job_class_name=job_class)
    page = browser().get("/dirmon_entries?sort=class")
    assert cells(page, "class") == ["DefectFileJob", "DefectOtherFileJob"]
    page = browser().get("/dirmon_entries?sort=-class")
    assert cells(page, "class") == ["DefectOtherFileJob", "DefectFileJob"]


def test_R12_counting_what_is_searched_for_stops_at_a_bound(rocketjob, monkeypatch):
    DefectJob.create_many({} for _ in range(15))
    monkeypatch.setattr(list_page, "COUNTED", 11)
    asked = []
    collection = type(Job.collection())
    count = collection.count_documents

    def spy(self, filter, **options):
        asked.append((str(filter), options.get("limit")))
        return count(self, filter, **options)

    monkeypatch.setattr(collection, "count_documents", spy)
    page = browser().get("/jobs?q=defect")
    assert "1 to 10 of 12" in text_of(page)  # as far as it was counted
    assert [limit for filter, limit in asked if "$regex" in filter] == [12]


def test_R13_every_route_names_a_permission_that_the_policy_knows(rocketjob):
    site = browser().app.state.site
    assert site.routes
    for _, route in site.routes:
        assert route.permission in site.policy.permissions, route.path
        assert route.permission != "read" or not route.changes, route.path


def test_R17_the_counts_at_the_side_and_the_rows_are_of_the_same_moment(rocketjob):
    DefectJob.create_many({} for _ in range(3))
    page = browser().get("/jobs/queued")
    side = re.search(r'Queued</span><span class="count">(\d+)', page.text).group(1)
    assert side == "3" and "1 to 3 of 3" in text_of(page)
    assert len(cells(page, "class")) == 3


def test_R21_there_is_one_navigation_with_names_for_those_who_do_not_see_it(rocketjob):
    page = as_role("view").get("/jobs/queued")
    navigations = [a["aria-label"] for a in tags(page, "nav")]
    assert navigations == ["Sections", "Jobs"]
    names = re.findall(r'<span class="tab">(\w+)</span>', page.text)
    assert len(names) == len(tags(page, "a", aria_current="page")) + 7


def test_R23_the_time_zone_can_be_chosen(rocketjob):
    page = browser().get("/preferences")
    assert tags(page, "select", name="zone")
    assert "Europe/Berlin" in text_of(page)


def test_every_row_of_the_original_has_a_test():
    rows = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "web_rows.py"))
    assert rows["missing"](rows["tests_by_row"]()) == []
