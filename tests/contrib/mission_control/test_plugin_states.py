"""States that plugins bring: listed, counted, coloured, with what leads out of them."""

import pytest

from rocketjob import EventCommand, Job, State, Transition, before, event, hookimpl
from rocketjob_contrib.mission_control.looks import look, symbol
from support.web import as_role, browser, cells, tags, text_of


class WebApproval(Job, abstract=True):
    destroy_on_complete = False
    login: str | None = None

    @event(Transition("queued", "web_approval"))
    def hold(self, *, save=True): ...

    @event(Transition("web_approval", "queued"))
    def web_approve(self, *, reason=None, save=True):
        self.description = reason

    @before("create")
    def _web_hold(self):
        self.hold(save=False)


class WebApprovalPlugin:
    @hookimpl
    def register_states(self):
        command = EventCommand("web_approve", "Let jobs run that wait.", "approved", True)
        return [State("web_approval", "it waits for approval", "yellow", [command])]


class WebTransferJob(WebApproval, Job):
    def perform(self): ...


@pytest.fixture
def approval(rocketjob):
    rocketjob.plugins.register(WebApprovalPlugin(), "web-approval")
    return WebTransferJob.create()


def visit(role="manager"):
    return as_role(role, title=f"with the plugin {id(object())}")


def test_jobs_in_it_are_counted_and_listed(approval):
    page = visit().get("/jobs/web_approval")
    (tab,) = [a for a in tags(page, "a", aria_current="page")]
    assert tab["href"] == "/jobs/web_approval" and "Web approval 1" in text_of(page)
    assert cells(page, "class") == ["web_approval WebTransferJob"]
    assert cells(page, "actions") == ["Web approve"]
    approval.web_approve()
    page = visit().get("/jobs/web_approval")
    assert "No job is in the state web_approval, in which it waits for approval." in text_of(page)


def test_it_has_an_icon_and_the_colour_that_the_plugin_names(approval):
    page = visit().get("/jobs/web_approval")
    (row,) = tags(page, "tr", id=f"row-{approval.id}")
    assert row["class"] == "edge state-paused"  # yellow
    assert symbol("web_approval") == "pending" and "icons.svg" in page.text
    assert (look("of_no_plugin"), symbol("of_no_plugin")) == ("queued", "unknown")


def test_its_command_is_an_action_that_asks_first(approval):
    client, path = visit(), f"/jobs/{approval.id}/web_approve"
    asked = client.get(path)
    assert "Web approve this job?" in text_of(asked)
    assert "Let jobs run that wait." in text_of(asked) and tags(asked, "input", name="reason")
    form = {"state": "web_approval", "reason": "checked", "back": "/jobs/web_approval"}
    client.post(path, data=form)
    page = client.get("/jobs/web_approval")
    assert f"WebTransferJob {approval.id} is approved" in text_of(page)
    assert (approval.reload().state, approval.description) == ("queued", "checked")
    client.post(path, data=form)
    assert f"{approval.id} is queued, since web approve by ada" in text_of(client.get("/jobs"))


def test_its_command_without_a_reason_is_given_none(approval):
    visit().post(f"/jobs/{approval.id}/web_approve", data={"reason": " "})
    assert (approval.reload().state, approval.description) == ("queued", None)


@pytest.mark.parametrize(("role", "status"), [("manager", 303), ("view", 403), ("user", 403)])
def test_its_action_needs_the_role_of_those_that_change_jobs(approval, role, status):
    assert visit(role).post(f"/jobs/{approval.id}/web_approve").status_code == status


def test_a_user_may_with_jobs_of_his_or_her_own(rocketjob):
    rocketjob.plugins.register(WebApprovalPlugin(), "web-approval")
    job = WebTransferJob.create(login="ada")
    assert visit("user").post(f"/jobs/{job.id}/web_approve").status_code == 303


def test_a_job_in_a_state_of_no_plugin_is_shown_and_can_be_ended(rocketjob):
    plugin = WebApprovalPlugin()
    rocketjob.plugins.register(plugin, "web-approval")
    job = WebTransferJob.create()
    rocketjob.plugins.unregister(plugin)
    page = browser().get(f"/jobs/{job.id}")
    assert page.status_code == 200 and "Abort" in text_of(page) and "Destroy" in text_of(page)
    assert "a state of no plugin" in text_of(browser().get(f"/jobs/{job.id}/explain"))
    gone = browser().post(f"/jobs/{job.id}/destroy", data={"back": f"/jobs/{job.id}"})
    assert gone.headers["location"] == "/jobs"


def test_why_it_waits_is_said_on_its_page(approval):
    assert "Why it waits" in text_of(browser().get(f"/jobs/{approval.id}"))
    assert "it waits for approval" in text_of(browser().get(f"/jobs/{approval.id}/explain"))
