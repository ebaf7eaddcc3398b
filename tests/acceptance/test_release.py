"""The script that builds what is released, and prepares a release, in a clone of this checkout."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Somebody"), ("EMAIL", "somebody@example.com"))
}

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="an sdist is no checkout from which releases are made"
)


class Checkout:
    def __init__(self, folder):
        self.folder = folder
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        self.git("checkout", "-q", "-B", "main")

    def git(self, *words):
        done = subprocess.run(
            ["git", *words],
            cwd=self.folder,
            env={**os.environ, **WHO},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def release(self, *words):
        return subprocess.run(
            [sys.executable, "scripts/release", *words],
            cwd=self.folder,
            env={**os.environ, **WHO},
            capture_output=True,
            text=True,
        )

    def refusal(self, *words):
        before = self.git("rev-parse", "HEAD"), self.git("status", "--porcelain")
        done = self.release(*words)
        assert done.returncode == 1, done.stdout + done.stderr
        assert (self.git("rev-parse", "HEAD"), self.git("status", "--porcelain")) == before
        return done.stderr

    def add(self, name, text):
        path = self.folder / name
        path.write_text(path.read_text() + text if path.exists() else text)
        self.git("add", "-A")
        self.git("commit", "-qm", f"Change {name}")


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "checkout")


def test_a_release_has_its_version_everywhere_and_is_built_to_the_same_bytes_twice(checkout):
    done = checkout.release("prepare", "7.8.9")
    assert done.returncode == 0, done.stdout + done.stderr
    assert checkout.git("tag", "--points-at", "HEAD") == "v7.8.9"
    assert checkout.git("status", "--porcelain") == ""
    changelog = (checkout.folder / "CHANGELOG.md").read_text()
    assert re.search(r"^## Unreleased\n\n## 7\.8\.9 - \d{4}-\d\d-\d\d\n", changelog, re.M)
    wheel = checkout.folder / "dist" / "rocketjob-7.8.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as files:
        assert b'__version__ = "7.8.9"' in files.read("rocketjob/__init__.py")
    with tarfile.open(checkout.folder / "dist" / "rocketjob-7.8.9.tar.gz") as files:
        assert "rocketjob-7.8.9/scripts/release" in files.getnames()


def test_files_that_differ_when_they_are_built_again_are_refused(checkout):
    # In the checkout, not in the sdist: what depends on it cannot be built from the sdist.
    checkout.add("secret_ingredient.txt", "42")
    hook = checkout.folder / "hatch_build.py"
    checkout.add(
        hook.name,
        "import pathlib\n"
        "from hatchling.builders.hooks.plugin.interface import BuildHookInterface\n\n\n"
        "class CustomBuildHook(BuildHookInterface):\n"
        "    def initialize(self, version, build_data):\n"
        "        found = pathlib.Path(self.root, 'secret_ingredient.txt').exists()\n"
        "        path = pathlib.Path(self.root, 'rocketjob', 'ingredient.py')\n"
        "        path.write_text(f'FOUND = {found}\\n')\n\n"
        "    def finalize(self, version, build_data, artifact_path):\n"
        "        pathlib.Path(self.root, 'rocketjob', 'ingredient.py').unlink()\n",
    )
    project = checkout.folder / "pyproject.toml"
    text = project.read_text().replace('"/.ci", ', '"/.ci", "/hatch_build.py", ')
    project.write_text(text + "\n[tool.hatch.build.targets.wheel.hooks.custom]\n")
    checkout.git("commit", "-qam", "Build with a secret ingredient")
    said = checkout.refusal("build")
    assert "rocketjob-0.1.0-py3-none-any.whl differs when it is built from the sdist" in said
    assert not (checkout.folder / "dist").exists()


def test_what_cannot_be_released_is_refused_before_anything_is_changed(checkout):
    assert "next is no version: write three numbers" in checkout.refusal("prepare", "next")
    assert "0.0.9 comes before 0.1.0" in checkout.refusal("prepare", "0.0.9")
    checkout.git("tag", "v0.2.0")
    assert "there is a tag v0.2.0 already" in checkout.refusal("prepare", "0.2.0")
    (checkout.folder / "notes.txt").write_text("unfinished")
    assert "commit or remove these first:\n?? notes.txt" in checkout.refusal("prepare", "0.3.0")
    checkout.git("add", "-A")
    checkout.git("commit", "-qm", "Notes")
    checkout.git("checkout", "-qb", "feature")
    assert "releases are made from main, and this is feature" in checkout.refusal(
        "prepare", "0.3.0"
    )
    checkout.git("checkout", "-q", "main")
    changelog = checkout.folder / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-01\n\n- All.\n")
    checkout.git("commit", "-qam", "Nothing new")
    assert "says nothing: what is released?" in checkout.refusal("prepare", "0.3.0")


def test_the_commit_hooks_use_the_ruff_of_the_project():
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    pinned = re.search(r'"(ruff~=[\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert [hook["additional_dependencies"] for hook in repository["hooks"]] == [[pinned]] * 2


@pytest.mark.parametrize("name", ["ci.yml", "nightly.yml", "release.yml"])
def test_a_workflow_runs_what_there_is_on_the_pythons_that_are_supported(name):
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    commands = [
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    ]
    paths = [word for command in commands for word in command.split() if "/" in word]
    ours = [path for path in paths if not path.startswith(".venv/")]
    assert ours and all((ROOT / path).exists() for path in ours)
    assert workflow["permissions"] == {"contents": "read"}
    if name == "ci.yml":
        tried = workflow["jobs"]["check"]["strategy"]["matrix"]["python"]
        classifiers = re.findall(r'Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
        assert tried == [*classifiers, "3.14"]  # not a promise until it was seen to pass


def test_the_forms_for_issues_name_commands_that_there_are():
    from rocketjob.cli import main

    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        assert path.name == "config.yml" or (form["name"] and form["description"] and form["body"])
        for command in re.findall(r"`rocketjob ([a-z ]+)", path.read_text()):
            with pytest.raises(SystemExit) as ended:
                main([*command.split(), "--help"])
            assert ended.value.code == 0
