"""What a process works with: its settings, its plugins and its store.

`current()` is made from the configuration when it is first needed; `connect` and `configure`
change it, and tests put their own in its place.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs

from rocketjob.base import config as config_module
from rocketjob.base import directory as base_directory
from rocketjob.base.config import Config, Declared
from rocketjob.base.errors import ConfigurationError, StoreError, StoreUnavailable
from rocketjob.base.log import Logger
from rocketjob.base.passwords import hide_passwords
from rocketjob.base.text import did_you_mean
from rocketjob.plugins import stores
from rocketjob.store import Store, context
from rocketjob.store.context import close, use, using
from rocketjob.store.indexes import (
    are_given,
    described,
    forget_given,
    is_made,
    note_given,
    serves,
)

if TYPE_CHECKING:
    from rocketjob.base.log_service import LogService
    from rocketjob.base.log_targets import LogTarget
    from rocketjob.base.reading import Settings
    from rocketjob.jobs.reasons import Explanation
    from rocketjob.plugins.manager import PluginManager
    from rocketjob.server.scratch import Scratch

__all__ = ["Application", "close", "configure", "connect", "current", "settings", "use", "using"]
log, plugins_log = Logger("rocketjob.store"), Logger("rocketjob.plugins")


class Application:
    """Settings, plugins and store of one process; the last two are made when first needed.

    Args:
        config: None: loaded from files and the environment.
        plugins: None: all that are installed and not disabled. One that cannot be loaded is left
            out, and named in the log.
        indexes: whether indexes that are not there are made; a server does so for its processes.
        directory: where the URLs of `config` are relative to; None: where the process is now.
        given: settings of a test's sandbox: `configure` adds to them, and reads nothing else.
        load_plugins: loads them without those of these names, instead of what is installed.
    """

    def __init__(
        self,
        config: Config | None = None,
        plugins: PluginManager | None = None,
        *,
        indexes: bool = True,
        directory: str | None = None,
        given: Mapping[str, Any] | None = None,
        load_plugins: Callable[[Iterable[str]], PluginManager] | None = None,
    ) -> None:
        self.config = config if config is not None else config_module.load()
        self.given = dict(given) if given is not None else None
        self.looks_only = False
        self.directory = directory or base_directory.of_process()
        self._plugins = plugins
        self._load_plugins = load_plugins or _installed_plugins
        self._makes_indexes = self._says_what_is_wrong = indexes
        self._store: Store | None = None
        self._other_stores: dict[str, Store] = {}
        self._unreached: dict[str, StoreUnavailable] = {}
        self._lock = threading.RLock()

    @property
    def plugins(self) -> PluginManager:
        if self._plugins is None:
            with self._lock:
                if self._plugins is None:
                    plugins = self._load_plugins(self.config.disabled_plugins)
                    if self._says_what_is_wrong:  # else the server has, for all its processes
                        say_what_is_wrong(plugins, self.config)
                    self._plugins = plugins
        return self._plugins

    @property
    def loaded_plugins(self) -> PluginManager | None:
        """The plugins, if something has needed them."""
        return self._plugins

    def declared(self, disabled: Iterable[str]) -> Declared:
        """Return the settings of the plugins without those of some names."""
        if self._plugins is not None and set(disabled) == set(self.config.disabled_plugins):
            return self._plugins.declared
        return self._load_plugins(disabled).declared

    def settings(self, plugin: str | None = None) -> Settings:
        """Return the settings of one plugin, or all: for `rocketjob.settings`.

        Raises:
            ConfigurationError: there is no such plugin, or it is not loaded.
        """
        from rocketjob.base.reading import everything, of_keys  # for start-up time

        declared = self.plugins.declared
        if plugin is None:
            return everything(self.config, declared)
        own = [*declared.of_plugins.get(plugin, ()), *declared.keys_in(plugin)]
        if not own and plugin not in self.plugins.names:
            known = sorted({*self.plugins.names, *declared.tables})
            hint = did_you_mean(plugin, known, f"there are {', '.join(known)}")
            raise ConfigurationError(f"No plugin {plugin} is loaded, so it has no settings; {hint}")
        return of_keys(plugin, own, self.config, declared)

    def log_targets(self) -> dict[str, LogTarget]:
        """Return where the log can go, by name."""
        targets: dict[str, LogTarget] = {}
        for answer in reversed(self.plugins.answers("register_log_targets")):  # the kernel's first
            for target in answer.value:
                if targets.setdefault(target.name, target) is not target:
                    why = f"brings the log target {target.name}, but there is one of that name"
                    self.plugins.refuse(answer, "register_log_targets", why)
        return targets

    def log_service(self, log: Any = None) -> LogService:
        """Return what writes the log of this process, where the settings say; it is not started.

        Args:
            log: instead of the setting.

        Raises:
            WrongSetting: a target does not exist, or its options are wrong.
        """
        from rocketjob.base.log_service import LogService  # both for start-up time
        from rocketjob.base.log_targets import KERNEL_TARGETS, wanted

        log = self.config.log if log is None else log
        own = {target.name: target for target in KERNEL_TARGETS}
        is_own = all(one.target in own for one in wanted(log))
        targets = own if is_own else self.log_targets()
        return LogService(self.config.log_level, log, targets.values())

    @property
    def store(self) -> Store:
        if self._store is None:
            with self._lock:
                if self._store is None:
                    store = self._open(self.config.url)
                    if self._makes_indexes:
                        self.ensure_indexes(store, again=False)
                    self._store = store
        return self._store

    def store_at(self, url: str | None) -> Store:
        """Return the store of this URL, opened once and closed with the application.

        Args:
            url: None: where documents live.
        """
        if url in (None, self.config.url):
            return self.store
        store = self._other_stores.get(str(url))
        if store is None:
            with self._lock:
                store = self._other_stores.get(str(url)) or self._open_other(str(url))
                self._other_stores[str(url)] = store
        return store

    def _open_other(self, url: str) -> Store:
        """Open a store; what only looks does not wait again for one that could not be reached."""
        if url in self._unreached:
            raise self._unreached[url]
        try:
            return self._open(url)
        except StoreUnavailable as error:
            if self.looks_only:
                self._unreached[url] = error
            raise

    def stores(self) -> list[Store]:
        """Return every store that holds documents: the one of `url`, and those of plugins."""
        urls = self.plugins.collect("register_stores", config=self.config)
        return list(dict.fromkeys([self.store, *map(self.store_at, urls)]))

    def _open(self, url: str) -> Store:
        with base_directory.within(self.directory):
            return self.open_store(url)

    def open_store(self, url: str, *, create: bool = True) -> Store:
        """Open a store by its URL.

        Args:
            create: whether one that does not exist may be made, as far as the settings allow it.

        Raises:
            ConfigurationError: no plugin knows the scheme.
            StoreError: it cannot be opened; the message says what to do.
            HookFailed: nobody has opened it, and a plugin failed when it was asked.
        """
        config = self.config if create else attrs.evolve(self.config, create_store=False)
        return stores.opened(self.plugins, url, config)

    def open_scratch(self, url: str) -> Scratch:
        """Make a place for tests beside the store of a URL; raises what `open_store` does."""
        with base_directory.within(self.directory):
            return stores.scratch_beside(self.plugins, url, self.config)

    def look_only(self) -> None:
        """Make no store and no index from here on; a store that does not exist is an error."""
        self.leave_indexes()
        self.config, self.looks_only = attrs.evolve(self.config, create_store=False), True

    def leave_indexes(self) -> None:
        """Open the store without making indexes: for what makes them itself, or only looks."""
        self._makes_indexes = False

    def ensure_indexes(self, store: Store, *, again: bool = True) -> None:
        """Create the indexes of the kernel and of every plugin that are not there yet.

        Args:
            again: look at them also if the store is known to have been given each. A server does
                so when it starts: a collection that was dropped has lost its own.

        Raises:
            StoreError: something could be there twice, since there is no index to refuse it.
        """
        if not again and are_given(store, self.indexes(store)):
            return
        given: list[str] = []
        for collection, spec, error in self.create_indexes(store):
            if error is None:
                given.append(described(collection, spec))
            if error is not None and spec.get("unique") and not _has(store, collection, spec):
                forget_given(store)  # so that nobody else goes on either
                raise StoreError(
                    f"The unique index {spec['name']} of {collection} in {store.url} cannot be "
                    f"made, and without it the same thing could be there twice: {error}. "
                    "`rocketjob store indexes` says what to do"
                ) from error
            if error is not None:
                log.error(
                    "an index cannot be made as it should be: see rocketjob store indexes",
                    collection=collection,
                    index=spec["name"],
                    error=str(error)[:300],
                )
        note_given(store, given)

    def create_indexes(
        self, store: Store
    ) -> Iterator[tuple[str, Mapping[str, Any], Exception | None]]:
        """Create the indexes one by one; yield for each its collection, and why it was refused.

        Those of a collection are looked at in one go; only what is missing or differs is asked for.
        An index that differs between releases must not stop every command.

        Raises:
            Exception: the store cannot be opened or reached.
        """
        for collection, specs in self.indexes(store).items():
            present = store.collection(collection).index_information()
            for spec in specs:
                refused: Exception | None = None
                try:
                    if not is_made(present, spec):
                        store.collection(collection).create_index(**spec)
                except Exception as error:
                    if store.is_transient(error):
                        raise
                    # Raises where not this index is wrong, but the store cannot be used at all.
                    store.collection(collection).find_one({"_id": None}, {"_id": 1})
                    refused = error
                yield collection, spec, refused

    def indexes(self, store: Store | None = None) -> dict[str, list[Mapping[str, Any]]]:
        """Return all indexes, by collection; with those that this store itself needs."""
        by_plugin = [answer.value for answer in reversed(self.plugins.answers("register_indexes"))]
        if store is not None:
            by_plugin.append(store.indexes())
        indexes: dict[str, list[Mapping[str, Any]]] = {}
        for collections in by_plugin:
            for collection, specs in collections.items():
                indexes.setdefault(collection, []).extend(specs)
        return indexes

    def work(self, job: Any, worker: Any) -> None:
        """Do the work of a claimed job that has one perform: for `job.work`."""
        self._work(job, worker)

    @functools.cached_property
    def _work(self) -> Callable[[Any, Any], None]:
        from rocketjob.worker.runner import work_simple_job  # for start-up time

        return work_simple_job

    def perform_now(self, job: Any) -> Any:
        """Run a job here: for `job.perform_now()`."""
        from rocketjob.server import inline  # for start-up time
        from rocketjob.worker import runner

        if job.is_new or type(job).joinable is None:
            return runner.perform_now(job)
        return inline.perform_now(job, self.config.heartbeat_seconds)

    def tell_workers(self, job: Any) -> None:
        """Tell whoever performs a job that it is not theirs any more; an error is only logged."""
        from rocketjob.server.subscribers import WorkerSubscriber  # for start-up time

        WorkerSubscriber.tell_of(job)

    def explain(self, job: Any) -> Explanation:
        """Say why a job is not running now: for `job.explain()`."""
        from rocketjob.server.explain import explain  # for start-up time

        return explain(job)

    def reconfigure(self, settings: Mapping[str, Any]) -> Config:
        """Change settings of a sandbox; the store stays the test's own.

        Raises:
            ConfigurationError: an unknown setting, a wrong value, or another store.
        """
        assert self.given is not None, "only a sandbox is changed in place"
        given = config_module.merged(self.given, settings)
        config = config_module.load_given(given, self.declared)
        if config.url != self.config.url:
            raise ConfigurationError(
                f"The URL {hide_passwords(config.url)} in a test's sandbox: what the test stores "
                "from here on would be in that store, and stay there. If that is what you want, "
                "give the sandbox the store: sandbox(url)"
            )
        with self._lock:
            if config.disabled_plugins != self.config.disabled_plugins:
                self._plugins = None
            self.config, self.given = config, given
        return config

    def after_fork(self) -> None:
        """Begin with a lock that no thread holds: those of the parent are not here."""
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the store; it is opened again when needed."""
        with self._lock:
            for store in (self._store, *self._other_stores.values()):
                if store is not None:
                    store.close()
            self._store = None
            self._other_stores.clear()


_overrides: dict[str, Any] = {}
_lock = threading.RLock()


def current() -> Application:
    """Return this process's application."""
    return cast(Application, context.current())


def loaded_plugins() -> PluginManager | None:
    """Return this process's plugins if something has needed them."""
    application = context.present()
    return application._plugins if isinstance(application, Application) else None


def unread_settings() -> list[str]:
    """Return which tables of this process's files no plugin reads, in words."""
    application = context.present()
    return application.config.unread if isinstance(application, Application) else []


def configure(**settings: Any) -> Config:
    """Set settings in code; they win over file and environment.

    Without an argument nothing changes: that reads the settings. In a test's sandbox the settings
    of the sandbox are changed, until it ends.

    Returns:
        all settings, as they now are.

    Raises:
        ConfigurationError: an unknown setting or a wrong value.
    """
    with _lock:
        if not settings:
            return current().config
        if (sandbox := _sandbox()) is not None:
            return sandbox.reconfigure(settings)
        return reload(**settings)


def set_in_code() -> dict[str, Any]:
    """Return the settings of `configure` and `connect`, and of options: they win over files."""
    return dict(_overrides)


def reload(**settings: Any) -> Config:
    """Read files and environment again; settings given here win, now and from here on.

    Returns:
        all settings, as they now are.

    Raises:
        ConfigurationError: an unknown setting or a wrong value.
    """
    with _lock:
        given = config_module.merged(_overrides, settings)
        config = config_module.load(given)
        if context.is_fixed() and _are_set(config, settings):
            return current().config
        _replace(_successor(config))
        _overrides.update(given)
    return config


def settings(plugin: str | None = None) -> Settings:
    """Return the settings of a plugin as they are now, to be read: `settings("notify").url`.

    Args:
        plugin: its name, or that of its table. None: all settings, as in
            `settings().workers` and `settings().notify.url`.

    Raises:
        ConfigurationError: there is no such plugin, or it is not loaded.
    """
    return current().settings(plugin)


def connect(url: str) -> Store:
    """Use the store of this URL in this process, and open it now.

    Raises:
        ConfigurationError: no plugin knows the scheme; a test's sandbox has another store; or this
            is a server's process that performs jobs.
        StoreError: it cannot be opened; the message says what to do.
    """
    with _lock:
        if (sandbox := _sandbox()) is not None:
            sandbox.reconfigure({"url": url})
            return sandbox.store
        if context.is_fixed():
            if url == current().config.url:
                return current().store
            raise ConfigurationError(context.FIXED)
        application = _successor(config_module.load({**_overrides, "url": url}))
        store = application.store  # before anything is changed: it may fail
        _replace(application)
        _overrides["url"] = url
    return store


def in_sandbox() -> bool:
    """Return whether this process works in the sandbox of a test, whose store it keeps."""
    return _sandbox() is not None


def _sandbox() -> Application | None:
    """Return the application of the test that runs, if it has one of its own."""
    application = context.present()
    is_sandbox = isinstance(application, Application) and application.given is not None
    return cast(Application, application) if is_sandbox else None


def _are_set(config: Config, settings: Iterable[str]) -> bool:
    values, present = config.as_dict(), current().config.as_dict()
    tables = tuple(f"{name}." for name in settings)  # one may be a table
    chosen = [name for name in values if name in settings or name.startswith(tables)]
    return all(values[name] == present[name] for name in chosen)


def _has(store: Store, collection: str, spec: Mapping[str, Any]) -> bool:
    """Return whether there is a unique index of this name and these keys, with whatever filter."""
    existing = store.collection(collection).index_information().get(spec["name"])
    if existing is None or not existing.get("unique"):
        return False
    return serves(
        {**existing, "partialFilterExpression": spec.get("partialFilterExpression")}, spec
    )


def _successor(config: Config) -> Application:
    application, present = Application(config), context.present()
    if isinstance(present, Application) and present.looks_only:
        application.look_only()
    return application


def _replace(application: Application) -> None:
    previous = context.replace(application)
    if previous is not None:
        previous.close()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


def say_what_is_wrong(plugins: PluginManager, config: Config) -> None:
    """Log which plugins, or which parts of them, are left out, and what nobody reads."""
    for problem in plugins.problems:
        plugins_log.error(problem)
    for warning in (*plugins.warnings, *config.unread):
        plugins_log.warning(warning)


def _installed_plugins(disabled: Iterable[str]) -> PluginManager:
    from rocketjob.plugins.manager import PluginManager  # slow: it reads what is installed

    return PluginManager(disabled, strict=False)


def _settings_of_plugins(disabled: Iterable[str]) -> Declared:
    application = context.present()
    if isinstance(application, Application):
        return application.declared(disabled)
    return _installed_plugins(disabled).declared


config_module.declared_by(_settings_of_plugins)
context.made_by(lambda: Application(config_module.load(_overrides)))
os.register_at_fork(after_in_child=_after_fork)
