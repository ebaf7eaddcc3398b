"""For tests of jobs: a private store, a queue run inline, and a clock that can be moved.

The pytest fixture `rocketjob` is a `Sandbox`; `sandbox()` gives one to any other test framework.
"""

from __future__ import annotations

from rocketjob.testing.sandbox import Sandbox, sandbox

__all__ = ["Sandbox", "sandbox"]
