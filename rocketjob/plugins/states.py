"""The states that plugins register, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from rocketjob.base.errors import PluginError
from rocketjob.states.state import EventCommand, State, fault_of

OF_JOBS = frozenset(["list", "show", "counts", "set", "explain", "event", "migrate"])
OF_EVENTS = frozenset(["retry", "abort", "pause", "resume", "fail", "run-now", "destroy"])


class States:
    """The states of the plugins that are loaded.

    Args:
        whose: names a plugin with its distribution.
    """

    def __init__(self, whose: Callable[[str], str]) -> None:
        self._states: dict[str, State] = {}
        self._owners: dict[str, str] = {}
        self._whose = whose
        self.by_name = MappingProxyType(self._states)

    def add(self, plugin: str, states: Sequence[State]) -> None:
        """Add the states of a plugin, all or none.

        Raises:
            PluginError: one cannot be taken, or is another plugin's.
        """
        if not states:
            return
        taken = _names_of_jobs()
        for state in states:
            if why := fault_of(state, taken) or self._clash(plugin, state):
                raise PluginError(f"The plugin {self._whose(plugin)} {why}")
        self._states |= {state.name: state for state in states}
        self._owners |= dict.fromkeys([state.name for state in states], plugin)

    def _clash(self, plugin: str, state: State) -> str | None:
        owner = self._owners.get(state.name, plugin)
        if owner != plugin:
            return (
                f"has a state {state.name}, and so has the plugin {self._whose(owner)}: "
                "give one of them another name"
            )
        commands = {each.name: name for name, each in self._commands()}
        for command in state.commands:
            if command.name in OF_JOBS | OF_EVENTS:
                return f"has a command jobs {command.name}, and so has RocketJob: rename its event"
            other = commands.get(command.name, state.name)
            if self._owners.get(other, plugin) != plugin:
                return (
                    f"has a command jobs {command.name}, and so has the plugin "
                    f"{self._whose(self._owners[other])}: give one of the events another name"
                )
        return None

    def _commands(self) -> list[tuple[str, EventCommand]]:
        return [(name, each) for name, state in self._states.items() for each in state.commands]

    def forget(self, plugin: str) -> None:
        """Take out the states of a plugin."""
        for name in [name for name, owner in self._owners.items() if owner == plugin]:
            del self._owners[name], self._states[name]

    def of(self, plugin: str) -> tuple[str, ...]:
        """Return the names of a plugin's states."""
        return tuple(name for name, owner in self._owners.items() if owner == plugin)


def _names_of_jobs() -> set[str]:
    """Return the names that mean something of a job, or of a query of jobs."""
    from rocketjob.jobs.job import Job  # for start-up time: few plugins have states
    from rocketjob.jobs.query import JobQuery

    return {name for cls in (*Job.__mro__, *JobQuery.__mro__) for name in vars(cls)}
