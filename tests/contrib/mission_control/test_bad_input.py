"""Servers and directories: ids that there are not, and a store that goes away."""

import re

import pytest

from rocketjob import Job, now
from rocketjob.base.errors import StoreUnavailable
from rocketjob.server.server import Server
from rocketjob.store import context
from rocketjob_contrib.mission_control import create_app
from rocketjob_plugins.dirmon.entry import DirmonEntry
from support.web import browser, text_of

HOMES = {"servers": "/servers", "directories": "/dirmon_entries"}
ROUTES = sorted(
    (section.name, method, route.path)
    for section, route in create_app().state.site.routes
    if section is not None and section.name in HOMES
    for method in route.methods
)
OF_ONE = [each for each in ROUTES if "{id}" in each[2]]


class WebAwayFileJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...


def made(section):
    if section == "servers":
        beat = {"updated_at": now(), "number": 1, "workers": 1, "performing": []}
        return Server.create(name="away:1", state="running", heartbeat=beat)
    return DirmonEntry.create(pattern="/in/*", job_class_name="WebAwayFileJob")


@pytest.mark.parametrize(
    "id", ["destroyed", "0" * 24, "nonsense", "%FF%FE", "<script>", "9" * 5000]
)
def test_whatever_is_asked_of_an_id_that_there_is_not_leads_back_and_says_so(rocketjob, id):
    client = browser()
    for section, method, path in OF_ONE:
        if id == "destroyed":
            document = made(section)
            document.delete()
            asked = path.replace("{id}", str(document.id))
        else:
            asked = path.replace("{id}", id)
        answer = client.request(method, asked)
        assert (answer.status_code, answer.headers["location"]) == (303, HOMES[section]), path
        page = client.get(HOMES[section])
        assert re.search("There is no (server|entry) with the id", text_of(page)), path
        assert "<script>" not in page.text and len(page.text) < 50_000, path


def gone(*args, **options):
    raise StoreUnavailable("the disk is gone")


@pytest.mark.parametrize("section", sorted(HOMES))
def test_where_the_store_is_away_nothing_is_known_and_nothing_is_done(
    rocketjob, monkeypatch, section
):
    document, client = made(section), browser()
    store = context.current().store
    with monkeypatch.context() as away:
        for name in ("find", "find_one", "count_documents", "insert_one", "update_one"):
            away.setattr(type(store.collection("rocket_job.servers")), name, gone)
        away.setattr(type(store), "count_by", gone)
        for _, method, path in (each for each in ROUTES if each[0] == section):
            if path == "/dirmon_entries/new":
                continue  # an empty form needs no store
            answer = client.request(
                method,
                path.replace("{id}", str(document.id)),
                params={"server_action": "pause"} if path.endswith("update_all") else {},
                data={"typed": "KILL"} if method != "GET" else None,
            )
            assert answer.status_code == 503, f"{method} {path}"
            assert "State unknown" in text_of(answer), f"{method} {path}"
            assert "away:1" not in answer.text, f"{method} {path}"
    assert document.reload().state == document.state


def test_no_list_of_entries_shows_the_password_of_a_url_in_a_name(rocketjob):
    DirmonEntry.create(
        name="from sftp://ada:hunter2@host/in", pattern="/in/*.csv", job_class_name="WebAwayFileJob"
    )
    client = browser()
    for path in ("/dirmon_entries", "/dirmon_entries.json"):
        page = client.get(path).text
        assert "sftp://" in page and "hunter2" not in page, path
