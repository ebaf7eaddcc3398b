"""Which job classes a server would run."""

from __future__ import annotations

import attrs

from rocketjob.base.errors import ConfigurationError
from rocketjob.jobs.job import Job, job_class
from rocketjob.jobs.unknown import UnknownJob
from rocketjob.model.registry import loaded_classes
from rocketjob.queue.eligible import takes
from rocketjob.store.context import Context


@attrs.frozen
class Classes:
    """The job classes that a server found.

    Attributes:
        own: those of the app modules that it will run, by name.
        plugins: those that plugins brought and that it will run.
        left_out: how many its filters leave out.
    """

    own: list[str]
    plugins: list[str]
    left_out: int

    @property
    def all(self) -> list[str]:
        return [*self.own, *self.plugins]


def find_classes(current: Context) -> Classes:
    """Sort the classes that are loaded in this process by where they come from."""
    of_plugins = {cls.type_name() for cls in current.plugins.collect("register_jobs")}
    every = (cls for cls in loaded_classes(Job) if cls.runnable_on(current.config))
    loaded = [cls for cls in every if cls.perform not in (Job.perform, UnknownJob.perform)]
    names = sorted({cls.type_name() for cls in loaded if takes(current.config, cls)})
    return Classes(
        own=[name for name in names if name not in of_plugins],
        plugins=[name for name in names if name in of_plugins],
        left_out=len(loaded) - len(names),
    )


def refuse_wrong_classes(classes: Classes) -> None:
    """Refuse to start where jobs of a class would run otherwise than its author means.

    Raises:
        ConfigurationError: names the class and what is wrong with it.
    """
    for name in classes.all:
        try:
            job_class(name).check_class()
        except (NotImplementedError, TypeError) as error:
            raise ConfigurationError(f"{error}") from error
