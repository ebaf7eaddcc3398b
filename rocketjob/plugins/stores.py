"""Open a store: the first plugin that knows a URL's scheme does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob.base.config import Config
from rocketjob.base.errors import ConfigurationError, HookFailed, RocketJobError
from rocketjob.store import Store

if TYPE_CHECKING:
    from rocketjob.plugins.manager import PluginManager  # slow: it reads what is installed


def opened(plugins: PluginManager, url: str, config: Config) -> Store:
    """Open a store by its URL.

    Raises:
        ConfigurationError: no plugin knows the scheme.
        StoreError: it cannot be opened; the message says what to do.
        HookFailed: nobody has opened it, and a plugin failed when it was asked.
    """
    failures: list[HookFailed] = []

    def failed(error: HookFailed) -> None:
        if isinstance(error.__cause__, RocketJobError):  # whose URL it is has said no
            raise error.__cause__
        failures.append(error)

    answer = plugins.decide("open_store", failed, url=url, config=config)
    if answer is None and failures:
        raise failures[0]
    if answer is None:
        raise ConfigurationError(_no_store(plugins, url))
    for failure in failures:  # it is not their scheme: the one whose it is has opened it
        plugins.note(failure)
    store: Store = answer.value
    return store


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
