"""What a process works with: its settings, its plugins and its store.

`current()` is made from the configuration when it is first needed; `connect` and `configure`
change it, and tests put their own in its place.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rocketjob import config as config_module
from rocketjob.config import Config
from rocketjob.errors import ConfigurationError
from rocketjob.log import Logger
from rocketjob.store import Store

if TYPE_CHECKING:
    from rocketjob.plugin_manager import PluginManager

log = Logger("rocketjob.store")


class Application:
    """Settings, plugins and store of one process; the last two are made when first needed.

    Args:
        config: None: loaded from files and the environment.
        plugins: None: all that are installed and not disabled.
        indexes: whether indexes that are not there are made; a server does so for its processes.
    """

    def __init__(
        self,
        config: Config | None = None,
        plugins: PluginManager | None = None,
        *,
        indexes: bool = True,
    ) -> None:
        self.config = config if config is not None else config_module.load()
        self._plugins = plugins
        self._makes_indexes = indexes
        self._store: Store | None = None
        self._slices_store: Store | None = None
        self._lock = threading.RLock()

    @property
    def plugins(self) -> PluginManager:
        if self._plugins is None:
            from rocketjob.plugin_manager import PluginManager  # slow: it reads what is installed

            with self._lock:
                if self._plugins is None:
                    self._plugins = PluginManager(self.config.disabled_plugins)
        return self._plugins

    @property
    def store(self) -> Store:
        if self._store is None:
            with self._lock:
                if self._store is None:
                    store = self.open_store(self.config.url)
                    if self._makes_indexes:
                        self.ensure_indexes(store)
                    self._store = store
        return self._store

    @property
    def slices_store(self) -> Store:
        """Where the slices of batch jobs are: in `slices_url`, or with everything else."""
        if self.config.slices_url in (None, self.config.url):
            return self.store
        if self._slices_store is None:
            with self._lock:
                if self._slices_store is None:
                    self._slices_store = self.open_store(str(self.config.slices_url))
        return self._slices_store

    def open_store(self, url: str) -> Store:
        """Open a store by its URL.

        Raises:
            ConfigurationError: no plugin knows the scheme.
            StoreError: it cannot be opened; the message says what to do.
        """
        store: Store | None = self.plugins.hook.open_store(url=url, config=self.config)
        if store is None:
            raise ConfigurationError(self._no_store(url))
        return store

    def _no_store(self, url: str) -> str:
        from urllib.parse import urlsplit

        scheme = urlsplit(url).scheme or url
        names = [info.name for info in self.plugins.infos() if "open_store" in info.hooks]
        if not names:
            return (
                "No store plugin was found, so nothing can be stored: is rocketjob installed? "
                "In a checkout run: pip install -e ."
            )
        return (
            f"No plugin opens a store with the URL scheme {scheme!r} (stores: "
            f"{', '.join(names)}). Use for example sqlite:///rocketjob.db"
        )

    def ensure_indexes(self, store: Store) -> None:
        """Create the indexes of the kernel and of every plugin that are not there yet."""
        for collection, spec, error in self.create_indexes(store):
            if error is not None:
                log.error(
                    "an index cannot be made as it should be: see rocketjob store indexes",
                    collection=collection,
                    index=spec["name"],
                    error=str(error)[:300],
                )

    def create_indexes(
        self, store: Store
    ) -> Iterator[tuple[str, Mapping[str, Any], Exception | None]]:
        """Create the indexes one by one; yield for each its collection, and why it was refused.

        An index that differs between releases or cannot be unique must not stop every command.

        Raises:
            Exception: the store cannot be opened or reached.
        """
        for collection, specs in self.indexes(store).items():
            for spec in specs:
                refused: Exception | None = None
                try:
                    store.collection(collection).create_index(**spec)
                except Exception as error:
                    if store.is_transient(error):
                        raise
                    # Raises where not this index is wrong, but the store cannot be used at all.
                    store.collection(collection).find_one({"_id": None}, {"_id": 1})
                    refused = error
                yield collection, spec, refused

    def indexes(self, store: Store | None = None) -> dict[str, list[Mapping[str, Any]]]:
        """Return all indexes, by collection; with those that only this store needs."""
        from rocketjob import events, job, server, successors

        own = {**job.INDEXES, **server.INDEXES, **events.INDEXES}
        found: dict[str, list[Mapping[str, Any]]] = {k: list(v) for k, v in own.items()}
        plain = store is not None and not store.supports_transactions
        more = [successors.INDEXES] if plain else []
        for brought in [*reversed(self.plugins.hook.register_indexes()), *more]:
            for collection, specs in brought.items():
                found.setdefault(collection, []).extend(specs)
        return found

    def close(self) -> None:
        """Close the store; it is opened again when needed."""
        with self._lock:
            for store in (self._store, self._slices_store):
                if store is not None:
                    store.close()
            self._store = self._slices_store = None


_current: Application | None = None
_overrides: dict[str, Any] = {}
_lock = threading.RLock()


def current() -> Application:
    """Return this process's application."""
    global _current
    if _current is None:
        with _lock:
            if _current is None:
                _current = Application(config_module.load(_overrides))
    return _current


def configure(**settings: Any) -> Config:
    """Set settings in code; they win over file and environment.

    Returns:
        all settings, as they now are.

    Raises:
        ConfigurationError: an unknown setting or a wrong value.
    """
    global _current
    with _lock:
        config = config_module.load({**_overrides, **settings})
        _overrides.update(settings)
        if _current is not None:
            _current.close()
        _current = Application(config)
    return config


def connect(url: str) -> Store:
    """Use the store of this URL in this process, and open it now.

    Raises:
        ConfigurationError: no plugin knows the scheme.
        StoreError: it cannot be opened; the message says what to do.
    """
    global _current
    with _lock:
        config = config_module.load({**_overrides, "url": url})
        application = Application(config)
        store = application.store  # before anything is changed: it may fail
        if _current is not None:
            _current.close()
        _current = application
        _overrides["url"] = url
    return store


def use(application: Application) -> Application:
    """Make this the process's application for good."""
    global _current
    with _lock:
        _current = application
    return application


def close() -> None:
    """Close this process's store, if it was opened; it is opened again when needed."""
    if _current is not None:
        _current.close()


@contextmanager
def using(application: Application) -> Iterator[Application]:
    """Put another application in place of this process's for a block, for example in a test."""
    global _current
    with _lock:
        previous, _current = _current, application
    try:
        yield application
    finally:
        with _lock:
            _current = previous
        application.close()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    if _current is not None:
        _current._lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
