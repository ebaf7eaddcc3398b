"""Where the extra `web` is not installed, the plugin has no pages, and nothing is wrong."""

import subprocess
import sys

WITHOUT = """
import sys

for name in ("jinja2", "starlette", "uvicorn"):
    sys.modules[name] = None  # as if it was not installed
from rocketjob.plugins.manager import PluginManager

manager = PluginManager(strict=False)
manager.infos()
print(manager.collect("register_pages"), manager.problems)
"""


def test_without_the_extra_no_plugin_is_said_to_have_failed():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[] []\n", "")
