"""A virtual environment of a test's own, made in seconds and without a network.

What is installed where the tests run is lent to it by a .pth file; what it is about is installed by
pip.
"""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import rocketjob

OFFLINE = ("--no-input", "--disable-pip-version-check", "-q", "--no-deps", "--no-index")


class Environment:
    """A virtual environment in a folder, with RocketJob and all that it needs."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False, symlinks=True)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        self.site = next((folder / "lib").glob("python*")) / "site-packages"
        root = Path(rocketjob.__file__).parents[1]
        lent = (sysconfig.get_path("purelib"), root, root / "plugins", root / "contrib")
        (self.site / "lent.pth").write_text("".join(f"{each}\n" for each in lent))

    def run(self, code, **settings):
        """Run a program that prints JSON, with these as SETTINGS; return what it prints."""
        return json.loads(self.python_says("-W", "error", "-c", f"SETTINGS = {settings!r}\n{code}"))

    def python_says(self, *arguments, cwd=None, timeout=120):
        """Run Python, which must not fail; return what it writes to standard output."""
        done = subprocess.run(
            [self.python, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env={**os.environ, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, path):
        """Install a wheel, or build and install a distribution that is a folder."""
        build = ("--no-build-isolation",) if path.is_dir() else ()
        self.pip("install", *OFFLINE, *build, str(path))

    def uninstall(self, name):
        self.pip("uninstall", "-q", "-y", name)

    def pip(self, *arguments):
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
