"""What the operations guide tells people to copy: files that are what they seem, and can be used.

Neither Docker nor systemd's service manager runs here: their files are parsed, and whatever they
call is called.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import rocketjob
from acceptance.test_docs import DOCS, blocks, commands, parse_command
from rocketjob import Job
from rocketjob.base import config
from rocketjob.cli import make_cli
from rocketjob.server.health import answering
from rocketjob.testing import sandbox

DEPLOY, BACKUP, RUNBOOK = (
    DOCS / f"operations/{name}.md" for name in ("deploy", "backup", "runbook")
)
PROJECT = Path(rocketjob.__file__).parent / "cli/templates/project"
SECONDS = {"s": 1, "m": 60}


def only(page, language, mark):
    (found,) = [code for _, code in blocks(page, language) if mark in code]
    return found


def settings_of(variables, tmp_path):
    """Return the settings that a process has with these variables; unknown ones are refused."""
    known = {each.upper().replace(".", "_") for each in config.setting_names()}
    named = {name.removeprefix("ROCKETJOB_") for name in variables if name.startswith("ROCKETJOB_")}
    assert named <= known
    return config.load(environ=dict(variables), directory=tmp_path)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()
    return int(number) * SECONDS[unit]


@pytest.mark.parametrize(
    ("template", "language", "mark"),
    [
        ("Dockerfile", "dockerfile", "FROM"),
        ("compose.yaml", "yaml", "services:"),
        ("deploy/@name@.service", "ini", "[Service]"),
    ],
)
def test_the_files_of_the_page_are_those_of_a_new_project(template, language, mark):
    text = (PROJECT / f"{template}.template").read_text().replace("@name@", "shop")
    beginning, shown, rest = text.partition(only(DEPLOY, language, mark))
    assert shown, f"the page and {template} differ"
    assert rest == ""
    assert re.fullmatch(r"(# /etc/\S+\n\n)?", beginning)


# --- containers ------------------------------------------------------------------------------


def dockerfile():
    """List the instructions of the page's Dockerfile, each with its arguments."""
    text = re.sub(r"^#.*\n", "", only(DEPLOY, "dockerfile", "FROM"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line]


def argument(name):
    """Return the arguments of an instruction that is there once."""
    (found,) = [rest for instruction, rest in dockerfile() if instruction == name]
    return found


def compose():
    return yaml.safe_load(only(DEPLOY, "yaml", "services:"))


def test_the_dockerfile_has_instructions_that_exist_and_runs_a_server_without_a_shell():
    names = [name for name, _ in dockerfile()]
    assert names[0] == "FROM"
    known = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "ENV", "HEALTHCHECK", "CMD"}
    assert set(names) <= known
    assert names.index("USER") < names.index("CMD"), "a server is not to run as root"
    command = json.loads(argument("CMD"))
    assert command[0] == "rocketjob"
    parse_command(make_cli(), command[1:], "CMD")


def test_the_variables_of_the_containers_are_settings(tmp_path):
    image = dict(rest.split("=", 1) for name, rest in dockerfile() if name == "ENV")
    loaded = settings_of(image, tmp_path)
    assert loaded.url == "sqlite:////data/rocketjob.db"
    assert argument("VOLUME") == "/data"
    for service in compose()["services"].values():
        grace = settings_of(image | service["environment"], tmp_path).grace_seconds
        assert seconds(service["stop_grace_period"]) > grace


def test_the_volumes_of_the_compose_file_are_declared_and_those_of_the_image():
    found = compose()
    for service in found["services"].values():
        for volume in service["volumes"]:
            name, _, target = volume.partition(":")
            assert name in found["volumes"]
            assert target == argument("VOLUME")


def health_checks():
    image = json.loads(re.search(r"CMD (\[.*\])", argument("HEALTHCHECK"))[1])
    return [image, *(each["healthcheck"]["test"][1:] for each in compose()["services"].values())]


def test_the_image_and_the_compose_file_check_the_health_in_the_same_way():
    image, *services = health_checks()
    options = dict(re.findall(r"--([a-z-]+)=(\S+)", argument("HEALTHCHECK")))
    for command, service in zip(services, compose()["services"].values(), strict=True):
        assert command == image
        check = service["healthcheck"]
        assert {name.replace("-", "_"): value for name, value in options.items()} == {
            name: str(value) for name, value in check.items() if name != "test"
        }


class Answered:
    def __init__(self, live):
        self._live = live

    def health(self):
        return {"live": self._live, "ready": False}


@pytest.mark.parametrize(("live", "fails"), [(True, False), (False, True)])
def test_the_check_fails_where_a_server_hangs_and_not_where_it_is_paused(live, fails):
    (python, option, code), *_ = health_checks()
    assert (python, option) == ("python", "-c")
    with answering("127.0.0.1:0", Answered(live)) as at, pytest.raises(SystemExit) as ended:
        exec(code.replace("127.0.0.1:8080", at))
    assert ended.value.code is fails


# --- systemd ---------------------------------------------------------------------------------


def unit():
    """Return the lines of the unit's section Service: a key may be there twice."""
    service = only(DEPLOY, "ini", "[Service]").partition("[Service]")[2].partition("[Install]")[0]
    return [tuple(line.split("=", 1)) for line in service.split("\n") if line[:1] not in ("#", "")]


def test_the_unit_starts_a_server_and_gives_it_longer_than_its_grace_period(tmp_path):
    keys = dict(unit())
    (words,) = commands(keys["ExecStart"])
    parse_command(make_cli(), words, "ExecStart")
    variables = dict(rest.split("=", 1) for key, rest in unit() if key == "Environment")
    loaded = settings_of(variables, tmp_path)
    assert int(keys["TimeoutStopSec"]) > loaded.grace_seconds
    assert loaded.url.startswith(f"sqlite:////var/lib/{keys['StateDirectory']}/")
    assert (keys["Type"], keys["KillMode"]) == ("notify", "mixed")
    assert int(keys["WatchdogSec"]) >= 90


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_knows_every_key_of_the_unit(tmp_path):
    text = only(DEPLOY, "ini", "[Service]").replace("/srv/shop/.venv/bin/rocketjob", "/bin/true")
    (tmp_path / "shop.service").write_text(text)
    command = ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / "shop.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if "shop.service" in line]
    assert said == []


# --- backup ----------------------------------------------------------------------------------

needs_sqlite3 = pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3")


class BackedUpJob(Job):
    destroy_on_complete = False
    note: str = ""

    def perform(self): ...


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store that is in use, as rocketjob.db in the current directory: three jobs, one done."""
    monkeypatch.chdir(tmp_path)
    with sandbox("sqlite:///rocketjob.db") as made:
        BackedUpJob.create()
        made.work_off()
        BackedUpJob.create_many([{}, {}])
        yield made


def shell(script, *replaced):
    for old, new in replaced:
        assert old in script
        script = script.replace(old, new)
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def assert_goes_on(path):
    """Check that a backup has the jobs of the fixture, and that they are performed."""
    with sandbox(f"sqlite:///{path}") as restored:
        assert BackedUpJob.counts_by_state() == {"queued": 2, "queued_now": 2, "completed": 1}
        assert restored.work_off() == 2
        assert restored.store.check().get("problems", []) == []


def test_the_backup_by_python_is_a_store_with_what_is_in_the_log_of_the_other(store):
    assert Path("rocketjob.db-wal").stat().st_size > 0
    exec(re.search(r'python3 -c "(.*)"', only(BACKUP, "sh", "python3 -c"))[1])
    BackedUpJob.create()
    assert_goes_on("backup.db")


@needs_sqlite3
def test_a_backup_that_is_restored_as_the_guide_says_goes_on(store):
    Path("backup").mkdir()
    here = ("/var/lib/shop/", ""), ("/backup/", "backup/")
    assert shell(only(BACKUP, "sh", "integrity_check"), *here) == ["ok"]
    (backup,) = Path("backup").iterdir()
    BackedUpJob.create()
    store.application.close()
    owner = ("chown shop: rocketjob.db", "true")
    shell(only(BACKUP, "sh", "rm -f"), *here, ("backup/rocketjob-6.db", str(backup)), owner)
    assert_goes_on("rocketjob.db")


@needs_sqlite3
def test_what_can_be_read_of_a_damaged_store_is_saved_as_the_runbook_says(store):
    BackedUpJob.create_many([{"note": "x" * 100}] * 300)
    store.application.close()
    file = Path("rocketjob.db")
    data = file.read_bytes()
    page = data.rindex(b"x" * 100) // 4096 * 4096
    file.write_bytes(data[:page] + b"damaged " * 512 + data[page + 4096 :])
    assert shell(only(RUNBOOK, "sh", ".dump")) == ["ok"]
    with sandbox("sqlite:///saved.db"):
        assert 250 < len(list(BackedUpJob.all())) < 303
