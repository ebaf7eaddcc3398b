"""Open a store: the first plugin that knows a URL's scheme does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from rocketjob.base.config import Config
from rocketjob.base.errors import ConfigurationError, HookFailed, RocketJobError
from rocketjob.base.passwords import hide_passwords
from rocketjob.store import Store

if TYPE_CHECKING:
    from rocketjob.plugins.manager import PluginManager  # slow: it reads what is installed
    from rocketjob.server.scratch import Scratch


def opened(plugins: PluginManager, url: str, config: Config) -> Store:
    """Open a store by its URL.

    Raises:
        ConfigurationError: no plugin knows the scheme.
        StoreError: it cannot be opened; the message says what to do.
        HookFailed: nobody has opened it, and a plugin failed when it was asked.
    """
    store: Store | None = _asked(plugins, "open_store", url, config)
    if store is None:
        raise ConfigurationError(_no_store(plugins, url))
    return store


def scratch_beside(plugins: PluginManager, url: str, config: Config) -> Scratch:
    """Make a place for tests beside the store of a URL; raises what `opened` does."""
    scratch: Scratch | None = _asked(plugins, "open_scratch", url, config)
    if scratch is not None:
        return scratch
    opened(plugins, url, attrs.evolve(config, create_store=False)).close()  # says what is wrong
    raise ConfigurationError(f"The plugin that opens {hide_passwords(url)} has no open_scratch")


def _asked(plugins: PluginManager, hook: str, url: str, config: Config) -> Any:
    """Return the first answer, or None.

    Raises:
        RocketJobError: whose URL it is has said no.
        HookFailed: nobody has answered, and a plugin failed when it was asked.
    """
    failures: list[HookFailed] = []

    def failed(error: HookFailed) -> None:
        if isinstance(error.__cause__, RocketJobError):  # whose URL it is has said no
            raise error.__cause__
        failures.append(error)

    answer = plugins.decide(hook, failed, url=url, config=config)
    if answer is None and failures:
        raise failures[0]
    for failure in failures:  # it is not their scheme: the one whose it is has opened it
        plugins.note(failure)
    return None if answer is None else answer.value


def _no_store(plugins: PluginManager, url: str) -> str:
    from urllib.parse import urlsplit  # for start-up time

    scheme = urlsplit(url).scheme or url
    infos = plugins.infos()
    names = [info.name for info in infos if "open_store" in info.hooks]
    absent = [info.name for info in infos if not info.enabled]
    if not names:
        return (
            "No store plugin was found, so nothing can be stored: is rocketjob installed? "
            "In a checkout run: pip install -e ."
        )
    return (
        f"No plugin opens a store with the URL scheme {scheme!r} (stores: {', '.join(names)}). "
    ) + (
        f"Plugins that are disabled or left out: {', '.join(absent)}"
        if absent
        else "Use for example sqlite:///rocketjob.db"
    )
