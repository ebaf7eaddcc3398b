"""Settings to be read: what `rocketjob.settings` returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from rocketjob.base.config import KERNEL, Config, Declared
from rocketjob.base.text import did_you_mean


class Settings:
    """Settings by attribute, as they were when this was asked for.

    A secret has its value, and is hidden in the representation.

    Args:
        whose: what they are, for messages.
        values: by name.
        secret: the names of those that are not shown.
    """

    def __init__(self, whose: str, values: Mapping[str, Any], secret: Iterable[str] = ()) -> None:
        self.__dict__.update(_whose=whose, _values=dict(values), _secret=frozenset(secret))

    def __getattr__(self, name: str) -> Any:
        values: dict[str, Any] = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        if name.startswith("__"):
            raise AttributeError(name)
        hint = did_you_mean(name, values, f"there are {', '.join(values) or 'none'}")
        raise AttributeError(f"{self._whose} has no setting {name}; {hint}")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("settings are read only: set them with rocketjob.configure")

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = (
            f"{name}={'(hidden)' if name in self._secret and value else repr(value)}"
            for name, value in self._values.items()
        )
        return f"<{self._whose}: {', '.join(shown)}>"


def of_keys(plugin: str, keys: Iterable[str], config: Config, declared: Declared) -> Settings:
    """Return some settings of plugins, by their names without the table."""
    settings = [declared.settings[key] for key in keys]
    values = {setting.name: setting.of(config) for setting in settings}
    return Settings(f"the plugin {plugin}", values, (each.name for each in settings if each.secret))


def everything(config: Config, declared: Declared) -> Settings:
    """Return every setting; each table is one attribute."""
    values: dict[str, Any] = {name: getattr(config, name) for name in KERNEL}
    flat = [setting for setting in declared.settings.values() if not setting.table]
    values |= {setting.name: setting.of(config) for setting in flat}
    for table in declared.tables:
        values[table] = of_keys(table, declared.keys_in(table), config, declared)
    return Settings("the configuration", values, (each.name for each in flat if each.secret))
