"""The mixin `Throttle`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rocketjob import Hold, before, field, validate
from rocketjob.base.errors import ConfigurationError
from rocketjob.jobs.limit import Limit
from rocketjob.model.fields import read_only_field
from rocketjob.model.types import encode_any
from rocketjob.store import Filter
from rocketjob_plugins.throttle.methods import Deferral, ask, deferral, this_class, throttles_of
from rocketjob_plugins.throttle.rate import Rate, RateLimit
from rocketjob_plugins.throttle.waiting import Waiting


class Throttle(Waiting, abstract=True):
    """Mixin: see the package."""

    __example__: ClassVar[dict[str, Any]] = {"throttle_running_jobs": 5}
    throttle_running_jobs: ClassVar[int | None] = None
    rate_limit: ClassVar[str | None] = None
    throttle_key: ClassVar[Callable[[Any], Any] | None] = None
    __throttles__: ClassVar[Mapping[str, Deferral]] = {}
    __rate__: ClassVar[Rate | None] = None

    throttle_group: str | None = field(default=None, user_editable=True, copy_on_restart=True)
    throttle_value: Any = read_only_field()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__throttles__ = throttles_of(cls)
        limit = cls.throttle_running_jobs
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise ConfigurationError(
                f"{cls.__name__}.throttle_running_jobs must be a whole number, not {limit!r}"
            )
        if limit is not None and limit < 0:
            raise ConfigurationError(
                f"{cls.__name__}.throttle_running_jobs must not be negative; 0 or None is no limit"
            )
        if cls.throttle_key is not None and not callable(cls.throttle_key):
            raise ConfigurationError(
                f"{cls.__name__}.throttle_key must be a function of the job: "
                "throttle_key = lambda job: job.account_id"
            )
        try:
            cls.__rate__ = None if cls.rate_limit is None else Rate.parse(cls.rate_limit)
        except ConfigurationError as error:
            raise ConfigurationError(f"{cls.__name__}.{error}") from None

    @classmethod
    def throttles(cls) -> list[str]:
        """Return the names of the class's throttles, in the order in which they are called."""
        return list(cls.__throttles__)

    @classmethod
    def undefine_throttle(cls, name: str) -> None:
        """Remove an inherited throttle from this class and its later subclasses.

        Raises:
            ValueError: the class has no throttle of that name.
        """
        if name not in cls.__throttles__:
            names = ", ".join(cls.__throttles__) or "none"
            raise ValueError(f"{cls.__name__} has no throttle {name}; it has {names}")
        cls.__throttles__ = {n: f for n, f in cls.__throttles__.items() if n != name}

    # --- limits, enforced by the claim -------------------------------------------------------

    def claim_limits(self) -> list[Limit]:
        limits, scope = super().claim_limits(), self._throttle_scope()
        keys = [self._throttle_key(scope, name) for name in type(self).stored_names()]
        shared: dict[str, Any] = {"blocks": {"_type": type(self).stored_type(), **scope}}
        most, rate = self.throttle_running_jobs, self.__rate__
        if most:
            counts = self.throttle_counts(scope)
            name = "throttle_running_jobs"
            limits.append(
                Limit(name=name, key=f"running:{keys[0]}", maximum=most, counts=counts, **shared)
            )
        if rate is not None:
            shared |= {"maximum": rate.count, "counts": scope, "rate": rate}
            key, *old_keys = [f"rate:{key}" for key in keys]
            limits.append(RateLimit(name="rate_limit", key=key, old_keys=old_keys, **shared))
        return limits

    def throttle_counts(self, scope: Filter) -> Filter:
        """Return which running jobs count towards `throttle_running_jobs`."""
        return scope

    def _throttle_scope(self) -> dict[str, Any]:
        """Return what jobs that share the limits have in common."""
        if self.throttle_group is not None:
            scope: dict[str, Any] = {"throttle_group": self.throttle_group}
        else:
            scope = {"_type": type(self).stored_type()}
        if type(self).throttle_key is not None:
            scope["throttle_value"] = encode_any(self.throttle_value)
        return scope

    def _throttle_key(self, scope: dict[str, Any], name: str) -> str:
        """Return the key of a scope under one of the names of the class."""
        named = {**scope, "_type": name} if "_type" in scope else scope
        return "/".join(str(value) for value in named.values())

    @before("save")
    def _keep_throttle_value(self) -> None:
        key = type(self).throttle_key
        if key is not None and self.is_queued:
            self.throttle_value = key(self)

    @validate
    def _throttle_key_works(self) -> None:
        key = type(self).throttle_key
        if key is None or self.errors:
            return
        try:
            value = key(self)
        except Exception as error:
            text = f"throttle_key raised {type(error).__name__}: {error}; correct it"
            self.errors.add("throttle_value", text)
            return
        if isinstance(value, list | tuple | set | frozenset | dict):
            text = f"throttle_key must return one value, such as a string or number, not {value!r}"
            self.errors.add("throttle_value", text)

    # --- the class's own rules, called after the claim ---------------------------------------

    def exceeded_throttle(self) -> Hold | None:
        """Return what the first throttle says that says to wait.

        A throttle that fails says to wait too, and its error is logged.
        """
        for name, filter in type(self).__throttles__.items():
            try:
                if (text := ask(self, name)) is not None:
                    return Hold(name, text, deferral(self, filter))
            except BaseException as error:  # whatever an app's code raises
                text = f"{type(error).__name__}: {error}"
                self.logger.exception("deferred: the throttle failed", throttle=name, error=text)
                return Hold(name, f"the throttle {name} fails: {text}", this_class(self))
        return None
