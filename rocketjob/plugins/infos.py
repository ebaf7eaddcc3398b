"""A plugin as people are shown it."""

from __future__ import annotations

from importlib import metadata

import attrs

from rocketjob.plugins.calls import Answer
from rocketjob.plugins.distributions import name_and_version

Brought = dict[str, list[Answer]]


@attrs.frozen
class PluginInfo:
    """A plugin that was found, loaded or not.

    Attributes:
        error: why it, or what it brings by a hook, is left out.
        warnings: what its author should look at; nothing is left out for it.
    """

    name: str
    module: str
    distribution: str
    version: str
    enabled: bool
    hooks: tuple[str, ...] = ()
    mixins: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    error: str | None = None
    warnings: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        entry_point: metadata.EntryPoint,
        hooks: list[str] | None,
        brought: Brought,
        error: str | None,
        warnings: list[str],
        states: tuple[str, ...] = (),
    ) -> PluginInfo:
        """Describe what an entry point names.

        Args:
            hooks: those that it implements; None if it is not loaded.
            brought: what all plugins answered, by hook.
        """
        name, (distribution, version) = entry_point.name, name_and_version(entry_point)
        return cls(
            name=name,
            module=entry_point.value,
            distribution=distribution,
            version=version,
            enabled=hooks is not None,
            hooks=tuple(sorted(hooks or ())),
            mixins=_classes(name, brought["register_mixins"]),
            jobs=_classes(name, brought["register_jobs"]),
            error=error,
            warnings=tuple(warnings),
            states=states,
        )


def _classes(plugin: str, answers: list[Answer]) -> tuple[str, ...]:
    return tuple(cls.__name__ for each in answers if each.plugin == plugin for cls in each.value)
