"""Who may do what: the table of routes against the roles, read-only mode, this machine only."""

import asyncio

import pytest

from rocketjob import Job
from rocketjob.server.server import Server
from rocketjob_contrib.mission_control import Identity, Permission, Policy, Section, create_app
from rocketjob_contrib.mission_control.access import ROLES
from rocketjob_contrib.mission_control.routes import change, get
from rocketjob_plugins.dirmon.entry import DirmonEntry
from support.web import a_group_of_failures, as_role, browser, text_of


class WebGuardedJob(Job):
    destroy_on_complete = False
    pausable = True
    login: str | None = None

    def perform(self): ...


class WebGuardedFileJob(Job):
    upload_file_name: str | None = None

    def perform(self): ...

    def upload(self, stream, **options): ...


# Who may, besides admins: design, table 1.4. Nobody needs to be named for `read`.
ALLOWED = {
    "read": "editor operator manager dirmon user view",
    "jobs.export": "editor operator manager dirmon user view",
    "jobs.create": "",
    "jobs.edit": "editor operator manager",
    "jobs.code": "",
    "jobs.pause": "editor operator manager",
    "jobs.resume": "editor operator manager",
    "jobs.approve": "editor operator manager",
    "jobs.retry": "editor operator manager",
    "jobs.abort": "editor operator manager",
    "jobs.fail": "editor operator manager",
    "jobs.run_now": "editor operator manager",
    "jobs.destroy": "",
    "jobs.capsule": "editor",
    "jobs.capsule_secrets": "",
    "jobs.bulk": "editor operator manager dirmon user",
    "slices.view": "editor",
    "slices.edit": "editor",
    "failures.retry": "editor operator manager",
    "failures.acknowledge": "editor operator manager",
    "schedule.create": "editor operator manager",
    "servers.pause": "editor operator",
    "servers.resume": "editor operator",
    "servers.drain": "editor operator",
    "servers.stop": "editor operator",
    "servers.kill": "editor operator",
    "servers.thread_dump": "editor operator",
    "servers.log_level": "editor operator",
    "servers.destroy": "editor operator",
    "servers.destroy_zombies": "editor operator",
    "servers.all": "editor operator",
    "entries.create": "editor operator manager dirmon",
    "entries.edit": "editor operator manager dirmon",
    "entries.enable": "editor operator manager dirmon",
    "entries.disable": "editor operator manager dirmon",
    "entries.preview": "editor operator manager dirmon",
    "entries.copy": "editor operator manager dirmon",
    "entries.destroy": "",
}
OWN = {"jobs.edit", "jobs.pause", "jobs.resume", "jobs.approve", "jobs.retry", "jobs.abort"}
SITE = create_app().state.site
MATRIX = [
    (section.name, method, route)
    for section, route in SITE.routes
    if section is not None
    for method in route.methods
]


def test_W110_every_permission_has_its_row_in_the_table():
    known = {permission.name for permission in SITE.policy.permissions.values()}
    assert known == set(ALLOWED)
    assert {p.name for p in SITE.policy.permissions.values() if p.own} == OWN


@pytest.mark.parametrize(
    ("section", "method", "route"),
    MATRIX,
    ids=[f"{method} {route.path}" for _, method, route in MATRIX],
)
def test_each_route_answers_each_role_as_the_table_says(rocketjob, section, method, route):
    let_in = {role: _is_let_in(as_role(role), section, method, route) for role in ROLES}
    allowed = {"admin", *ALLOWED[route.permission].split()}
    assert {role for role in ROLES if let_in[role]} == allowed
    read_only = as_role("admin", read_only=True)
    assert _is_let_in(read_only, section, method, route) != _changes(route)


def _is_let_in(client, section, method, route):
    path = route.path.replace("{id}", str(_target(section)))
    status = client.request(method, path).status_code
    assert status < 500
    return status != 403


def _target(section):
    if section == "jobs":
        return WebGuardedJob.create(login="bob").id
    if section == "servers":
        Server.delete_all()
        return Server.create(name="guarded:1").id
    if section == "failures":
        return a_group_of_failures()
    DirmonEntry.delete_all()  # no two may have one pattern
    return DirmonEntry.create(pattern="/in/*", job_class_name="WebGuardedFileJob").id


def _changes(route):
    """Whether a route changes something, or asks whether to."""
    return route.changes or route.permission in SITE.changing


def test_W109_without_a_policy_everybody_on_this_machine_is_an_admin(rocketjob):
    job = WebGuardedJob.create()
    assert browser().post(f"/jobs/{job.id}/destroy").status_code == 303


@pytest.mark.parametrize("client", [("10.0.0.7", 1), ("192.168.1.2", 1), ("2001:db8::1", 1)])
def test_W109_and_nobody_else_is_answered(rocketjob, client):
    answer = browser(client=client).get("/jobs")
    assert answer.status_code == 403
    assert "answers only this machine" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example"])
def test_W109_a_name_that_was_made_to_lead_here_is_not_this_machine(rocketjob, host):
    assert browser().get("/jobs", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_W109_what_a_proxy_asks_for_somebody_else_is_not_this_machine(rocketjob, name):
    assert browser().get("/jobs", headers={name: "127.0.0.1"}).status_code == 403


def test_W108_the_callback_gets_the_request_and_may_be_async(rocketjob):
    seen = []

    async def who(request):
        seen.append(request.url.path)
        return Identity("ada", {"view"})

    assert browser(authorize=who, client=("10.0.0.7", 1)).get("/jobs").status_code == 200
    assert seen == ["/jobs"]


def test_W108_a_callback_that_is_not_async_may_wait_as_it_holds_up_nobody(rocketjob):
    def who(request):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return Identity("ada", {"view"})

    assert browser(authorize=who).get("/jobs").status_code == 200


def test_W108_nobody_is_refused_and_a_wrong_answer_lets_nobody_in(rocketjob):
    assert browser(authorize=lambda request: None).get("/jobs").status_code == 403
    assert browser(authorize=lambda request: {"admin"}).get("/jobs").status_code == 500
    assert browser(authorize=lambda request: 1 / 0).get("/jobs").status_code == 500


def test_W110_an_unknown_role_is_an_error():
    with pytest.raises(ValueError, match="there is no role manger; did you mean manager"):
        Identity("ada", {"manger"})
    with pytest.raises(TypeError, match="not the string 'admin'"):
        Identity("ada", "admin")


def test_W111_somebody_without_roles_reads_everything(rocketjob):
    job = WebGuardedJob.create()
    client = as_role()
    assert client.get("/jobs").status_code == client.get(f"/jobs/{job.id}").status_code == 200
    assert client.post(f"/jobs/{job.id}/pause").status_code == 403


@pytest.mark.parametrize("event", ["pause", "abort"])
def test_W112_a_user_may_change_jobs_of_his_or_her_own(rocketjob, event):
    own, other = WebGuardedJob.create(login="ada"), WebGuardedJob.create(login="bob")
    client = as_role("user")
    assert client.post(f"/jobs/{own.id}/{event}").status_code == 303
    assert client.post(f"/jobs/{other.id}/{event}").status_code == 403
    assert client.post(f"/jobs/{WebGuardedJob.create().id}/{event}").status_code == 403
    assert as_role("user", login=None).post(f"/jobs/{other.id}/{event}").status_code == 403


@pytest.mark.parametrize("event", ["fail", "run_now", "destroy"])
def test_W112_but_not_all_that_can_be_done_with_them(rocketjob, event):
    own = WebGuardedJob.create(login="ada")
    assert as_role("user").post(f"/jobs/{own.id}/{event}").status_code == 403


class NightPolicy(Policy):
    """Nobody destroys anything."""

    def may(self, identity, permission, target=None):
        return permission != "jobs.destroy" and super().may(identity, permission, target)


def test_W113_the_policy_can_be_replaced(rocketjob):
    job = WebGuardedJob.create()
    client = as_role("admin", policy=NightPolicy)
    assert client.post(f"/jobs/{job.id}/destroy").status_code == 403
    assert "Destroy" not in text_of(client.get("/jobs"))


def test_W114_a_forced_request_is_refused_with_the_role_that_it_needs(rocketjob):
    job = WebGuardedJob.create()
    page = as_role("view").post(f"/jobs/{job.id}/pause")
    assert page.status_code == 403
    assert "That needs the role manager" in text_of(page)
    assert job.reload().is_queued


@pytest.mark.parametrize("path", ["/jobs/{id}/pause", "/jobs/{id}/edit", "/servers/update_all"])
def test_W114_where_nothing_can_be_changed_no_role_is_said_to_be_able_to(rocketjob, path):
    job = WebGuardedJob.create()
    page = browser(read_only=True).get(path.format(id=job.id), params={"server_action": "kill"})
    assert page.status_code == 403
    assert "Mission Control is read-only here: nothing can be changed" in text_of(page)


def test_roles_cannot_be_forged_by_what_a_browser_sends(rocketjob):
    job = WebGuardedJob.create()
    client = browser(authorize=lambda request: Identity("ada", {"view"}))
    forged = {"roles": "admin", "role": "admin", "login": "root"}
    answer = client.post(f"/jobs/{job.id}/pause", data=forged, headers={"x-roles": "admin"})
    assert answer.status_code == 403


def _logged(caplog):
    return " ".join(str(vars(record)) for record in caplog.records)


def test_a_section_without_the_permissions_of_its_routes_is_left_out(rocketjob, caplog):
    section = Section(
        name="open",
        title="Open",
        icon="page",
        home="/open",
        routes=(get("/open", lambda view: 1 / 0), change("/open", lambda view: 1 / 0, "open.all")),
    )
    app = create_app(sections=[section])
    assert app.state.site.sections == []
    assert "needs the permission open.all, which it lacks" in _logged(caplog)


def test_two_sections_cannot_have_one_route(rocketjob, caplog):
    def section(name):
        return Section(
            name=name,
            title=name,
            icon="page",
            home="/same",
            routes=(get("/same", lambda view: view.go("/")),),
            permissions=(Permission(f"{name}.all", "admin"),),
        )

    app = create_app(sections=[section("first"), section("second")])
    assert [each.name for each in app.state.site.sections] == ["first"]
    assert "another section has the route GET /same" in _logged(caplog)
