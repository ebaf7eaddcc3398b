"""How every list works: search, sorting, pages, and the bounds of each; rows W24 to W31."""

import pytest

from rocketjob import Job
from rocketjob_contrib.mission_control.lists import Column, Count, Found, Listing, asked_of
from support.web import browser, cells, counted_calls, headings, links, tags, text_of


class PagedJob(Job):
    destroy_on_complete = False
    secret_plan: str = "x" * 1000

    def perform(self): ...


class OtherPagedJob(PagedJob): ...


def make(count=12, **values):
    return PagedJob.create_many({"description": f"job {n:02}", **values} for n in range(count))


def test_W24_a_list_is_there_as_json_too(rocketjob):
    make()
    answer = browser().get("/jobs.json?draw=7&start=10&length=10&search[value]=job").json()
    assert (answer["draw"], answer["recordsTotal"], answer["recordsFiltered"]) == (7, 12, 12)
    assert [row["description"] for row in answer["data"]] == ["job 01", "job 00"]
    assert answer["data"][0]["class"] == "PagedJob"


def test_W25_a_page_has_ten_rows_or_as_many_as_asked_for(rocketjob):
    make(30)
    client = browser()
    assert len(cells(client.get("/jobs"), "class")) == 10
    assert len(cells(client.get("/jobs?size=25"), "class")) == 25
    sizes = {link for link in links(client.get("/jobs")) if "size=" in link}
    assert sizes == {"/jobs?size=25", "/jobs?size=50", "/jobs?size=100"}
    assert len(client.get("/jobs.json?length=-1").json()["data"]) == 30


@pytest.mark.parametrize("size", ["0", "-1", "11", "1000000", "x", "1e3", "٣"])
def test_W25_another_number_of_rows_is_refused(rocketjob, size):
    answer = browser().get("/jobs", params={"size": size})
    assert answer.status_code == 400 and "That makes no sense" in text_of(answer)


def test_W26_pages_have_numbers_both_ends_and_a_line_that_says_which_rows(rocketjob):
    make(45)
    page = browser().get("/jobs?page=3")
    assert "21 to 30 of 45" in text_of(page)
    targets = {link for link in links(page) if "page=" in link or link == "/jobs"}
    assert {"/jobs", "/jobs?page=2", "/jobs?page=4", "/jobs?page=5"} <= targets
    assert [
        a["aria-label"] for a in tags(page, "svg", role="img") if "page" in a["aria-label"]
    ] == [
        "First page",
        "Previous page",
        "Next page",
        "Last page",
    ]


def test_W26_a_page_beyond_the_end_says_so_and_leads_back(rocketjob):
    make(12)
    page = browser().get("/jobs?page=9")
    assert page.status_code == 200
    assert "There is no page 9." in text_of(page)
    assert "12 in all" in text_of(page)
    assert "/jobs?page=2" in links(page)


def test_W27_a_title_sorts_up_and_then_down(rocketjob):
    for priority in (30, 10, 20):
        PagedJob.create(priority=priority)
    client = browser()
    page = client.get("/jobs/queued?sort=-priority")
    assert cells(page, "priority") == ["30", "20", "10"]
    assert tags(page, "th", aria_sort="descending")
    assert "/jobs/queued?sort=priority" in links(page)
    assert "/jobs/queued?sort=-priority" in links(client.get("/jobs/queued?sort=priority"))


def test_W27_several_columns_sort_a_list(rocketjob):
    for priority, description in ((20, "b"), (10, "b"), (10, "a")):
        PagedJob.create(priority=priority, description=description)
    page = browser().get("/jobs/queued?sort=-description,priority")
    assert list(zip(cells(page, "description"), cells(page, "priority"), strict=True)) == [
        ("b", "10"),
        ("b", "20"),
        ("a", "10"),
    ]


@pytest.mark.parametrize("sort", ["nonsense", "actions", "$where", "-", "priority"])
def test_W27_a_column_that_cannot_be_sorted_by_is_refused(rocketjob, sort):
    answer = browser().get("/jobs", params={"sort": sort})  # All has no priority
    assert answer.status_code == 400


@pytest.mark.parametrize("index", ["5", "99", "-1", "x"])
def test_W27_a_column_number_outside_the_list_is_refused(rocketjob, index):
    assert browser().get("/jobs.json", params={"order[0][column]": index}).status_code == 400


@pytest.mark.parametrize("text", ["JOB 03", "job 03", "b 03", "  job 03 "])
def test_W28_a_search_finds_a_part_in_any_case(rocketjob, text):
    make()
    page = browser().get("/jobs", params={"q": text})
    assert cells(page, "description") == ["job 03"]
    assert "1 to 1 of 1 that match, of 12" in text_of(page)


@pytest.mark.parametrize("text", [".*", "job.03", "(", "[", "\\", "$", "%", "_"])
def test_W28_special_characters_are_meant_literally(rocketjob, text):
    make()
    PagedJob.create(description=f"it is {text} here")
    page = browser().get("/jobs", params={"q": text})
    assert cells(page, "description") == [f"it is {text} here"]


def test_W28_a_search_looks_at_the_class_too(rocketjob):
    make(3)
    OtherPagedJob.create()
    assert cells(browser().get("/jobs?q=otherpaged"), "class") == ["queued OtherPagedJob"]


def test_W28_a_search_of_ten_megabytes_is_refused(rocketjob):
    answer = browser().get("/jobs", params={"q": "x" * 60_000})
    assert answer.status_code == 400


def test_W29_only_what_the_columns_need_is_read(rocketjob, monkeypatch):
    make(1)
    asked = []
    collection = type(Job.collection())
    find = collection.find

    def spy(self, filter=None, projection=None, **options):
        asked.append(projection)
        return find(self, filter, projection, **options)

    monkeypatch.setattr(collection, "find", spy)
    browser().get("/jobs")
    (projection,) = [p for p in asked if p is not None and "description" in p]
    assert "secret_plan" not in projection and "exception" not in projection


def test_W30_each_row_has_its_state_and_folds_on_a_narrow_screen(rocketjob):
    make(1)
    page = browser().get("/jobs")
    assert tags(page, "tr", class_="edge state-queued")
    assert {a["data-label"] for a in tags(page, "td")} == {
        "Class",
        "Description",
        "Created",
        "Duration",
        "Actions",
    }


def test_W31_no_rows_at_all_and_no_rows_that_match_are_told_apart(rocketjob):
    client = browser()
    nothing = client.get("/jobs")
    assert "There are no jobs yet. Store one:" in text_of(nothing)
    assert "<code>rocketjob enqueue myapp.jobs:ReportJob</code>" in nothing.text
    make(3)
    page = client.get("/jobs?q=nothing+like+it")
    assert "No jobs match nothing like it" in text_of(page)
    assert "Show all 3" in text_of(page)


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=99999999999999999999", "page=1000000"]
)
def test_a_page_that_makes_no_sense_is_refused(rocketjob, query):
    assert browser().get(f"/jobs?{query}").status_code == 400


def test_pages_never_show_a_row_twice_though_all_sort_alike(rocketjob):
    make(35, priority=7)
    client, seen = browser(), []
    for number in range(1, 5):
        page = client.get(f"/jobs/queued?sort=priority&page={number}")
        seen += [a["id"] for a in tags(page, "tr") if "id" in a]
    assert len(seen) == len(set(seen)) == 35


@pytest.mark.parametrize(
    "path", ["/jobs", "/jobs/queued?q=job", "/jobs/running", "/dirmon_entries"]
)
def test_P09_a_list_makes_few_calls_of_the_store(rocketjob, path):
    make(30)
    client = browser()
    with counted_calls() as calls:
        assert client.get(path).status_code == 200
    assert 0 < len(calls) <= 8, calls


def test_P09_counting_stops_where_nobody_reads_on():
    assert str(Count.of(10_000)) == "10,000"
    assert str(Count.of(10_001)) == "10,000+"
    listing = Listing((Column("a", "A", "a"),), ("a",), ("a",))
    asked = asked_of(listing, {"page": "1500"})
    found = Found(asked, [1], Count(20_000), Count.of(10_001), more=True)
    assert found.pages == 1501
    assert found.numbers()[-1] == 1501


def test_the_titles_of_a_list_are_those_of_its_columns(rocketjob):
    make(1)
    assert headings(browser().get("/jobs")) == [
        "Class",
        "Description",
        "Created",
        "Duration",
        "Actions",
    ]
