"""For test cases of Django: a store of one's own for each test.

    class OrderTests(WithRocketJob, TestCase):
        def test_an_order_gets_a_receipt(self):
            with self.captureOnCommitCallbacks(execute=True):
                self.client.post("/", {"product": 1, "quantity": 2})
            self.assertEqual(self.rocketjob.work_off(), 1)

`TestCase` never commits, so what waits for the commit is called by `captureOnCommitCallbacks`. With
pytest the fixture `rocketjob` does the same.
"""

from __future__ import annotations

from typing import Any

from rocketjob.testing import Sandbox, sandbox


class WithRocketJob:
    """Mixin, before `TestCase`: `self.rocketjob` is the sandbox of each test."""

    rocketjob: Sandbox

    def setUp(self) -> None:
        case: Any = self
        self.rocketjob = case.enterContext(sandbox())
        super().setUp()  # type: ignore[misc]
