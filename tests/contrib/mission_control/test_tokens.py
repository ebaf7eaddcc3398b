"""Tokens: programs that say who they are, with roles, until they are revoked."""

from datetime import UTC, datetime, timedelta
from operator import eq

import pytest

from rocketjob import Job
from rocketjob.base.acts import acting
from rocketjob.server.server import Server
from rocketjob.store import context
from rocketjob_contrib.mission_control import tokens
from rocketjob_contrib.mission_control.servers import one
from rocketjob_contrib.mission_control.tokens import TokenError
from rocketjob_plugins import audit
from support.web import browser, counted_calls

API = "/api/v1"
ELSEWHERE = ("10.0.0.7", 1)


class WebTokenJob(Job):
    destroy_on_complete = False
    pausable = True
    login: str | None = None

    def perform(self): ...


def _token(role="manager", name="import", expires_in=timedelta(days=1)):
    return tokens.create(name, role, expires_in)[1]


def _program(token, **settings):
    """Return a program elsewhere, which has a token and no cookie."""
    client = browser(client=ELSEWHERE, **settings)
    client.headers["authorization"] = f"Bearer {token}"
    return client


def _stored():
    return context.current().store.collection(tokens.COLLECTION)


def test_P48_a_token_lets_a_program_do_what_its_role_allows(rocketjob):
    job = WebTokenJob.create()
    program = _program(_token("manager"))
    assert eq(program.get(f"{API}/me").json()["login"], "import")
    assert eq(program.get(f"{API}/me").json()["roles"], ["manager"])
    assert program.post(f"{API}/jobs/{job.id}/pause").status_code == 200
    assert program.delete(f"{API}/jobs/{job.id}").status_code == 403
    assert program.post(f"{API}/jobs", json={"class": "WebTokenJob"}).status_code == 403
    read_only = _program(_token("admin", "root"), read_only=True)
    assert read_only.delete(f"{API}/jobs/{job.id}").status_code == 403


def test_P48_with_the_role_user_it_changes_the_jobs_with_its_own_name(rocketjob):
    own, other = WebTokenJob.create(login="import"), WebTokenJob.create(login="bob")
    program = _program(_token("user"))
    assert program.post(f"{API}/jobs/{own.id}/pause").status_code == 200
    assert program.post(f"{API}/jobs/{other.id}/pause").status_code == 403


def test_P49_the_audit_has_the_name_of_the_token(rocketjob):
    job = WebTokenJob.create()
    _program(_token()).post(f"{API}/jobs/{job.id}/pause", json={"reason": "full"})
    (record,) = audit.records(job=job.id)
    assert (record.by, record.via, record.reason) == ("import", "api", "full")
    assert job.reload().history[-1].by == "import"


@pytest.mark.parametrize(
    "text",
    ["Bearer rjt_x", "Bearer rjt_", "bearer  rjt_xxxxxx", "Bearer rjt_\xe9", "Bearer x", "rjt_x"],
)
def test_a_token_that_is_none_lets_nobody_in(rocketjob, text):
    _token()
    headers = {"authorization": text.encode("latin-1")}
    answer = browser(client=ELSEWHERE).get(f"{API}/jobs", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_wrong_token_is_refused_on_this_machine_too(rocketjob):
    """Whoever says a name is taken by it, or not at all."""
    headers = {"authorization": "Bearer rjt_wrong"}
    assert browser().get(f"{API}/jobs").status_code == 200
    assert browser().get(f"{API}/jobs", headers=headers).status_code == 401


def test_a_token_is_for_programs_and_opens_no_page(rocketjob):
    assert _program(_token("admin")).get("/jobs").status_code == 403


def test_a_token_ends_when_it_expires(rocketjob):
    program = _program(_token(expires_in=timedelta(hours=1)))
    assert program.get(f"{API}/jobs").status_code == 200
    rocketjob.travel(timedelta(hours=1))
    assert program.get(f"{API}/jobs").status_code == 401
    assert eq([each.state for each in tokens.tokens()], ["expired"])


def test_a_token_without_an_end_is_there_until_it_is_revoked(rocketjob):
    program = _program(_token(expires_in=None))
    rocketjob.travel(timedelta(days=400))
    assert program.get(f"{API}/jobs").status_code == 200
    tokens.revoke("import")
    assert program.get(f"{API}/jobs").status_code == 401


def test_only_a_hash_of_a_token_is_stored_and_its_use_is_noted_by_the_minute(rocketjob):
    text = _token()
    program = _program(text)
    program.get(f"{API}/jobs")
    (first,) = tokens.tokens()
    assert first.last_used_at is not None
    rocketjob.travel(timedelta(seconds=30))
    with counted_calls() as calls:
        program.get(f"{API}/me")
    assert eq(calls, [f"{tokens.COLLECTION}.find_one"])
    rocketjob.travel(timedelta(seconds=60))
    program.get(f"{API}/me")
    (later,) = tokens.tokens()
    assert later.last_used_at > first.last_used_at
    everything = str(list(_stored().find({}))) + str(list(audit.records()))
    assert text not in everything
    assert text.removeprefix(tokens.BEGIN) not in everything


@pytest.mark.parametrize("when", ["before the change", "between two"])
def test_a_token_that_is_revoked_meanwhile_stops_the_next_step(rocketjob, monkeypatch, when):
    text = _token("operator")
    first, second = (Server.create(name=f"token:{n}", state="running") for n in (1, 2))
    beat = {"heartbeat": {"updated_at": datetime.now(UTC) + timedelta(days=1), "number": 1}}
    Server.collection().update_many({}, {"$set": beat})
    if when == "between two":
        note = one.note

        def noted(*arguments):
            note(*arguments)
            tokens.revoke("import")

        monkeypatch.setattr(one, "note", noted)
    else:
        used = tokens.used

        def used_and_revoked(text):
            found = used(text)
            tokens.revoke("import")
            return found

        monkeypatch.setattr(tokens, "used", used_and_revoked)
    answer = _program(text).post(f"{API}/servers/update_all", json={"action": "pause"})
    assert answer.status_code == 403
    assert "revoked" in answer.json()["detail"]
    done = 1 if when == "between two" else 0
    assert f"{done} of 2 were done" in answer.json()["detail"] or done == 0
    states = [each.reload().state for each in (first, second)]
    assert eq(states, ["paused" if done else "running", "running"])


def test_P51_a_token_with_a_cookie_is_not_exempt_from_the_cross_site_check(rocketjob):
    job = WebTokenJob.create()
    program, path = _program(_token()), f"{API}/jobs/{job.id}/pause"
    cross = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    answer = program.post(path, headers=cross | {"cookie": "session=1"})
    assert answer.status_code == 403
    assert job.reload().is_queued
    assert program.post(path, headers=cross).status_code == 200


def test_the_application_around_it_is_not_asked_about_a_token(rocketjob):
    program = _program(_token("view"), authorize=lambda request: None)
    assert program.get(f"{API}/jobs").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "root"},
        {"role": 7},
        {"expires_at": "tomorrow"},
        {"expires_at": 1e30},
        {"revoked_at": None},
        {"revoked_at": False},
    ],
)
def test_a_token_that_something_else_has_changed_gives_nothing(rocketjob, wrong):
    program = _program(_token("admin"))
    _stored().update_one({}, {"$set": wrong})
    assert program.get(f"{API}/jobs").status_code == 401
    assert len(list(tokens.tokens())) == 1


def test_a_name_is_given_once_as_the_audit_names_it(rocketjob):
    _token()
    with pytest.raises(TokenError, match="there is a token import, or was"):
        _token()
    tokens.revoke("import")
    with pytest.raises(TokenError, match="there is a token import, or was"):
        _token()
    with pytest.raises(TokenError, match="revoked already"):
        tokens.revoke("import")
    for name in ("", "  ", "a\nb", "x" * 101):
        with pytest.raises(TokenError, match="printable"):
            _token(name=name)


def test_P49_to_make_and_to_revoke_a_token_is_recorded_without_it(rocketjob):
    with acting("ada", how="test", reason="leaked"):
        text = _token("view")
        tokens.revoke("import")
    revoked, made = audit.records()
    assert (made.event, made.kind, made.name) == ("create", "WebToken", "import")
    assert eq(made.after["role"], "view")
    assert (revoked.event, revoked.by, revoked.reason) == ("revoke", "ada", "leaked")
    assert text not in f"{made}{revoked}"
