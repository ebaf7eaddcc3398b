"""Which job comes next: claiming in the order of priority, limits, and why a job waits."""

from rocketjob.base.deprecation import moved

__getattr__ = moved(__name__, {"Queue": "rocketjob.queue.dispatch"})
