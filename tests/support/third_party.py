"""A small distribution of somebody else's: a mixin, a hook, a hook of its own and a job."""

import base64
import hashlib
import zipfile

NAME = "rocketjob_plugin_slack"
VERSION = "1.2"
MODULE = '''
"""Tell a channel about failed jobs."""

from rocketjob import Job, after, field, hookimpl, hookspec

told = []
changes = []


class NotifySlack:
    slack_channel: str | None = field(default=None, user_editable=True, copy_on_restart=True)

    @after("fail")
    def tell_slack(self):
        told.append((self.slack_channel, self.exception.message))


class SlackDigestJob(Job):
    """Sends what was told."""

    collect_output = True
    destroy_on_complete = False

    def perform(self):
        return {"told": [list(each) for each in told]}


@hookimpl
def state_changed(job, event, source, target):
    changes.append((type(job).__name__, event, source, target))


@hookimpl
def register_mixins():
    return [NotifySlack]


@hookimpl
def register_jobs():
    return [SlackDigestJob]
'''
METADATA = f"Metadata-Version: 2.1\nName: rocketjob-plugin-slack\nVersion: {VERSION}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRY_POINTS = f"[rocketjob]\nslack = {NAME}\n"


def build_wheel(folder):
    """Write the distribution's wheel into a folder and return its path; no build tool is needed."""
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        f"{NAME}.py": MODULE,
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": ENTRY_POINTS,
    }
    record = "".join(f"{name},{_hash(text)},{len(text.encode())}\n" for name, text in files.items())
    path = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(name, text)
    return path


def _hash(text):
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
