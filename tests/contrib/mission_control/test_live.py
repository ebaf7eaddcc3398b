"""Live pages: what an open page is told, and what it gets when it asks for itself again."""

import asyncio
import threading

import pytest

from rocketjob import Job
from rocketjob.base.errors import StoreUnavailable
from rocketjob.store import context
from rocketjob_contrib.mission_control import live
from rocketjob_contrib.mission_control.live import AWAY, CHANGED, Pulse, stream
from support.web import browser, cells, tags, text_of


class LiveJob(Job):
    destroy_on_complete = False

    def perform(self): ...


def listen(pulse, count, act=lambda: None):
    """Return what a page is told: the first `count` events after `act` is done."""

    async def read():
        events, heard = stream(pulse), []
        await anext(events)
        await asyncio.get_running_loop().run_in_executor(None, act)
        while len(heard) < count:
            text = await asyncio.wait_for(anext(events), 30)
            heard += [text.split()[1]] if text.startswith("event:") else []
        await events.aclose()
        return heard

    return asyncio.run(read())


def end_of(pulse):
    """Wait for the thread to notice that nobody listens."""
    for thread in threading.enumerate():
        if thread.name == "web-live":
            thread.join(30)
    return not pulse.watches


def test_an_open_page_is_told_of_a_change(rocketjob):
    pulse = Pulse(0.01)
    assert listen(pulse, 1, LiveJob.create) == [CHANGED]
    assert end_of(pulse)


def test_one_thread_watches_for_all_pages(rocketjob):
    pulse = Pulse(0.01)

    async def look():
        pages = [stream(pulse) for _ in range(50)]
        for page in pages:
            await anext(page)
        watching = sum(thread.name == "web-live" for thread in threading.enumerate())
        await asyncio.get_running_loop().run_in_executor(None, LiveJob.create)
        told = [(await asyncio.wait_for(anext(page), 30)).split()[1] for page in pages]
        for page in pages:
            await page.aclose()
        return watching, told

    assert asyncio.run(look()) == (1, [CHANGED] * 50)
    assert end_of(pulse)


def test_a_store_that_goes_away_is_told_and_watched_again(rocketjob, monkeypatch):
    pulse = Pulse(0.01)
    store = context.current().store
    lost = StoreUnavailable("the disk is gone")

    def fail(mark, timeout, interrupt=None):
        raise lost

    monkeypatch.setattr(store, "wait_for_change", fail)
    assert listen(pulse, 2) == [AWAY, AWAY]
    monkeypatch.undo()
    assert listen(pulse, 1, LiveJob.create)[-1] in (AWAY, CHANGED)
    assert end_of(pulse)


def test_pages_hear_at_once_that_a_store_is_back_and_the_log_says_once_that_it_went(
    rocketjob, monkeypatch, caplog
):
    pulse, store = Pulse(0.01), context.current().store
    looks = iter([StoreUnavailable("gone"), StoreUnavailable("gone"), None])

    def look(mark, timeout, interrupt=None):
        if (error := next(looks, None)) is not None:
            raise error
        return False  # nothing has been written meanwhile

    monkeypatch.setattr(store, "wait_for_change", look)
    assert listen(pulse, 3) == [AWAY, AWAY, CHANGED]
    assert end_of(pulse)
    assert caplog.text.count("the store cannot be watched") == 1


def test_a_browser_that_reads_nothing_is_kept_few_events():
    async def fill():
        listener = live.Listener()
        for _ in range(100):
            listener.tell(CHANGED)
        await asyncio.sleep(0)
        told = [await listener.next(0.01) for _ in range(live.MOST_UNREAD + 1)]
        return told

    assert asyncio.run(fill()) == [CHANGED] * live.MOST_UNREAD + [None]


def test_a_page_asks_for_itself_and_gets_only_what_can_change(rocketjob):
    LiveJob.create()
    client = browser()
    whole = client.get("/jobs/queued")
    part = client.get("/jobs/queued", headers={"hx-request": "true", "x-live": "1"})
    assert "<html" not in part.text and "<header" not in part.text
    assert cells(part, "class") == cells(whole, "class") == ["queued LiveJob"]
    assert len(part.content) < 40_000


def test_an_update_leaves_a_message_for_the_page_that_it_is_meant_for(rocketjob):
    job = LiveJob.create()
    client = browser()
    client.post(f"/jobs/{job.id}/pause", data={"back": "/jobs"})
    client.get("/jobs/queued", headers={"hx-request": "true", "x-live": "1"})
    assert "is paused" in text_of(client.get("/jobs"))


def test_who_may_not_look_is_told_nothing(rocketjob):
    assert browser(authorize=lambda request: None).get("/events").status_code == 403
    assert browser(client=("10.0.0.7", 1)).get("/events").status_code == 403


def test_a_store_that_is_away_is_said_to_be_never_shown_as_it_was(rocketjob, monkeypatch):
    def gone(*args, **kwargs):
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(type(context.current().store), "count_by", gone)
    page = browser().get("/jobs/failed")
    assert page.status_code == 503
    assert "State unknown" in text_of(page) and "Nothing has failed" not in text_of(page)


def test_live_pages_can_be_switched_off(rocketjob):
    page = browser(live_seconds=0).get("/jobs")
    assert "hx-sse:connect" not in page.text and "hx-get" not in page.text


def test_a_page_that_has_lost_its_connection_says_since_when_in_its_own_zone(rocketjob):
    client = browser()
    assert tags(client.get("/jobs"), "div", id="pulse", data_zone="UTC")
    client.headers["cookie"] = "rocketjob_look=dark|Pacific/Auckland"
    assert tags(client.get("/jobs"), "div", id="pulse", data_zone="Pacific/Auckland")


class WebOpenJob(Job):
    def perform(self): ...


@pytest.mark.parametrize("page", ["explain", "related", "runs"])
def test_an_open_page_of_a_part_stays_a_page(rocketjob, page):
    path = f"/jobs/{WebOpenJob.create().id}/{page}"
    asks = {"HX-Request": "true"}
    assert "<main" not in browser().get(path, headers=asks).text
    for again in ({"X-Live": "1"}, {"HX-Boosted": "true"}):
        assert "<main" in browser().get(path, headers=asks | again).text
