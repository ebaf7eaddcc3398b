"""The example applications, started as their pages say: Mission Control is behind their login."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import servers
from support.servers import server
from support.web import cells, tags, text_of

httpx2 = pytest.importorskip("httpx2")
EXAMPLES = Path(__file__).parents[2] / "examples"
PASSWORD = "try-it-out"
PATIENCE = 120  # seconds: three processes begin at once, on a machine that may be busy


def eventually(check):
    return servers.eventually(check, PATIENCE)


class Shop:
    """An example in a folder of its own, with the commands of its page."""

    def __init__(self, name, folder):
        self.folder = shutil.copytree(
            EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.db")
        )
        said = re.findall(r"^\$ (.*)", (self.folder / "README.md").read_text(), re.M)
        assert said[0] == "pip install -r requirements.txt" and said[-1].endswith(
            "rocketjob server"
        )
        *self.set_up, self.serve = said[1:-1]
        self.perform = said[-1]

    def command(self, line):
        """Return the words of a command, and the environment that it is run in."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ROCKETJOB_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        words = shlex.split(line)
        given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        return words[len(given) :], {**kept, "PATH": path, **given}

    def run(self, line):
        words, environment = self.command(line)
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def serving(self):
        """Run the web server on a free port, and what performs the jobs; yield a browser."""
        for line in self.set_up:
            self.run(line)
        words, environment = self.command(self.serve.replace("8000", "0"))
        if words[0] == "gunicorn":
            words.append("--no-control-socket")  # of which each user of a machine has one
        assert shutil.which(words[0], path=environment["PATH"]), f"{words[0]} is not installed"
        log = self.folder / "web.log"
        with log.open("wb") as output:
            web = subprocess.Popen(
                words, cwd=self.folder, env=environment, stdout=output, stderr=output
            )
        try:
            program, given = self.command(self.perform)
            options = ("--processes", "1", "--until-eof")
            with server(self.folder, *options, program=program, env=given):
                address = eventually(lambda: address_in(log, web))
                with httpx2.Client(base_url=address, timeout=PATIENCE) as client:
                    yield Browser(client)
        finally:
            web.terminate()
            web.wait(PATIENCE)


def address_in(log, web):
    """Return where a server listens, by its log, once it is there."""
    found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
    assert found or web.poll() is None, log.read_text()
    return found and found[0]


class Browser:
    """What somebody does in a browser."""

    def __init__(self, client):
        self.client = client

    def get(self, path):
        return self.client.get(path)

    def send(self, path, *, page=None, files=None, **fields):
        """Send a form of the page, which is that of the path if not given, with what it hides."""
        page = self.client.get(page or path, follow_redirects=True)
        hidden = {tag["name"]: tag["value"] for tag in tags(page, "input", type="hidden")}
        headers = {"sec-fetch-site": "same-origin", "referer": str(page.url)}
        return self.client.post(path, data={**hidden, **fields}, files=files, headers=headers)

    def sign_in(self, name, password=PASSWORD):
        return self.send("/login", username=name, password=password)


def mission_control_is_behind_the_login(browser, name):
    """Check that nobody sees anything who has not signed in; and sign in."""
    for path in ("/rocketjob/", "/rocketjob/jobs", "/rocketjob/servers", "/rocketjob/events"):
        refused = browser.get(path)
        assert refused.status_code in (302, 303), path
        assert refused.headers["location"].startswith("/login"), path
    assert browser.client.post("/rocketjob/servers/update_all").status_code in (302, 303)
    wrong = browser.sign_in(name, "wrong")
    assert wrong.status_code in (200, 403) and browser.get("/rocketjob/jobs").is_redirect
    assert browser.sign_in(name).status_code in (302, 303)


def the_job_is_seen(browser, name):
    """Check that Mission Control has the job, and who is signed in; return the job's path."""
    page = eventually(lambda: seen(browser.get("/rocketjob/jobs/completed"), name))
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    return next(
        tag["href"] for tag in tags(page, "a") if re.search(r"/jobs/[0-9a-f]{24}$", tag["href"])
    )


def seen(page, name):
    return page if any(name in cell for cell in cells(page, "class")) else None


def test_a_shop_in_django(tmp_path):
    with Shop("web-django", tmp_path).serving() as browser:
        mission_control_is_behind_the_login(browser, "ada")
        refused = browser.send("/", product="2", quantity="4")
        assert refused.status_code == 422 and "not so many in stock" in text_of(refused)
        assert browser.send("/", product="1", quantity="2").status_code == 302
        eventually(lambda: "Receipt no. 1: 2 x Kettle" in text_of(browser.get("/")))
        path = the_job_is_seen(browser, "ReceiptJob")
        assert len(cells(browser.get("/rocketjob/jobs"), "class")) == 1  # none was rolled back
        assert browser.send(f"{path}/destroy").status_code == 303
        assert browser.send("/logout", page="/").status_code == 302
        assert browser.get("/rocketjob/").status_code == 302


def test_a_shop_in_fastapi(tmp_path):
    with Shop("web-fastapi", tmp_path).serving() as browser:
        mission_control_is_behind_the_login(browser, "joe")
        refused = browser.send("/", product="2", quantity="4")
        assert refused.status_code == 422 and "not so many in stock" in refused.text
        placed = browser.send("/", product="1", quantity="2")
        assert placed.status_code == 303 and placed.headers["location"].startswith("/receipts/")
        assert browser.get(placed.headers["location"]).headers["location"] == "/"
        eventually(lambda: "Receipt no. 1: 2 x Kettle" in text_of(browser.get("/")))
        path = the_job_is_seen(browser, "ReceiptJob")
        assert len(cells(browser.get("/rocketjob/jobs"), "class")) == 1  # none was rolled back
        assert browser.send(f"{path}/destroy").status_code == 403  # joe is not an admin
        assert browser.send("/logout", page="/").status_code == 303
        assert browser.get("/rocketjob/").status_code == 303


def test_a_shop_in_flask(tmp_path):
    with Shop("web-flask", tmp_path).serving() as browser:
        mission_control_is_behind_the_login(browser, "joe")
        wrong = browser.send("/", files={"list": ("wrong.csv", b"name\nkettle\n")})
        assert wrong.status_code == 422 and "article" in text_of(wrong)
        prices = b"article,price\nkettle,10\nteapot,cheap\ncup,2.50\n"
        sent = browser.send("/", files={"list": ("prices.csv", prices)})
        assert sent.status_code == 302
        page = eventually(lambda: page if "with tax" in text_of(page := browser.get("/")) else None)
        link = next(tag["href"] for tag in tags(page, "a") if "/results/" in tag["href"])
        assert browser.get(link).text == "article,gross\nkettle,11.90\ncup,2.98\n"
        path = the_job_is_seen(browser, "PriceListJob")
        assert browser.send(f"{path}/destroy").status_code == 403  # joe is not an admin
