"""Mission Control within FastAPI, Django and Flask: in one line, behind the host's own login."""

import asyncio
import io
import threading

import pytest
from starlette.testclient import TestClient

from rocketjob import Job
from rocketjob_contrib.mission_control import Identity, WebSettings, create_app, tokens
from support.web import links, tags, text_of

httpx2 = pytest.importorskip("httpx2")
MOUNT = "/ops/jobs"
USERS = {"ada": {"admin"}, "vic": {"view"}}


class HostedJob(Job):
    destroy_on_complete = False

    def perform(self): ...


def identity_of(name):
    return Identity(name, USERS[name]) if name in USERS else None


def fastapi(mount, **settings):
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()

    def who(request):  # the request of Starlette; None is refused
        return identity_of(request.headers.get("x-user"))

    app.mount(mount, create_app(WebSettings(authorize=who, **settings)))
    return app


def _django(mount, **settings):
    pytest.importorskip("django")
    import django
    from django.conf import settings as of_django
    from django.http import HttpResponseRedirect
    from django.urls import clear_url_caches, include, path

    from rocketjob_contrib.mission_control.hosts.django import urls

    if not of_django.configured:
        middleware = ["security.SecurityMiddleware", "common.CommonMiddleware"]
        middleware += ["csrf.CsrfViewMiddleware", "clickjacking.XFrameOptionsMiddleware"]
        of_django.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF="contrib.mission_control.urlconf",
            MIDDLEWARE=[f"django.middleware.{name}" for name in middleware],
            SECRET_KEY="of a test",
        )
        django.setup()

    def who(request):  # the request of Django
        assert type(request).__module__.startswith("django.")
        return identity_of(request.headers.get("x-user")) or HttpResponseRedirect("/login")

    class Urls:
        urlpatterns = [
            path(mount.lstrip("/"), include(urls(WebSettings(authorize=who, **settings))))
        ]

    of_django.ROOT_URLCONF = Urls
    clear_url_caches()


def django_asgi(mount, **settings):
    _django(mount, **settings)
    from django.core.handlers.asgi import ASGIHandler

    return ASGIHandler()


def django_wsgi(mount, **settings):
    _django(mount, **settings)
    from django.core.handlers.wsgi import WSGIHandler

    return WSGIHandler()


def flask(mount, **settings):
    flask = pytest.importorskip("flask")
    from rocketjob_contrib.mission_control.hosts.flask import blueprint

    app = flask.Flask("host")

    def who(request):  # the request of Flask, in its context
        assert flask.g is not None and flask.request.path == request.path
        return identity_of(request.headers.get("x-user")) or flask.redirect("/login")

    app.register_blueprint(blueprint(WebSettings(authorize=who, **settings)), url_prefix=mount)
    return app


HOSTS = [fastapi, django_asgi, django_wsgi, flask]
WITH_STREAM = [fastapi, django_asgi]
WITHOUT_STREAM = [django_wsgi, flask]


def visit(host, mount=MOUNT, **settings):
    """Return a browser at an application that has Mission Control at a path."""
    app = host(mount, **settings)
    if host in WITH_STREAM:
        client = TestClient(app, base_url="http://host.example", follow_redirects=False)
    else:
        transport = httpx2.WSGITransport(app=getattr(app, "wsgi_app", app))
        client = httpx2.Client(transport=transport, base_url="http://host.example")
    client.headers["x-user"] = "ada"
    return client


@pytest.mark.parametrize("mount", [MOUNT, f"{MOUNT}/"])
@pytest.mark.parametrize("host", HOSTS)
def test_W01_every_host_shows_pages_acts_and_stays_inside_its_path(rocketjob, host, mount):
    job = HostedJob.create(description="naïve — 日本")
    client = visit(host, mount)
    first = client.get(f"{MOUNT}/")
    assert (first.status_code, first.headers["location"]) == (303, f"{MOUNT}/overview")
    page = client.get(f"{MOUNT}/jobs/queued?q=naïve")
    assert page.status_code == 200 and "naïve — 日本" in text_of(page)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["x-frame-options"] == "DENY"
    addresses = [link for link in links(page) if link.startswith("/") and link != "/"]
    addresses += [tag["src"] for tag in tags(page, "script")]
    assert all(address.startswith(f"{MOUNT}/") for address in addresses)
    assert client.get(tags(page, "script")[0]["src"]).status_code == 200
    form = {"state": "queued", "back": "/jobs/queued"}
    done = client.post(f"{MOUNT}/jobs/{job.id}/pause", data=form)
    assert (done.status_code, done.headers["location"]) == (303, f"{MOUNT}/jobs/queued")
    assert f"HostedJob {job.id} is paused" in text_of(client.get(f"{MOUNT}/jobs/queued"))
    assert [(h.event, h.by) for h in job.reload().history] == [("pause", "ada")]
    refused = client.post(f"{MOUNT}/jobs/{job.id}/resume", headers={"sec-fetch-site": "cross-site"})
    assert refused.status_code == 403 and job.reload().is_paused


@pytest.mark.parametrize("host", HOSTS)
def test_W01_the_path_without_its_slash_leads_to_it(rocketjob, host):
    answer = visit(host, MOUNT if host is not django_asgi else f"{MOUNT}/").get(MOUNT)
    assert answer.status_code in (301, 303, 307, 308)
    assert answer.headers["location"].removeprefix("http://host.example") in (
        f"{MOUNT}/",
        f"{MOUNT}/overview",
    )
    assert visit(host).get(f"{MOUNT}foo").status_code == 404


@pytest.mark.parametrize("host", HOSTS)
def test_W108_the_login_of_each_host_decides(rocketjob, host):
    job = HostedJob.create()
    client = visit(host)
    assert client.post(f"{MOUNT}/jobs/{job.id}/pause", headers={"x-user": "vic"}).status_code == 403
    nobody = client.get(f"{MOUNT}/jobs", headers={"x-user": "eve"})
    if host is fastapi:
        assert nobody.status_code == 403
    else:
        assert (nobody.status_code, nobody.headers["location"]) == (302, "/login")
    of_script = client.get(f"{MOUNT}/jobs", headers={"x-user": "eve", "hx-request": "true"})
    assert of_script.status_code == 403 and "sign in first" in of_script.text


def test_W108_a_host_can_send_whoever_is_not_signed_in_to_its_login(rocketjob):
    from starlette.responses import RedirectResponse

    app = create_app(WebSettings(authorize=lambda request: RedirectResponse("/login")))
    client = TestClient(app, follow_redirects=False)
    assert client.get("/jobs").headers["location"] == "/login"
    assert client.get("/events").headers["location"] == "/login"
    assert client.get("/jobs", headers={"hx-request": "true"}).status_code == 403
    in_place = {"hx-request": "true", "hx-boosted": "true"}
    assert client.get("/jobs?page=2", headers=in_place).headers["hx-redirect"] == "/jobs?page=2"


@pytest.mark.parametrize("host", HOSTS)
def test_a_form_that_is_larger_than_the_host_would_read_is_refused_by_its_size(rocketjob, host):
    job = HostedJob.create()
    answer = visit(host, max_body=4_000_000).post(
        f"{MOUNT}/jobs/{job.id}/fail", data={"reason": "x" * 4_000_001}
    )
    assert answer.status_code == 413 and "More than 4,000,000 bytes" in text_of(answer)
    large = {"reason": "é" * 500_000, "state": "queued"}
    answer = visit(host, max_body=4_000_000).post(f"{MOUNT}/jobs/{job.id}/fail", data=large)
    assert answer.status_code == 303 and job.reload().is_failed


@pytest.mark.parametrize("host", WITHOUT_STREAM)
def test_where_a_stream_would_hold_a_thread_pages_ask(rocketjob, host):
    client = visit(host)
    page = client.get(f"{MOUNT}/jobs")
    assert "hx-get" in page.text and "hx-sse" not in page.text
    assert client.get(f"{MOUNT}/events").status_code == 204


@pytest.mark.parametrize("host", WITH_STREAM)
def test_the_stream_comes_through_the_host(rocketjob, host):
    """Through the ASGI interface itself: test clients wait for the end of an answer."""
    app = host(MOUNT, live_seconds=0.05)
    headers = [(b"host", b"host.example"), (b"x-user", b"ada")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"{MOUNT}/events",
        "raw_path": f"{MOUNT}/events".encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("10.0.0.1", 1),
        "server": ("host.example", 80),
    }

    async def listen():
        sent, gone, asked = asyncio.Queue(), asyncio.Event(), []

        async def receive():
            if not asked:
                asked.append(True)
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        task = asyncio.ensure_future(app(scope, receive, sent.put))
        start = await asyncio.wait_for(sent.get(), 30)
        first = await asyncio.wait_for(sent.get(), 30)
        gone.set()
        if host is fastapi:  # a server's `send` would fail now
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return start["status"], first["body"]

    assert asyncio.run(listen()) == (200, b": connected\n\n")
    for thread in threading.enumerate():
        if thread.name == "web-live":  # ends with the last that listens
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize("host", [django_wsgi, flask])
@pytest.mark.parametrize("query", ["q=\xff\xe6", "q=%ff", "q=a%20b&size=10", "q=\x00"])
def test_a_query_of_whatever_bytes_is_answered(rocketjob, host, query):
    app = host(MOUNT)
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"{MOUNT}/jobs",
        "QUERY_STRING": query,
        "SERVER_NAME": "host.example",
        "SERVER_PORT": "80",
        "HTTP_X_USER": "ada",
        "REMOTE_ADDR": "10.0.0.1",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
    }
    statuses = []
    list(getattr(app, "wsgi_app", app)(environ, lambda status, *_: statuses.append(status[:3])))
    assert statuses == ["200"]


@pytest.mark.parametrize("host", HOSTS)
def test_P48_a_program_with_a_token_needs_no_login_of_the_host(rocketjob, host):
    text = tokens.create("nightly", "manager", None)[1]
    job, client = HostedJob.create(), visit(host)
    path = f"{MOUNT}/api/v1/jobs/{job.id}/fail"
    client.headers["x-user"] = "nobody"
    refused = client.post(path)
    assert refused.status_code == 401  # and is not led to a login
    done = client.post(path, json={"reason": "x"}, headers={"authorization": f"Bearer {text}"})
    assert (done.status_code, done.json()["state"]) == (200, "failed")
    tokens.revoke("nightly")
    assert client.post(path, headers={"authorization": f"Bearer {text}"}).status_code == 401
