"""P48: ready ways to sign in: a file of users with passwords, and a proxy that has done it."""

import pytest
from click.testing import CliRunner

from rocketjob import ConfigurationError, Job
from rocketjob.cli import Failure
from rocketjob_contrib.mission_control import signing_in
from rocketjob_contrib.mission_control.command import web_password
from rocketjob_contrib.mission_control.serve import serve
from rocketjob_contrib.mission_control.signing_in import Users, behind_proxy, hash_password
from support.web import browser, text_of


class SignedInJob(Job):
    def perform(self): ...


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(signing_in, "N", 2)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "users.toml"
    path.write_text(
        f'[ada]\npassword = "{hash_password("geheim: ja")}"\nroles = ["admin"]\n'
        f'["zoë"]\npassword = "{hash_password("ü")}"\n',
        encoding="utf-8",
    )
    return path


def asks(web, name=None, password="", path="/jobs"):
    return web.get(path, auth=None if name is None else (name.encode(), password.encode()))


def test_P48_the_browser_is_told_to_ask_for_a_name_and_a_password(rocketjob, file):
    answer = asks(browser(authorize=Users(file)))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(
    ("name", "password", "status"),
    [
        ("ada", "geheim: ja", 200),
        ("zoë", "ü", 200),
        ("ada", "geheim", 401),
        ("ada", "", 401),
        ("zoë", "geheim: ja", 401),
        ("bob", "geheim: ja", 401),
        ("", "", 401),
        ("ada", "x" * 100_000, 401),
    ],
)
def test_P48_with_the_right_password_they_are_let_in(rocketjob, file, name, password, status):
    web = browser(authorize=Users(file))
    for _ in range(2):
        assert asks(web, name, password[:10_000]).status_code == status


@pytest.mark.parametrize(
    "header", ["Basic", "Basic %%%", "Basic YWRh", "Bearer x", "basic /w==", "Basic é"]
)
def test_P48_a_header_that_makes_no_sense_lets_nobody_in(rocketjob, file, header):
    web = browser(authorize=Users(file))
    assert web.get("/jobs", headers={"authorization": header.encode("latin-1")}).status_code == 401


def test_P48_roles_are_those_of_the_file(rocketjob, file):
    job, web = SignedInJob.create(), browser(authorize=Users(file))
    refused = web.post(f"/jobs/{job.id}/abort", auth=("zoë".encode(), "ü".encode()))
    assert refused.status_code == 403
    web.post(f"/jobs/{job.id}/abort", auth=("ada", "geheim: ja"))
    assert job.reload().state == "aborted"
    assert job.history[-1].by == "ada"


def test_P48_whoever_is_taken_out_of_the_file_is_out_at_once(rocketjob, file):
    web = browser(authorize=Users(file))
    assert asks(web, "zoë", "ü").status_code == 200
    file.write_text(f'[ada]\npassword = "{hash_password("new")}"\n', encoding="utf-8")
    assert asks(web, "zoë", "ü").status_code == 401
    assert asks(web, "ada", "geheim: ja").status_code == 401
    assert asks(web, "ada", "new").status_code == 200


def test_whoever_is_known_waits_for_no_guess_and_few_guess_at_once(rocketjob, file, monkeypatch):
    users = Users(file)
    web = browser(authorize=users)
    assert asks(web, "ada", "geheim: ja").status_code == 200
    monkeypatch.setattr(signing_in, "PATIENCE", 0)
    with users._hashing:  # somebody guesses
        assert asks(web, "ada", "geheim: ja").status_code == 200
        refused = asks(web, "ada", "wrong")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert asks(web, "ada", "wrong").status_code == 401
    for _ in range(signing_in.GUESSERS):
        users._guessers.acquire()
    assert asks(web, "zoë", "ü").status_code == 503
    assert asks(web, "ada", "geheim: ja").status_code == 200


def test_P48_a_file_that_is_broken_while_it_is_served_lets_nobody_in(rocketjob, file, caplog):
    web = browser(authorize=Users(file))
    file.write_text("[ada", encoding="utf-8")
    assert asks(web, "ada", "geheim: ja").status_code == 503
    assert "nobody can sign in" in caplog.text
    file.unlink()
    assert asks(web, "ada", "geheim: ja").status_code == 503


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ada]", "needs a password"),
        ('[ada]\npassword = "geheim"', "needs a password|not one that|not enough"),
        ('[ada]\npassword = "md5:00:00"', "not one that rocketjob web-password has printed"),
        ('[ada]\npassword = "scrypt:00:zz"', "hexadecimal"),
        ('[ada]\npassword = "scrypt:00:00"\nroles = "admin"', "roles must be a list"),
        ('[ada]\npassword = "scrypt:00:00"\nroles = ["amdin"]', "there is no role amdin"),
        ('[ada]\npassword = "scrypt:00:00"\nrole = ["admin"]', "there is no key role"),
        ('ada = "scrypt:00:00"', "needs a password|no key"),
        ("[ada", "users.toml"),
    ],
)
def test_P48_what_is_wrong_in_the_file_is_said_at_the_start(file, text, said):
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as raised:
        Users(file)
    assert "users.toml" in str(raised.value)


def test_P48_the_hash_holds_no_password_and_is_another_each_time():
    one, two = hash_password("geheim"), hash_password("geheim")
    assert one != two and "geheim" not in one


def test_P48_the_command_prints_the_hash_and_nothing_else():
    found = CliRunner().invoke(web_password, input="geheim\ngeheim\n")
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("scrypt:") and found.stdout.count("\n") == 1


def test_P46_with_users_it_listens_where_others_reach_it(rocketjob, file, monkeypatch):
    served = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: served.append(self.config.app))
    serve("0.0.0.0", 0, users=str(file))
    assert served[0].state.site.settings.authorize.path == file
    with pytest.raises(Failure, match="give --users"):
        serve("0.0.0.0", 0)


# --- a proxy -------------------------------------------------------------------------------------


def proxied(client="10.0.0.7", **options):
    known = {"ada": {"manager"}}
    given = {"header": "X-Forwarded-User", "proxies": ["10.0.0.0/8", "::1"], "roles": known}
    return browser(client=(client, 4000), authorize=behind_proxy(**{**given, **options}))


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("10.0.0.7", [("X-Forwarded-User", "ada")], 200),
        ("::1", [("x-forwarded-user", " ada ")], 200),
        ("10.0.0.7", [("X-Forwarded-User", "bob")], 403),
        ("10.0.0.7", [], 403),
        ("10.0.0.7", [("X-Forwarded-User", "")], 403),
        ("192.0.2.1", [("X-Forwarded-User", "ada")], 403),
        ("testclient", [("X-Forwarded-User", "ada")], 403),
        ("10.0.0.7", [("X-Forwarded-User", "ada"), ("X-Forwarded-User", "bob")], 403),
    ],
)
def test_P48_the_name_comes_from_a_proxy_that_is_trusted_and_from_nobody_else(
    rocketjob, client, headers, status
):
    assert proxied(client).get("/jobs", headers=headers).status_code == status


def test_P48_the_roles_can_be_asked_for(rocketjob):
    web = proxied(roles=lambda name: {"admin"} if name.endswith("@example.com") else None)
    told = {"X-Forwarded-User": "ada@example.com"}
    assert "ada@example.com" in text_of(web.get("/jobs", headers=told))
    assert web.get("/jobs", headers={"X-Forwarded-User": "eve@evil.com"}).status_code == 403


def test_P48_a_proxy_that_is_no_address_is_refused():
    with pytest.raises(ValueError, match="nginx"):
        behind_proxy("X-User", ["nginx"], {})
