"""Where settings stand: files, the environment, and options; each is read as it is there."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rocketjob.base.errors import WrongSetting

FILE_VARIABLE = "ROCKETJOB_CONFIG"
PROJECT_FILE = "pyproject.toml"
ENVIRONMENT = "the environment"
OPTIONS = "the options given"
PREFIX = "ROCKETJOB_"


@functools.cache
def variable(key: str) -> str:
    """Return the environment variable of a setting, by its key."""
    return f"{PREFIX}{in_variable(key).upper()}"


def in_variable(key: str) -> str:
    """Return the end of a setting's variable, in small letters."""
    return key.replace(".", "_")


def sources(
    overrides: Mapping[str, Any], environ: Mapping[str, str] | None, directory: Path
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the settings of each place, in rising precedence, with where they stand."""
    environ = os.environ if environ is None else environ
    files = _files(directory, environ.get(FILE_VARIABLE))
    given = {name: value for name, value in overrides.items() if value is not None}
    return [
        *((str(file), _table(file)) for file in files),
        (ENVIRONMENT, _environment(environ)),
        (OPTIONS, given),
    ]


def _files(directory: Path, named: str | None) -> list[Path]:
    if not named:
        files = (directory / PROJECT_FILE, directory / "rocketjob.toml")
        return [file for file in files if file.is_file()]
    if not Path(named).is_file():
        raise WrongSetting(f"There is no configuration file {named}: correct {FILE_VARIABLE}")
    return [Path(named)]


def _table(file: Path) -> Mapping[str, Any]:
    import tomllib  # for start-up time

    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSetting(f"{file} is not valid TOML: {error}") from None
    for key in ("tool", "rocketjob") if file.name == PROJECT_FILE else ():
        table = table.get(key, {}) if isinstance(table, dict) else table
    if not isinstance(table, dict):
        raise WrongSetting(f"{file}: [tool.rocketjob] must be a table")
    return table


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what may be settings; other programs' variables may begin alike."""
    given = {key.removeprefix(PREFIX).lower(): key for key in environ if key.startswith(PREFIX)}
    return {
        name: environ[key]
        for name, key in given.items()
        if key == variable(name) and key != FILE_VARIABLE and environ[key]
    }


def place(origin: str, key: str = "") -> str:
    """Return where a setting stands: the file, and the table in it."""
    tables = ["tool.rocketjob"] if Path(origin).name == PROJECT_FILE else []
    tables += [table] if (table := key.rpartition(".")[0]) else []
    return f"{origin}, [{'.'.join(tables)}]" if tables else origin
