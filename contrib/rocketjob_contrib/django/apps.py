"""The app of Django: it hands the settings on, and finds jobs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

import rocketjob
from rocketjob.base.errors import ConfigurationError

WORKER = "rocketjob_contrib.django.worker"
JOBS = "jobs"  # the module of each app in which its jobs are


class RocketJobConfig(AppConfig):  # type: ignore[misc]
    name = "rocketjob_contrib.django"
    label = "rocketjob"
    verbose_name = "RocketJob"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from rocketjob_contrib.django.outbox import make_known  # models can be imported only now

        given = getattr(settings, "ROCKETJOB", {})
        if not isinstance(given, Mapping):
            raise ImproperlyConfigured(
                f"ROCKETJOB must be a dict of settings, such as {{'url': '...'}}, not {given!r}"
            )
        try:
            if "app" not in given and not rocketjob.configure().app:
                given = {**given, "app": [WORKER, *modules_of_jobs()]}
            rocketjob.configure(**given)
        except ConfigurationError as error:
            raise ImproperlyConfigured(f"ROCKETJOB in the settings of Django: {error}") from error
        make_known()


def modules_of_jobs() -> list[str]:
    """Name the modules of the installed apps in which jobs are."""
    names = [f"{each.name}.{JOBS}" for each in apps.get_app_configs()]
    return [name for name in names if find_spec(name) is not None]
