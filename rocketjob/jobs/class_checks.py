"""What is refused of a job class when it is made, since it would have no effect, or another one.

What the mixins of plugins know is looked at when a job of the class is first made: to make a class
loads no plugin.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from rocketjob.base.functions import refuse_unawaited
from rocketjob.base.text import nearest
from rocketjob.model.callbacks import own_callbacks
from rocketjob.model.document import Document
from rocketjob.model.fields import Field
from rocketjob.model.validation import own_validations
from rocketjob.store import context

ALIKE = 0.8  # of difflib: `priorty` and `priority` are 0.93 alike, `table` and `title` 0.6


def check_made_class(cls: type[Document]) -> None:
    """Refuse what can be seen of a class when it is made.

    Raises:
        TypeError: names the attribute or method, and what to do.
    """
    _check_perform(cls)
    _check_overridden(cls)
    for name, value in own_settings(cls).items():
        _refuse_misspelt(cls, name, value)


def check_used_class(cls: type[Any]) -> None:
    """Refuse what counts only for a class whose jobs are made.

    Raises:
        NotImplementedError: it has no perform.
        TypeError: it has a setting of a mixin that it does not have.
    """
    if cls.perform is _perform_of_job(cls):
        near = _almost_perform(cls)
        hint = f"did you mean {near} to be it?" if near else "write one"
        raise NotImplementedError(
            f"{cls.__name__} has no perform method: {hint} (where another program runs its jobs, "
            "one that raises NotImplementedError will do)"
        )
    _check_timeout(cls)
    _check_isolation(cls)
    _refuse_settings_of_others(cls)


def _check_timeout(cls: type[Any]) -> None:
    """Refuse a field of that name which is something else: what jobs had before there were limits.

    Raises:
        TypeError: names the class that has it.
    """
    timeout: Field = cls.__fields__["timeout"]
    if timeout.codec.name != "timedelta":
        raise TypeError(
            f"{timeout.owner.__qualname__}.timeout must be a timedelta or None: it says how long a "
            "job may take. Give a field of your own another name"
        )


def _check_isolation(cls: type[Any]) -> None:
    if cls.isolation not in (None, "process"):
        raise TypeError(f'{cls.__qualname__}.isolation must be "process", not {cls.isolation!r}')
    try:
        limit = cls.memory_limit()
    except (TypeError, ValueError) as error:
        raise TypeError(f"{cls.__qualname__}.max_memory {error}") from None
    if limit is not None and cls.isolation is None:
        raise TypeError(
            f"{cls.__qualname__}.max_memory is of a process of its own: "
            'set isolation = "process" too'
        )


def own_settings(cls: type) -> dict[str, Any]:
    """Return what one class itself assigns in its body, and no base of it has.

    That is a constant of the class's own, or was meant as the default of a field.
    """
    annotated = inspect.get_annotations(cls)
    return {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and name.islower()
        and name not in annotated
        and not _is_code(value)
        and not any(hasattr(base, name) for base in cls.__bases__)
        and name not in cls.__fields__  # type: ignore[attr-defined]
    }


def _refuse_settings_of_others(cls: type[Any]) -> None:
    """Refuse settings of mixins that a class does not have.

    Raises:
        TypeError: names the setting and the mixin.
    """
    if not _settings_of_bases(cls):
        return
    for mixin in context.current().plugins.collect("register_mixins"):
        if issubclass(cls, mixin):
            continue
        for name, owner in _settings_of_bases(cls).items():
            if name in mixin.__fields__ or name in vars(mixin):
                raise TypeError(
                    f"{owner.__qualname__}.{name} is a setting of {mixin.__name__}, which "
                    f"{cls.__qualname__} does not have: class {cls.__name__}({mixin.__name__}, "
                    f"{cls.__bases__[0].__name__}). If it is your own constant, annotate it "
                    "as ClassVar"
                )


def _settings_of_bases(cls: type) -> dict[str, type]:
    return {
        name: base
        for base in cls.__mro__
        if issubclass(base, Document) and base.__fields__
        for name in own_settings(base)
    }


def _perform_of_job(cls: type) -> Any:
    """Return the perform of the class that begins all jobs, which does nothing."""
    return next(base.perform for base in reversed(cls.__mro__) if hasattr(base, "perform"))


def _almost_perform(cls: type) -> str | None:
    """Return the method of a class without perform that was probably meant to be it."""
    functions = [name for name, value in vars(cls).items() if inspect.isfunction(value)]
    return nearest("perform", functions, ALIKE)


def _check_perform(cls: type) -> None:
    perform = vars(cls).get("perform")
    if perform is None or not (
        inspect.isgeneratorfunction(perform) or inspect.isasyncgenfunction(perform)
    ):
        return
    raise TypeError(
        f"{cls.__qualname__}.perform has a yield, so calling it would run nothing: return a value, "
        "such as a list"
    )


def _check_overridden(cls: type[Document]) -> None:
    """Check methods that a class overrides: the mark is on that of the base."""
    for base in cls.__mro__[1:]:
        for callback in own_callbacks(base):
            _check_method(cls, callback.name, f"@{callback.kind}", around=callback.kind == "around")
        for name in own_validations(base):
            _check_method(cls, name, "@validate")


def _check_method(cls: type, name: str, mark: str, around: bool = False) -> None:
    method = vars(cls).get(name)
    if inspect.isfunction(method) and not (around and inspect.isgeneratorfunction(method)):
        refuse_unawaited(method, f"{mark} of a base")


def _refuse_misspelt(cls: type[Document], name: str, value: Any) -> None:
    near = nearest(name, _fitting(cls.__fields__, value), ALIKE)
    if near:
        raise TypeError(
            f"{cls.__qualname__}.{name} is not a field of its bases, so it would have no effect: "
            f"did you mean {near}? If it is your own constant, annotate it as ClassVar"
        )


def _fitting(fields: Mapping[str, Field], value: Any) -> list[str]:
    """Return the fields that could have this value as their default."""
    return [
        name
        for name, field in fields.items()
        if not field.read_only and value is not None and field.codec.check(value) is None
    ]


def _is_code(value: Any) -> bool:
    return callable(value) or hasattr(value, "__get__") or inspect.ismodule(value)
