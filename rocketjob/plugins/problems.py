"""What is wrong with plugins: kept for those who ask, and logged once."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from rocketjob.base.errors import HookFailed

log = logging.getLogger(__name__)
WHOLE = ""  # in the place of a hook: the plugin itself is left out


class Problems:
    """Why plugins, or what they bring by a hook, are left out; and what else to look at.

    Threads add to it while others read.
    """

    def __init__(self) -> None:
        self.left_out: set[str] = set()
        self._errors: dict[str, dict[str, str]] = {}  # by plugin and hook
        self._warnings: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._errors)

    @property
    def errors(self) -> list[str]:
        return [text for texts in list(self._errors.values()) for text in list(texts.values())]

    @property
    def warnings(self) -> list[str]:
        return [text for texts in list(self._warnings.values()) for text in texts]

    def error_of(self, plugin: str) -> str | None:
        """Return what is wrong with one plugin."""
        return "; ".join(self._errors.get(plugin, {}).values()) or None

    def warnings_of(self, plugin: str) -> list[str]:
        return self._warnings.get(plugin, [])

    def warn(self, plugin: str, text: str) -> None:
        """Keep what the plugin's author should look at."""
        self._warnings.setdefault(plugin, []).append(text)

    def leave_out(self, plugin: str, text: str) -> None:
        """Keep why a plugin is not loaded; who loads it says so."""
        self.left_out.add(plugin)
        self._errors.setdefault(plugin, {}).setdefault(WHOLE, text)

    def note(self, error: HookFailed) -> None:
        """Keep that a plugin failed in a hook."""
        self.keep(error.plugin, error.hook, str(error), error.__cause__)

    def keep(self, plugin: str, hook: str, text: str, cause: BaseException | None = None) -> None:
        """Keep what is wrong with a plugin in a hook, and log it if that is new."""
        known = self._errors.setdefault(plugin, {})
        if known.get(hook) != text:
            known[hook] = text
            log.error(text)
            log.debug("the error of %s", plugin, exc_info=cause)

    def forget(self, hook: str, failing: Iterable[str]) -> None:
        """Forget what was wrong with those that have not failed in a hook this time."""
        for plugin, texts in list(self._errors.items()):
            if plugin not in failing and texts.pop(hook, ""):
                log.info("the plugin %s works again in %s", plugin, hook)
