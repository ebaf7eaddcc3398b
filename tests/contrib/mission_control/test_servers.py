"""Servers: their lists, what each can be told, and what all are told at once; rows W88 to W95."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest

from rocketjob import Job, Subscriber, now
from rocketjob.server import events, orders
from rocketjob.server.levels import levels
from rocketjob.server.server import Server
from rocketjob.server.subscribers import QuestionSubscriber
from rocketjob_contrib.mission_control.servers import stacks_page
from support.questions import at_work, hear_while_waiting
from support.servers import ended_process
from support.web import as_role, browser, cells, counted_calls, headings, links, tags, text_of

BEAT = {"updated_at": None, "number": 7, "workers": 3, "performing": []}


class ServedJob(Job):
    destroy_on_complete = False

    def perform(self): ...


@pytest.fixture(autouse=True)
def still(rocketjob):
    """Stop the clock: ages of seconds are asserted."""
    rocketjob.freeze()


def server(name="web-1:10", state="running", beat_ago=2, **beat):
    """Store a server that has beaten some seconds ago."""
    made = Server(name=name, started_at=now() - timedelta(hours=3))
    made.state = state
    made.heartbeat = {**BEAT, "updated_at": now() - timedelta(seconds=beat_ago), **beat}
    return made.save()


def dead(name="dead:1", state="running", **beat):
    return server(name, state, beat_ago=61, **beat)


def held_job(by):
    """Store a job that a worker of a server is at."""
    job = ServedJob.create()
    job.start(f"{by.name}:1")
    held = {"claimed_by": f"{by.incarnation}.1", "claim_number": 1}
    Job.collection().update_one({"_id": job.id}, {"$set": held})
    return job


@pytest.fixture
def heard():
    """What servers hear: the actions of events, each with the id of the server that is meant."""
    listener, said = events.Listener(), []

    class Heard(Subscriber):
        event_name = "server"

        def process_action(self, action, parameters):
            if action != "refresh":  # which announces what its document says
                said.append((action, parameters.get("server_id")))

    listener.read()
    with Heard.subscribed():
        yield lambda: (listener.read(), said)[1]


def buttons(page, id):
    """Return the names of the actions that a list or a page offers for one server."""
    return [
        link.partition("?")[0].rpartition("/")[2]
        for link in links(page)
        if link.startswith(f"/servers/{id}/")
    ]


# --- lists -----------------------------------------------------------------------------------


def test_W88_a_list_of_servers_has_these_columns_and_is_sorted_by_name(rocketjob):
    server("web-2:1", workers=2, performing=["a", "b"])
    server("web-1:1", workers=3)
    page = browser().get("/servers")
    assert headings(page) == ["Name", "Workers", "Busy", "Started", "Last heartbeat", "Actions"]
    assert cells(page, "name") == ["running web-1:1", "running web-2:1"]
    assert cells(page, "workers") == ["3/10", "2/10"]
    assert cells(page, "busy") == ["0", "2"]
    assert cells(page, "started") == ["3h ago"] * 2
    assert cells(page, "heartbeat") == ["2s ago"] * 2


@pytest.mark.parametrize("column", ["name", "workers", "busy", "started", "heartbeat"])
def test_W88_it_is_sorted_both_ways(rocketjob, column):
    server("a:1", beat_ago=9, workers=1, performing=["x"])
    server("b:1", beat_ago=1, workers=9, performing=["x", "y"])
    Server.collection().update_one({"name": "b:1"}, {"$set": {"started_at": now()}})
    client = browser()
    up = cells(client.get(f"/servers?sort={column}"), "name")
    assert up == ["running a:1", "running b:1"]
    assert cells(client.get(f"/servers?sort=-{column}"), "name") == up[::-1]


def test_W88_it_is_searched_by_name_literally_and_in_any_case(rocketjob):
    server("Web.1:1"), server("web-1:1"), server("batch:1")
    client = browser()
    assert cells(client.get("/servers?q=WEB."), "name") == ["running Web.1:1"]
    nothing = client.get("/servers", params={"q": "<script>"})
    assert "No servers match <script>" in text_of(nothing) and "<script>" not in nothing.text
    assert "Show all 3" in text_of(nothing)


def test_W88_pages_of_servers(rocketjob):
    for number in range(12):
        server(f"web-{number:02}:1")
    client = browser()
    assert len(cells(client.get("/servers"), "name")) == 10
    assert cells(client.get("/servers?page=2"), "name") == ["running web-10:1", "running web-11:1"]
    assert "There is no page 3" in text_of(client.get("/servers?page=3"))


def test_W88_the_same_rows_are_there_as_json(rocketjob):
    made = server("web-1:1")
    answer = browser().get("/servers/running.json?draw=3").json()
    assert (answer["draw"], answer["recordsTotal"]) == (3, 1)
    assert answer["data"][0]["id"] == str(made.id)
    assert answer["data"][0]["actions"] == ["pause", "stop"]
    assert browser().get("/servers.json?order[0][column]=9").status_code == 400


def test_W07_W09_the_side_has_every_state_with_its_number_and_marks_the_current(rocketjob):
    for state in ("starting", "running", "running", "paused", "stopping"):
        server(f"{state}-{Server.all().count()}:1", state)
    dead()
    page = browser().get("/servers/paused")
    entries = [
        a["href"]
        for a in tags(page, "a")
        if a.get("href", "").startswith("/servers") and "title" in a and "?" not in a["href"]
    ]
    states = ["starting", "running", "paused", "stopping", "zombie"]
    assert entries[:6] == ["/servers", *(f"/servers/{state}" for state in states)]
    assert "All 6 Starting 1 Running 2 Paused 1 Stopping 1 Zombie 1" in text_of(page)
    assert [a["href"] for a in tags(page, "a", aria_current="page")] == ["/servers/paused"]


def test_R17_numbers_and_rows_of_servers_come_from_one_look_at_the_store(rocketjob):
    server(), dead()
    client = browser()
    with counted_calls() as calls:
        client.get("/servers")
    assert calls == ["rocket_job.servers.find"]


@pytest.mark.parametrize("state", ["running", "paused", "stopping"])
def test_W89_a_server_is_a_zombie_after_four_heartbeats_that_did_not_come(rocketjob, state):
    silent, living = server("silent:1", state, beat_ago=60), server("living:1", state, beat_ago=59)
    Server(name="never:1", state=state).save()
    page = browser().get("/servers/zombie")
    assert cells(page, "name") == ["zombie never:1", "zombie silent:1"]
    assert "never" in cells(page, "heartbeat")
    assert cells(browser().get(f"/servers/{state}"), "name") == [f"{state} living:1"]
    assert f"row-{silent.id}" in page.text and f"row-{living.id}" not in page.text


def test_W89_one_that_starts_is_not_a_zombie(rocketjob):
    server("slow:1", "starting", beat_ago=3600)
    assert cells(browser().get("/servers"), "name") == ["starting slow:1"]


def test_an_empty_list_says_how_to_start_a_server(rocketjob):
    client = browser()
    assert "Start one: rocketjob server" in text_of(client.get("/servers"))
    assert "Every server that is registered sends its heartbeat" in text_of(
        client.get("/servers/zombie")
    )
    assert "Pause all" not in text_of(client.get("/servers"))


# --- one server ------------------------------------------------------------------------------

IN_ROW = {
    "starting": ["stop"],
    "running": ["pause", "stop"],
    "paused": ["resume", "stop"],
    "stopping": ["destroy"],
}


@pytest.mark.parametrize("state", IN_ROW)
def test_W90_a_row_offers_what_its_state_allows(rocketjob, state):
    made = server(state=state)
    page = browser().get("/servers")
    assert buttons(page, made.id) == IN_ROW[state]
    assert ("is stopping" in text_of(page)) == (state == "stopping")


@pytest.mark.parametrize("state", ["running", "paused", "stopping"])
def test_R18_a_zombie_offers_to_be_removed_and_nothing_that_nobody_would_hear(rocketjob, state):
    made = dead(state=state)
    client = browser()
    page = client.get("/servers")
    assert buttons(page, made.id) == ["destroy"] and "Remove and requeue" in text_of(page)
    assert buttons(client.get(f"/servers/{made.id}"), made.id) == ["destroy"]
    for action in ("pause", "resume", "stop", "kill", "thread_dump"):
        answer = client.post(f"/servers/{made.id}/{action}", data={"typed": "KILL"})
        assert answer.status_code == 303
        assert "nothing was done. dead:1 is zombie" in text_of(client.get("/servers"))
    assert made.reload().state == state


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("pause", "running", "paused"),
        ("resume", "paused", "running"),
        ("stop", "running", "stopping"),
        ("stop", "starting", "stopping"),
    ],
)
def test_W92_one_server_is_told_and_the_message_names_it(rocketjob, method, action, before, after):
    made = server(state=before)
    client = browser()
    answer = client.request(method, f"/servers/{made.id}/{action}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/servers")
    assert made.reload().state == after
    assert "web-1:10 has been asked to" in text_of(client.get("/servers"))


def test_W92_kill_is_an_event_that_only_this_server_obeys(rocketjob, heard):
    made = server()
    client = browser()
    client.post(f"/servers/{made.id}/kill", data={"typed": "kill"})
    assert heard() == [("kill", str(made.id))]
    assert made.reload().state == "stopping"


def test_W93_to_destroy_a_server_that_still_beats_warns_and_lets_it_end_itself(rocketjob, heard):
    made = server(state="stopping")
    job = held_job(made)
    client = browser()
    asked = text_of(client.get(f"/servers/{made.id}/destroy"))
    assert "It still sends its heartbeat: what it runs will be killed, and queued again" in asked
    client.request("DELETE", f"/servers/{made.id}")
    assert heard() == [("kill", str(made.id))]
    assert job.reload().is_running  # not performed by two: who ends it queues it again


def test_R18_a_zombie_is_removed_at_once_and_what_it_ran_is_queued_again(rocketjob, heard):
    gone, living = dead(), server("living:1")
    lost, kept = held_job(gone), held_job(living)
    client = browser()
    asked = text_of(client.get(f"/servers/{gone.id}/destroy"))
    assert "Its last heartbeat was 1m ago" in asked
    client.post(f"/servers/{gone.id}/destroy", data={"state": "zombie"})
    assert "dead:1 has been removed; 1 job or slice that it ran is queued again" in text_of(
        client.get("/servers")
    )
    assert [each.name for each in Server.all()] == ["living:1"]
    assert lost.reload().is_queued and kept.reload().is_running
    assert heard() == [("kill", str(gone.id))]  # if it lives after all, it must end


def test_R18_one_without_any_heartbeat_can_be_removed_too(rocketjob):
    made = Server(name="never:1", state="running").save()
    browser().post(f"/servers/{made.id}/destroy")
    assert not Server.all().exists()


def test_R18_one_that_beats_again_while_it_is_removed_is_left_alone(rocketjob, monkeypatch, heard):
    made = dead()
    job = held_job(made)
    removing = Server.to_document

    def beats(self):
        document = removing(self)
        Server.collection().update_one(
            {"_id": self.id}, {"$set": {"heartbeat.number": 8, "heartbeat.updated_at": now()}}
        )
        return document

    monkeypatch.setattr(Server, "to_document", beats)
    client = browser()
    client.post(f"/servers/{made.id}/destroy")
    monkeypatch.undo()
    assert "nothing was done. dead:1 is running" in text_of(client.get("/servers"))
    assert job.reload().is_running and heard() == []


def test_an_action_is_not_done_if_the_server_is_not_as_it_was_shown(rocketjob):
    made = server(state="paused")
    client = browser()
    client.post(f"/servers/{made.id}/stop", data={"state": "running", "back": "/servers/running"})
    assert made.reload().state == "paused"
    assert "nothing was done. web-1:10 is paused" in text_of(client.get("/servers"))


def test_an_action_asks_first_and_leads_back_to_the_list_as_it_was(rocketjob):
    made = server()
    back = "/servers/running?q=web&size=25"
    client = browser()
    page = client.get(f"/servers/{made.id}/stop", params={"back": back})
    assert "Stop this server?" in text_of(page) and "grace period" in text_of(page)
    assert tags(page, "input", name="state")[0]["value"] == "running"
    form = {"back": tags(page, "input", name="back")[0]["value"]}
    assert client.post(f"/servers/{made.id}/stop", data=form).headers["location"] == back
    part = client.get(f"/servers/{made.id}/stop", headers={"hx-request": "true"})
    assert part.status_code == 303  # it is stopping already


def test_W95_an_unknown_server_is_said_to_be_and_leads_back_to_the_list(rocketjob):
    gone = server()
    gone.delete()
    client = browser()
    for path in (f"/servers/{gone.id}", "/servers/nonsense", f"/servers/{gone.id}/stop"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/servers")
        assert "There is no server with the id" in text_of(client.get("/servers"))
    assert client.post(f"/servers/{gone.id}/stop").headers["location"] == "/servers"


def test_the_page_of_a_server_has_what_is_known_of_it(rocketjob):
    job = held_job(server("other:1"))
    made = server(performing=[str(job.id), f"{job.id}/41"], problems=["a <plugin> is broken"])
    page = browser().get(f"/servers/{made.id}")
    said = text_of(page)
    assert "Workers 3 of 10" in said and "Beats every 15 s" in said
    assert "slice from record 41" in said and f"/jobs/{job.id}" in links(page)
    assert "a <plugin> is broken" in said and "<plugin>" not in page.text
    first = ["pause", "drain", "stop", "kill", "thread_dump", "log_level"]
    assert buttons(page, made.id) == first


def test_a_name_that_is_markup_is_shown_as_it_is(rocketjob):
    made = server("<script>alert(1)</script>:1")
    for path in ("/servers", f"/servers/{made.id}", f"/servers/{made.id}/stop", "/active_workers"):
        page = browser().get(path)
        assert "<script>alert" not in page.text


# --- all servers -----------------------------------------------------------------------------

OF_ALL = {
    "/servers": [
        *("pause", "resume", "drain", "stop", "kill"),
        *("thread_dump", "log_level", "destroy_zombies"),
    ],
    "/servers/starting": ["pause", "stop", "kill"],
    "/servers/running": ["pause", "drain", "stop", "kill", "destroy_zombies"],
    "/servers/paused": ["resume", "drain", "destroy_zombies"],
    "/servers/stopping": ["destroy_zombies"],
    "/servers/zombie": ["destroy_zombies"],
}


@pytest.mark.parametrize("path", OF_ALL)
def test_W91_W94_each_list_offers_these_for_all_servers(rocketjob, path):
    server()
    page = browser().get(path)
    marker = "/servers/update_all?server_action="
    offered = [link[len(marker) :].partition("&")[0] for link in links(page) if marker in link]
    assert offered == OF_ALL[path]


@pytest.mark.parametrize(("action", "typed"), [("pause", ""), ("stop", "stop all")])
def test_W91_they_act_on_every_server_whatever_the_list(rocketjob, action, typed):
    made = [server("a:1"), server("b:1"), server("c:1", "stopping")]
    client = browser()
    path = f"/servers/update_all?server_action={action}"
    asked = text_of(client.get(path))
    assert f"{action.capitalize()} all servers? 2 servers" in asked and "a:1 b:1" in asked
    answer = client.patch(path, data={"typed": typed, "back": "/servers/zombie"})
    assert answer.headers["location"] == "/servers/zombie"
    state = {"pause": "paused", "stop": "stopping"}[action]
    assert [each.reload().state for each in made] == [state, state, "stopping"]
    said = text_of(client.get("/servers"))
    assert f"2 servers have been asked to {action}: it takes effect when they hear of it" in said


# --- drained for a deploy ----------------------------------------------------------------------


def test_P36_a_drain_is_asked_for_and_stands_in_the_servers_document(rocketjob):
    made = server(performing=["a", "b"])
    client = browser()
    question = text_of(client.get(f"/servers/{made.id}/drain"))
    assert "finishes what it runs, and then ends: for a deploy" in question
    data = {"state": "running", "minutes": "10"}
    assert client.post(f"/servers/{made.id}/drain", data=data).status_code == 303
    stored = Server.find(made.id)
    assert stored.is_draining and stored.drain_seconds == 600
    path = f"/servers/{made.id}"
    ends = "ends when what it runs is done, or in any case 10m after it was asked."
    assert f"It {ends}" in text_of(browser().get(path))  # another browser, or the same later
    for left, said in (["a", "b"], f"2 in work: it {ends}"), ([], "Nothing is in work, so it ends"):
        beat = {"heartbeat.updated_at": now(), "heartbeat.performing": left}
        beat["heartbeat.draining_at"] = stored.draining_at
        Server.collection().update_one({"_id": made.id}, {"$set": beat})
        assert said in text_of(browser().get(path))
    assert "is draining" in cells(browser().get("/servers/paused"), "actions")[0]
    client.post(f"/servers/{made.id}/resume", data={"state": "paused"})
    stored = Server.find(made.id)
    assert (stored.state, stored.draining_at, stored.drain_seconds) == ("running", None, None)


@pytest.mark.parametrize("minutes", ["x", "0", "-1", "nan", "inf", "1e9", "<b>"])
def test_P36_a_time_that_makes_no_sense_is_said_and_nothing_done(rocketjob, minutes):
    made = server()
    data = {"state": "running", "minutes": minutes}
    answer = browser().post(f"/servers/{made.id}/drain", data=data)
    assert answer.status_code == 422
    assert "Nothing was done: the minutes must be a number" in text_of(answer)
    assert "<b>" not in answer.text
    assert Server.find(made.id).state == "running"


def test_P36_all_are_drained_only_if_that_is_typed(rocketjob):
    made, paused, starting = server("a:1"), server("b:1", "paused"), server("c:1", "starting")
    client, path = browser(), "/servers/update_all?server_action=drain"
    assert "Type DRAIN ALL to confirm" in text_of(client.get(path))
    assert client.post(path, data={"typed": "drain"}).status_code == 422
    assert Server.find(made.id).state == "running"
    assert client.post(path, data={"typed": "drain all"}).status_code == 303
    assert Server.find(made.id).is_draining and Server.find(paused.id).is_draining
    assert Server.find(starting.id).state == "starting"


# --- what they answer ------------------------------------------------------------------------


@pytest.fixture
def asked(rocketjob, monkeypatch):
    return hear_while_waiting(monkeypatch)


@contextmanager
def answering(made, workers=()):
    """Let a server answer, as its supervisor and a worker process with these workers do."""
    by = f"{made.incarnation}.1"
    others = {by: {"pid": 7, "performing": []}}
    with (
        QuestionSubscriber.subscribed(made.incarnation, made.name, others=lambda: others),
        QuestionSubscriber.subscribed(by, f"{made.name}:1", lambda: workers),
    ):
        yield


def test_W92_a_thread_dump_is_on_the_page_with_the_job_of_each_thread_and_its_stack(asked):
    made, job = server(), ServedJob.create()
    here = at_work(job, 3 * 3600, threading.current_thread(), part=41)
    client = browser()
    with answering(made, [here]):
        page = client.post(f"/servers/{made.id}/thread_dump", data={"back": "/servers/running"})
    said = text_of(page)
    assert page.status_code == 200 and "Threads of web-1:10" in said
    assert f"{here.thread.name}: ServedJob, slice from record 41, for 3h" in said
    assert f"/jobs/{job.id}" in links(page) and "/servers/running" in links(page)
    assert "test_servers.py" in said and "web-1:10:1 process" in said
    assert len(tags(page, "details", open=None)) == 1  # of the thread at a job; others are closed
    assert "data-live" not in page.text  # it is not replaced by what there is a moment later


def test_W94_a_thread_dump_of_all_has_each_server_and_names_who_did_not_answer(asked):
    answers, silent = server("a:1"), server("b:1", "paused")
    dead()
    client = browser()
    with answering(answers):
        page = client.post("/servers/update_all?server_action=thread_dump")
    said = text_of(page)
    assert "Threads of all servers" in said and "a:1:1 process" in said
    assert "b:1 did not answer within 2 s" in said and f"/servers/{silent.id}" in links(page)
    assert "dead:1" not in said.partition("Threads of all servers")[2]
    assert 2.0 <= asked[0] <= 4.0


def test_P28_a_thread_dump_says_when_it_was_taken_and_is_a_file_too(asked):
    made, job = server(), ServedJob.create()
    here = at_work(job, 3 * 3600, threading.current_thread(), part=1041)
    client, path = browser(), f"/servers/{made.id}/thread_dump"
    url = "sftp://ada:hunter2@host/in"  # the line that is in the file
    with answering(made, [here]):
        page = client.post(path, data={"back": url})
        assert f"Taken {now():%Y-%m-%d %H:%M:%S} UTC" in text_of(page)
        assert [each["action"] for each in tags(page, "form", method="post")] == [path]
        file = client.post(path, data={"as": "text", "reason": url})
    assert 'filename="threads.txt"' in file.headers["content-disposition"]
    assert file.headers["content-type"].startswith("text/plain")
    assert file.text.startswith(f"Threads of web-1:10, {now():%Y-%m-%d %H:%M:%S} UTC\n")
    assert f": ServedJob {job.id}, slice from record 1,041, for 3h\n" in file.text
    assert "    " in file.text and "test_servers.py" in file.text
    assert "hunter2" not in file.text


def test_P27_the_stack_of_one_worker_is_shown_without_the_others(asked):
    made, job, other = server(), ServedJob.create(), ServedJob.create()
    here = threading.current_thread()
    workers = [at_work(job, 60, here, part=41)]
    client, path = browser(), f"/servers/{made.id}/thread_dump"
    question = client.get(
        path, params={"job": str(job.id), "slice": "41", "back": "/active_workers"}
    )
    hidden = {each["name"]: each["value"] for each in tags(question, "input", type="hidden")}
    assert (hidden["job"], hidden["slice"]) == (str(job.id), "41")
    with answering(made, workers):
        page = client.post(path, data=hidden)
        gone = client.post(path, data={**hidden, "slice": "42"})
        elsewhere = client.post(path, data={"job": str(other.id)})
        answer = client.post(f"/api/v1{path}", json={"job": str(job.id), "slice": 41})
        file = client.post(path, data={"job": str(job.id), "slice": "41", "as": "text"})
    said = text_of(page)
    assert "A worker of web-1:10" in said and "slice from record 41, for 1m" in said
    assert len(tags(page, "details", class_="backtrace")) == 1 and "test_servers.py" in said
    assert "No worker of web-1:10 is at that any more" in text_of(gone)
    assert "No worker of web-1:10 is at that any more" in text_of(elsewhere)
    ((process,),) = [each["processes"] for each in answer.json()["servers"]]
    assert [each["job_id"] for each in process["content"]["threads"]] == [str(job.id)]
    assert file.text.count(str(job.id)) == 1 and "supervisor" not in file.text


def test_a_thread_dump_shows_no_more_threads_than_a_page_can_hold(asked, monkeypatch):
    made = server()
    monkeypatch.setattr(stacks_page, "MOST", 1)
    with answering(made):
        page = browser().post(f"/servers/{made.id}/thread_dump")
    assert len(tags(page, "details")) == 1
    assert "more threads are not shown here: rocketjob servers dump web-1:10 --all" in text_of(page)


def test_stacks_on_a_page_hold_no_password_and_no_markup(asked):
    made = server()
    url = "sftp://ada:hunter2@<b>host</b>/in"  # the line that is quoted on the page
    with answering(made, [at_work(ServedJob(), 1, threading.current_thread())]):
        page = browser().post(f"/servers/{made.id}/thread_dump", data={"back": url})
    assert "hunter2" not in page.text and "<b>host" not in page.text


def test_P29_the_level_of_the_log_is_changed_for_a_while_and_who_answered_is_said(
    asked, monkeypatch
):
    changed = []
    monkeypatch.setattr(levels, "set", lambda *what: changed.append(what))
    made, silent = server("a:1"), server("b:1")
    client = browser()
    form = client.get(f"/servers/{made.id}/log_level")
    assert "until the server ends" in text_of(form)
    assert [each["value"] for each in tags(form, "input", name="minutes")] == ["15"]
    data = {"level": "debug", "logger": "ImportJob", "minutes": "7.5", "state": "running"}
    with answering(made):
        page = client.post(f"/servers/{made.id}/log_level", data=data, follow_redirects=True)
        assert "The level of ImportJob is debug, for 7m 30s: a:1 (2 processes)" in text_of(page)
        assert changed == [("debug", "ImportJob", 450.0)] * 2
        data = {"level": "warn", "minutes": ""}
        path = "/servers/update_all?server_action=log_level"
        page = client.post(path, data=data, follow_redirects=True)
    said = text_of(page)
    assert "The level is warn: a:1 (2 processes)" in said
    assert "b:1 did not answer within 2 s" in said
    assert changed[2:] == [("warn", None, None)] * 2
    assert silent.reload().state == "running"


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "loud"},
        {"level": ""},
        {"logger": "a b"},
        {"logger": "<b>"},
        {"logger": "x" * 200},
        {"minutes": "soon"},
        {"minutes": "nan"},
    ],
)
def test_P29_what_makes_no_sense_is_said_and_nobody_is_asked(asked, wrong):
    made = server()
    data = {"level": "debug", "logger": "", "minutes": "15", "state": "running", **wrong}
    answer = browser().post(f"/servers/{made.id}/log_level", data=data)
    assert answer.status_code == 422
    assert "Nothing was done" in text_of(answer) and "<b>" not in answer.text
    assert asked[0] == 0.0


def test_P29_P36_programs_say_it_in_numbers_and_get_what_was_answered(asked, monkeypatch):
    monkeypatch.setattr(levels, "set", lambda *what: None)
    made, client = server("a:1"), browser()
    with answering(made):
        body = {"level": "debug", "minutes": 1.5}
        answer = client.post(f"/api/v1/servers/{made.id}/log_level", json=body)
    (said,) = answer.json()["servers"]
    assert (said["server"], len(said["processes"]), said["missing"]) == ("a:1", 2, [])
    assert client.post(f"/api/v1/servers/{made.id}/log_level", json={}).status_code == 422
    for minutes, status in ((0, 422), ("10", 422), (10, 200)):
        body = {"action": "drain", "minutes": minutes}
        assert client.post("/api/v1/servers/update_all", json=body).status_code == status
    assert Server.find(made.id).drain_seconds == 600


def test_the_page_of_a_server_says_what_each_worker_does_when_it_is_asked(asked):
    made, job = server(), ServedJob.create()
    job.progress_text = "3 of <10>"
    client = as_role("view", read_only=True)
    assert f"/servers/{made.id}?ask=work" in links(client.get(f"/servers/{made.id}"))
    thread = threading.Thread(name="web-1:10:1 thread 3")
    with answering(made, [at_work(job, 3 * 3600, thread, part=1001)]):
        page = client.get(f"/servers/{made.id}?ask=work")
    said = text_of(page)
    assert "web-1:10:1 thread 3 ServedJob from record 1,001 3h 3 of <10>" in said
    assert f"/jobs/{job.id}" in links(page) and "data-live" not in page.text
    with answering(made):
        assert "No worker is at a job" in text_of(client.get(f"/servers/{made.id}?ask=work"))


def test_a_server_that_does_not_answer_what_it_does_is_said_not_to(asked):
    made = server()
    page = browser().get(f"/servers/{made.id}?ask=work")
    assert page.status_code == 200 and "web-1:10 did not answer within 2 s" in text_of(page)


@pytest.mark.parametrize("state", ["starting", "zombie"])
def test_one_that_could_not_answer_is_not_asked(asked, state):
    made = server(state=state) if state == "starting" else dead()
    client = browser()
    assert f"/servers/{made.id}?ask=work" not in links(client.get(f"/servers/{made.id}"))
    answer = client.get(f"/servers/{made.id}?ask=work")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/servers/{made.id}")
    assert f"is {state}: it would not answer" in text_of(client.get(f"/servers/{made.id}"))
    assert asked == [0.0]


def test_a_server_on_this_machine_whose_process_has_ended_is_dead_at_once(rocketjob):
    made = server("ended:1")
    job = held_job(made)
    Server.collection().update_one({"_id": made.id}, {"$set": {"pid": ended_process()}})
    client = browser()
    assert cells(client.get("/servers/zombie"), "name") == ["zombie ended:1"]
    page = client.get(f"/servers/{made.id}")
    assert "Its process has ended" in text_of(page) and buttons(page, made.id) == []
    if client.get("/active_workers").status_code == 200:
        assert "its server is gone" in client.get("/active_workers").text
    client.post(f"/servers/{made.id}/destroy", data={"state": "zombie"})
    client.post("/servers/update_all?server_action=destroy_zombies")
    assert Server.all().count() == 1 and job.reload().is_running  # its workers may still be at it
    rocketjob.travel(timedelta(seconds=60))
    assert buttons(client.get(f"/servers/{made.id}"), made.id) == ["destroy"]


# --- all of them -----------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "word"), [("stop", "STOP ALL"), ("kill", "KILL ALL")])
@pytest.mark.parametrize("typed", [None, "", "stop", "KILL", "all", "KILL ALL!", "x" * 100_000])
def test_R19_what_ends_all_work_needs_a_word_to_be_typed(rocketjob, heard, action, word, typed):
    made = server()
    client = browser()
    path = f"/servers/update_all?server_action={action}"
    assert f"Type {word} to confirm" in text_of(client.get(path))
    answer = client.post(path, data={} if typed is None else {"typed": typed})
    assert answer.status_code == 422
    assert f"Nothing was done: type {word}" in text_of(answer) and len(answer.text) < 50_000
    assert made.reload().is_new is False and made.state == "running" and heard() == []


def test_R19_kill_all_kills_all_once_the_word_is_typed(rocketjob, heard):
    made = [server("a:1"), server("b:1", "stopping"), dead()]
    client = browser()
    client.post("/servers/update_all?server_action=kill", data={"typed": " Kill  all "})
    assert heard() == [("kill", str(each.id)) for each in made[:2]]
    assert "2 servers have been asked to end at once" in text_of(client.get("/servers"))


def test_R19_one_server_is_killed_only_once_the_word_is_typed(rocketjob, heard):
    made = server()
    answer = browser().post(f"/servers/{made.id}/kill", data={"typed": "KIL"})
    assert answer.status_code == 422 and heard() == []


def test_W91_to_remove_the_dead_leaves_the_living_alone(rocketjob):
    living = server("living:1")
    jobs = [held_job(dead(f"dead-{n}:1")) for n in range(2)] + [held_job(living)]
    client = browser()
    client.post("/servers/update_all?server_action=destroy_zombies")
    assert [each.name for each in Server.all()] == ["living:1"]
    assert [job.reload().state for job in jobs] == ["queued", "queued", "running"]
    assert "dead-0:1 has been removed" in text_of(client.get("/servers"))


@pytest.mark.parametrize("action", OF_ALL["/servers"])
def test_W91_where_no_server_is_meant_it_is_said(rocketjob, action):
    client = browser()
    for method in ("GET", "POST"):
        answer = client.request(method, f"/servers/update_all?server_action={action}")
        assert answer.headers["location"] == "/servers"
        assert "nothing was done. No server is" in text_of(client.get("/servers"))


@pytest.mark.parametrize("action", ["", "explode", "<script>", "__class__", "x" * 10_000])
def test_W95_an_action_that_there_is_not_is_refused(rocketjob, action):
    made = server()
    client = browser()
    answer = client.post("/servers/update_all", params={"server_action": action})
    assert (answer.status_code, answer.headers["location"]) == (303, "/servers")
    page = client.get("/servers")
    assert "Servers cannot be told to" in text_of(page) and "<script>" not in page.text
    assert made.reload().state == "running"


def test_W91_one_that_changed_in_the_meantime_is_named(rocketjob, monkeypatch):
    server("a:1"), server("b:1")
    pause = Server.pause

    def overtaken(self):
        if self.name == "b:1":
            Server.collection().delete_one({"_id": self.id})
        return pause(self)

    monkeypatch.setitem(orders.ORDERS, "pause", overtaken)
    client = browser()
    client.post("/servers/update_all?server_action=pause")
    said = text_of(client.get("/servers"))
    assert "1 server has been asked to pause" in said and "not done for b:1" in said


# --- who may ---------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["manager", "user", "view"])
def test_who_may_not_is_offered_nothing_and_refused(rocketjob, role, heard):
    made = server()
    client = as_role(role)
    page = client.get("/servers")
    assert "Pause all" not in page.text and buttons(page, made.id) == []
    assert buttons(client.get(f"/servers/{made.id}"), made.id) == []
    assert client.post(f"/servers/{made.id}/stop").status_code == 403
    path = "/servers/update_all?server_action=kill"
    assert client.post(path, data={"typed": "KILL ALL"}).status_code == 403
    assert made.reload().state == "running" and heard() == []


def test_read_only_changes_no_server(rocketjob):
    made = dead()
    client = as_role("admin", read_only=True)
    assert "Remove" not in text_of(client.get("/servers/zombie"))
    assert client.post(f"/servers/{made.id}/destroy").status_code == 403
    assert client.patch("/servers/update_all?server_action=destroy_zombies").status_code == 403
    assert Server.all().count() == 1
