"""The settings that an application gives to RocketJob where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rocketjob
from rocketjob import application


def use_settings(given: Mapping[str, Any]) -> None:
    """Use the settings of an application; a test's sandbox keeps its own store.

    Raises:
        ConfigurationError: one is unknown or wrong.
    """
    if application.in_sandbox():
        given = {name: value for name, value in given.items() if name != "url"}
    rocketjob.configure(**given)
