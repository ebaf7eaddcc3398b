"""Call the hooks of plugins: how each kind of hook is asked, and what an error in one does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pluggy

from rocketjob.base.errors import HookFailed
from rocketjob.plugins.calls import Answer, Failed, Hook, Watch, on_purpose, stop
from rocketjob.plugins.problems import Problems

log = logging.getLogger(__name__)


class Calling:
    """What the manager has of calls: one that fails is named, and the others go on."""

    _pluggy: pluggy.PluginManager
    _hooks: dict[str, Hook]
    _listens: dict[tuple[str | tuple[str, ...], type[Any] | None], bool]
    _watch: Watch
    _problems: Problems

    def whose(self, name: str) -> str:
        """Return a plugin's name with its module and distribution, if it has those."""
        raise NotImplementedError

    def note(self, error: HookFailed) -> None:
        """Keep for `problems`, and log once, that a plugin failed in a hook."""
        self._problems.note(error)

    @property
    def hook(self) -> Any:
        """Call hooks as pluggy does: the first error is the caller's, and no answer is checked."""
        return self._pluggy.hook

    def listens(self, hook: str, job_class: type[Any] | None = None) -> bool:
        """Return whether any plugin implements a hook, so that a hot path can skip the call.

        Args:
            job_class: whether for jobs of this class; see `only_for`.
        """
        known = self._listens  # read once: it is replaced when a plugin comes or goes
        try:
            return known[hook, job_class]
        except KeyError:
            answer = known[hook, job_class] = self._finds_listeners(hook, job_class)
            return answer

    def listens_to_any(self, hooks: tuple[str, ...], job_class: type[Any] | None = None) -> bool:
        """Return whether any plugin implements one of several hooks; as quick as `listens`."""
        known = self._listens
        try:
            return known[hooks, job_class]
        except KeyError:
            answer = any(self.listens(hook, job_class) for hook in hooks)
            known[hooks, job_class] = answer
            return answer

    def _finds_listeners(self, hook: str, job_class: type[Any] | None) -> bool:
        if not hasattr(self._pluggy.hook, hook):
            return False
        known = self._hook(hook)
        return known.is_implemented and (job_class is None or known.concerns(job_class))

    def notify(self, hook: str, /, **arguments: Any) -> None:
        """Call an observing hook: one plugin that fails is logged, the others are still called."""

        def failed(error: HookFailed) -> None:
            log.error(str(error), exc_info=error.__cause__)

        self._hook(hook).all(arguments, failed)

    def answers(self, hook: str, /, failed: Failed | None = None, **arguments: Any) -> list[Answer]:
        """Call a hook of every plugin, and return what each answered.

        Args:
            failed: called with each error, after which the others are called all the same, unless
                it raises; instead of keeping the error for `problems`.
        """
        if self._problems:
            return self._again(hook, arguments, failed or self.note)
        return self._hook(hook).all(arguments, failed or self.note)

    def _again(self, hook: str, arguments: dict[str, Any], failed: Failed) -> list[Answer]:
        """Call a hook in which a plugin may have failed before; forget that of one that works."""
        failing: set[str] = set()

        def note(error: HookFailed) -> None:
            failing.add(error.plugin)
            failed(error)

        answers = self._hook(hook).all(arguments, note)
        self._problems.forget(hook, failing)
        return answers

    def collect(self, hook: str, /, failed: Failed | None = None, **arguments: Any) -> list[Any]:
        """Call a hook that returns lists; return all that the plugins brought, in one list.

        Those that were loaded first, which are the kernel's, come first.
        """
        answers = self.answers(hook, failed, **arguments)
        return [item for answer in reversed(answers) for item in answer.value]

    def decide(self, hook: str, /, failed: Failed | None = None, **arguments: Any) -> Answer | None:
        """Call a hook of one plugin after the other, until one returns something.

        Args:
            failed: as for `answers`; if not given the error is raised.

        Raises:
            HookFailed: a plugin failed, and nobody else was asked.
        """
        return self._hook(hook).first(arguments, failed or stop)

    def around(self, hook: str, body: Callable[[], Any], /, **arguments: Any) -> Any:
        """Call something within the wrappers of a hook; return what it returned.

        A wrapper that fails is kept for `problems`, and changes nothing.

        Raises:
            Exception: what was called has raised it, or a wrapper on purpose, an error of
                RocketJob's own.
        """
        with self.during(hook, **arguments) as returned:
            returned.append(body())
        return returned[0]

    @contextmanager
    def during(self, hook: str, /, **arguments: Any) -> Iterator[list[Any]]:
        """Do the same for a block, whose parts may be run by several threads.

        Yields:
            a list, to which what the call has returned is to be added.
        """
        called, returned = self._hook(hook), list[Any]()
        begun = called.begin_around(arguments, self.note)
        try:
            yield returned
        except BaseException as error:
            raised = called.end_around(begun, self.note, None, error)
            if raised is None or raised is error:
                raise
            raise raised  # noqa: B904 (it has its own cause)
        if (raised := called.end_around(begun, self.note, returned[0])) is not None:
            raise raised

    def first(self, hook: str, /, **arguments: Any) -> Any:
        """Do the same, and return what was returned, or None.

        Raises:
            HookFailed: likewise.
            RocketJobError: what a plugin raised on purpose, with a note that says which one did.
        """
        try:
            answer = self.decide(hook, **arguments)
        except HookFailed as error:
            raise on_purpose(error) from error.__cause__
        return None if answer is None else answer.value

    def _hook(self, name: str) -> Hook:
        hook = self._hooks.get(name)
        if hook is None:
            caller = getattr(self._pluggy.hook, name)
            function = caller.spec.function if caller.spec is not None else None
            implementations = caller.get_hookimpls()
            hook = Hook(name, implementations, function, self.whose, self._watch)
            self._hooks[name] = hook
        return hook

    def ask_one(self, plugin: str, hook: str, /, **offered: Any) -> Any:
        """Call a hook of one plugin alone; return what it answered, or None.

        An error is kept for `problems`.

        Args:
            offered: arguments; those that the hook does not take are left out.

        Raises:
            LookupError: the hook takes another argument besides.
        """
        caller = getattr(self._pluggy.hook, hook)
        if missing := set(caller.spec.argnames) - offered.keys():
            raise LookupError(f"{hook} takes {', '.join(sorted(missing))} besides")
        own = [
            each
            for each in caller.get_hookimpls()
            if each.plugin_name == plugin and not each.wrapper
        ]
        answers = Hook(hook, own, caller.spec.function, self.whose, self._watch).all(
            offered, self.note
        )
        return answers[0].value if answers else None

    def watched(self) -> Any:
        """Return a context in which hooks that block their thread are named in the log."""
        return self._watch.on_a_thread()
