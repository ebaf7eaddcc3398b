"""`rocketjob new`: names, and what is already there. That what it writes works is tested whole in
tests/acceptance/test_new.py."""

import re
import tomllib

import pytest

from rocketjob.cli import new
from rocketjob.plugins.distributions import refused_version
from support.plugins import entry_point

KINDS = ("plugin", "project")
WRONG = [
    *("", "Slack", "my_plugin", "2fast", "-slack", "slack-", "a--b", "a b", "../x", "a/b", "é"),
    *("a" * 41, "for", "match"),
]


def files(folder):
    return {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_cannot_be_one_is_refused_and_nothing_is_written(cli, tmp_path, kind, name):
    done = cli("new", kind, "--", name)
    assert done.code == 2
    assert "cannot be a name: use small letters" in done.err or "a word of Python" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["rocketjob", "tests", "email", "rocketjob-plugins"])
def test_a_project_that_would_hide_a_module_is_refused(cli, tmp_path, name):
    done = cli("new", "project", name)
    assert done.code == 2
    assert f"{name} would hide a module {name.replace('-', '_')} that exists" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_of_a_name_that_is_taken_is_refused(cli, tmp_path):
    done = cli("new", "plugin", "retry")
    assert done.code == 2
    assert "there is a plugin retry already: rocketjob_plugins.retry" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "path"), [("plugin", "rocketjob-plugin-mine"), ("project", "mine")]
)
@pytest.mark.parametrize("is_file", [False, True])
def test_what_exists_is_left_as_it_is(cli, tmp_path, kind, path, is_file):
    if is_file:
        (tmp_path / path).write_text("precious")
    else:
        (tmp_path / path).mkdir()
        (tmp_path / path / "README.md").write_text("precious")
    done = cli("new", kind, "mine")
    assert done.code == 1
    assert f"{path} exists already: nothing was written" in done.err
    assert "precious" in files(tmp_path).values()
    assert len(files(tmp_path)) == 1


def test_a_directory_that_is_not_there_is_not_made(cli, tmp_path):
    done = cli("new", "plugin", "mine", "--into", "no/such/place")
    assert done.code == 1
    assert "rocketjob-plugin-mine cannot be made: No such file or directory" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_half_of_it_is_removed_if_the_rest_cannot_be_written(cli, tmp_path, monkeypatch, kind):
    def fail(text, words):
        if "RocketJob" in text:
            raise OSError(28, "No space left on device")
        return text

    monkeypatch.setattr(new, "_filled", fail)
    done = cli("new", kind, "mine")
    assert done.code == 1
    assert "No space left on device" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_word_of_the_template_is_filled_in(cli, tmp_path, kind):
    done = cli("new", kind, "big-data2")
    assert done.code == 0
    made = files(tmp_path)
    assert made
    for path, text in made.items():
        assert not re.search(r"@(name|module|Class|VARIABLE|version)@|\.template", path + text), (
            path
        )
        if path.endswith(".toml"):
            tomllib.loads(text)


def test_a_new_plugin_is_for_this_rocketjob_and_found_by_its_name(cli, tmp_path, monkeypatch):
    cli("new", "plugin", "mine")
    project = tomllib.loads((tmp_path / "rocketjob-plugin-mine/pyproject.toml").read_text())
    requires = project["project"]["dependencies"]
    assert refused_version(entry_point(monkeypatch, "mine", requires=requires)) is None
    assert project["project"]["entry-points"]["rocketjob"] == {"mine": "rocketjob_plugin_mine"}


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("0.1.0", ">=0.1,<0.2"),
        ("0.12.3", ">=0.12,<0.13"),
        ("1.4.0", ">=1.4,<2"),
        ("2.0", ">=2.0,<3"),
    ],
)
def test_the_versions_that_a_new_distribution_is_for(monkeypatch, version, wanted):
    monkeypatch.setattr("rocketjob.__version__", version)
    assert new._version() == wanted


def test_it_says_what_to_do_next(cli, tmp_path):
    (tmp_path / "work").mkdir()
    done = cli("new", "project", "shop", "--into", "work")
    assert "Wrote work/shop. Next:" in done.out
    assert "pip install -e '.[dev]'" in done.out
    assert (tmp_path / "work" / "shop" / "rocketjob.toml").is_file()
