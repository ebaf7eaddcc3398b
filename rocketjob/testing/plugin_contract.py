"""What every plugin keeps to: a suite for its own tests.

    from rocketjob.testing.plugin_contract import PluginContract

    class TestNotify(PluginContract):
        plugin = "notify"

It needs pytest, and the plugin to be installed. One that is also a mixin, a store or a format has
the suites of those besides.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Any, ClassVar

import click
import pytest

from rocketjob.base.settings import Setting, in_variables
from rocketjob.plugins.distributions import OWN, name_and_version, refused_version
from rocketjob.plugins.hookspecs import GROUP
from rocketjob.plugins.infos import PluginInfo
from rocketjob.plugins.manager import PluginManager
from rocketjob.testing.importing import imported
from rocketjob.testing.life import live
from rocketjob.testing.sandbox import Sandbox, sandbox

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SECRET = re.compile(r"passw|secret|token|api_?key|private")
QUICK = 0.1  # seconds of an import that are nothing to speak of, however quick RocketJob was
TRIES = 5
_looked_at = functools.cache(imported)  # several tests want to know


class _Commands(click.Group):
    """What a plugin adds to the command line, also to groups that the package has."""

    def add_to(self, group: str, cmd: click.Command) -> None:
        self.add_command(cmd)


class PluginContract:
    """Every test of the contract of plugins; a subclass names the plugin.

    Attributes:
        plugin: the name of its entry point.
        needs: plugins without which it does not work.
        settings: for the sandboxes of the tests: such as make it hold back no job.
        other_settings: those of its settings that are not in a table of its name.
        import_ratio: how many times as long as RocketJob itself its import may take, without that
            of other plugins that it builds on.
    """

    plugin: ClassVar[str]
    needs: ClassVar[Sequence[str]] = ()
    settings: ClassVar[Mapping[str, Any]] = {}
    other_settings: ClassVar[Sequence[str]] = ()
    import_ratio: ClassVar[float] = 1.0

    def alone(self) -> AbstractContextManager[Sandbox]:
        """Return a sandbox with this plugin, those that it needs, and no other."""
        return sandbox(plugins=[self.plugin, *self.needs], **self.settings)

    def among_all(self) -> AbstractContextManager[Sandbox]:
        """Return a sandbox with all plugins that are installed."""
        return sandbox(**self.settings)

    # --- how it is found ---------------------------------------------------------------------

    def test_it_is_installed_under_a_name_of_its_own(self) -> None:
        found = _entry_point(self.plugin)
        assert NAME.fullmatch(self.plugin), "use small letters, digits and hyphens"
        assert refused_version(found) is None

    def test_its_distribution_says_for_which_rocketjob_it_is(self) -> None:
        found = getattr(_entry_point(self.plugin), "dist", None)
        if found is None or found.name == OWN:
            return
        wanted = [each for each in found.requires or () if re.match(rf"{OWN}\b(?!-)", each)]
        assert wanted, f"add to its dependencies: rocketjob>={metadata.version(OWN)}"
        assert re.search(r"[<>=~]", wanted[0]), f"{wanted[0]} takes any version: name a range"

    # --- its import --------------------------------------------------------------------------

    def test_its_import_is_quick(self) -> None:
        found = _entry_point(self.plugin)
        builds_on = _other_plugins(_looked_at(self.plugin, found.value).modules, found)
        look = functools.partial(imported, self.plugin, found.value, builds_on)
        looks = [look()]
        # A busy machine makes an import slower than it is, and none quicker. It may do so to one of
        # the two only, so that each look by itself says little.
        while (took := min(look.plugin for look in looks)) > max(
            QUICK, self.import_ratio * (kernel := max(look.kernel for look in looks))
        ):
            if len(looks) > TRIES:
                pytest.fail(
                    f"its import takes {took:.2f} s, and that of RocketJob {kernel:.2f} s: "
                    "import what is large in the functions that need it"
                )
            looks.append(look())

    def test_its_import_says_and_changes_nothing(self) -> None:
        found = _looked_at(self.plugin, _entry_point(self.plugin).value)
        assert found.error == ""
        assert found.printed == ""
        assert found.changed == [], "leave alone what belongs to the process, and Job"

    # --- its hooks ---------------------------------------------------------------------------

    def test_it_is_loaded_without_a_complaint(self) -> None:
        with self.alone() as made:
            info = _info(made, self.plugin)
        assert info.enabled
        assert info.error is None
        assert info.warnings == (), (
            "a hook of another plugin needs @hookimpl(optionalhook=True), or that plugin in `needs`"
        )
        assert info.hooks, "it implements no hook, so it is no plugin"

    def test_what_its_hooks_bring_is_taken(self) -> None:
        _entry_point(self.plugin)
        with self.among_all() as made:
            made.plugins.answers("register_stores", config=made.application.config)
            made.plugins.answers("register_commands", cli=_Commands())
            assert _info(made, self.plugin).error is None

    def test_its_mixins_and_jobs_say_what_they_are_for(self) -> None:
        with self.alone() as made:
            for hook in ("register_mixins", "register_jobs"):
                for cls in _brought(made, self.plugin, hook):
                    assert vars(cls).get("__doc__"), f"{cls.__name__} has no docstring"

    def test_its_checks_can_be_made(self) -> None:
        from rocketjob.server.checks import Finding, Patient  # for start-up time

        with self.alone() as made:
            for hook in ("register_checks", "register_signs"):
                for check in _brought(made, self.plugin, hook):
                    for finding in check.look(Patient(made.application, {})):
                        assert isinstance(finding, Finding), f"{check.area} yields {finding!r}"

    def test_its_metrics_have_names_of_their_own_and_its_gauges_can_be_looked_up(self) -> None:
        from rocketjob.server.metrics import Gauge  # for start-up time

        with self.alone() as made:
            for metric in _brought(made, self.plugin, "register_metrics"):
                known = made.plugins.metrics.get(metric.name)
                assert known is metric, f"there is another metric {metric.name}"
                if isinstance(metric, Gauge):
                    metric.values()

    def test_its_questions_have_names_of_their_own(self) -> None:
        from rocketjob.server.questions import brought_by  # for start-up time

        with self.among_all() as made:
            known = brought_by(made.plugins)
            for question in _brought(made, self.plugin, "register_questions"):
                assert question in known, f"there is another question {question.name}"

    # --- its settings and commands -----------------------------------------------------------

    def test_its_settings_are_in_its_table(self) -> None:
        for key, setting in self._settings().items():
            assert key in self.other_settings or setting.table == in_variables(self.plugin), (
                f"Setting({setting.name!r}, ..., table={self.plugin!r}), so that nobody else has a "
                "setting of that name"
            )

    def test_the_defaults_of_its_settings_are_values_that_can_be_set(self) -> None:
        for name, setting in self._settings().items():
            assert setting.help, f"{name} has no line of help"
            if setting.default is not None:
                assert setting.parse(setting.default) == setting.default, name

    def test_its_secrets_are_hidden(self) -> None:
        for name, setting in self._settings().items():
            assert setting.secret or not SECRET.search(name), (
                f"{name} is shown by `rocketjob config`: Setting(..., secret=True)"
            )

    def test_its_commands_say_what_they_do(self) -> None:
        group = _Commands("rocketjob")
        with self.alone() as made:
            made.plugins.answers("register_commands", cli=group)
            for path, command in _commands(group, ()):
                with click.Context(command, info_name=" ".join(path)) as ctx:
                    assert command.get_help(ctx)
                has_help = command.help or command.short_help
                assert has_help, f"rocketjob {' '.join(path)} has no help"

    # --- with others, and without ------------------------------------------------------------

    def test_jobs_live_with_it_alone(self) -> None:
        with self.alone() as made:
            assert live(made) == []

    def test_jobs_live_with_it_among_all_others(self) -> None:
        with self.among_all() as made:
            assert live(made) == []

    def test_it_is_loaded_while_any_other_is_disabled(self) -> None:
        others = {each.name for each in metadata.entry_points(group=GROUP)} - {self.plugin}
        for other in sorted(others - set(self.needs)):
            plugins = PluginManager(disabled=[other], strict=False)
            error = {info.name: info.error for info in plugins.infos()}[self.plugin]
            assert error is None, f"with {other} disabled"

    def test_jobs_live_while_it_is_disabled(self) -> None:
        with self.alone() as made:
            if _opens_the_store(made, self.plugin):
                return  # it is the store of these tests
        with sandbox(disabled_plugins=[self.plugin]) as made:
            assert live(made) == []

    def _settings(self) -> dict[str, Setting[Any]]:
        names = {self.plugin, *self.needs}
        chosen = [each for each in metadata.entry_points(group=GROUP) if each.name in names]
        declared = PluginManager(entry_points=chosen).declared
        return {
            name: setting
            for name, setting in declared.settings.items()
            if declared.owners[name] == self.plugin
        }


def _entry_point(plugin: str) -> metadata.EntryPoint:
    """Return the one entry point of a plugin."""
    found = {
        (each.value, name_and_version(each)[0]): each
        for each in metadata.entry_points(group=GROUP)
        if each.name == plugin
    }
    assert found, f"no plugin {plugin} is installed: pip install -e ."
    assert len(found) == 1, f"{plugin} is the name of {len(found)} plugins"
    return next(iter(found.values()))


def _other_plugins(modules: Sequence[str], own: metadata.EntryPoint) -> list[str]:
    """Return those of some modules that are other plugins: their import is their own concern."""
    others = {each.module for each in metadata.entry_points(group=GROUP)} - {own.module}
    return sorted(others.intersection(modules))


def _info(made: Sandbox, plugin: str) -> PluginInfo:
    return next(info for info in made.plugins.infos() if info.name == plugin)


def _brought(made: Sandbox, plugin: str, hook: str) -> list[Any]:
    return [
        item
        for answer in made.plugins.answers(hook)
        if answer.plugin == plugin
        for item in answer.value
    ]


def _opens_the_store(made: Sandbox, plugin: str) -> bool:
    config = made.application.config
    answer = made.plugins.decide("open_store", url=config.url, config=config)
    if answer is None:
        return False
    answer.value.close()
    return answer.plugin == plugin


def _commands(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
