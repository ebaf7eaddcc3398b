"""Mission Control, the web interface: `pip install 'rocketjob[web]'`, then `rocketjob web`.

In a web application of your own, at any path, with its login::

    from rocketjob_contrib.mission_control import Identity, WebSettings, create_app

    def who(request):
        return Identity("ada", roles={"manager"})       # None: nobody may look

    app.mount("/rocketjob", create_app(WebSettings(authorize=who)))

Its rooms, each a module:

- `settings`, `access`: how it is set up; who may do what
- `routes`, `sections`: the table of routes, and the menu that they belong to
- `app`, `gate`, `security`, `requests`: the way of a request, from the socket to a view
- `api/`, and `api` beside each room's pages: the same for programs; `tokens`: who these are
- `site`: what all requests share; `view`, `templating`, `cookies`: what a view has
- `lists`, `tables`, `asking`: what pages have in common: lists, the same as JSON, and the question
  before an action
- `jobs/`, `servers/`, `workers/`, `directories/`, `charts/`, `auditing/`,
  `schedule/`: what the pages show
- `hosts/`: how it is part of an application of Django or Flask
- `hookspecs`: how other plugins add pages, and panels to the page of a job
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import hookimpl
from rocketjob_contrib.mission_control import hookspecs

if TYPE_CHECKING:
    import click

    from rocketjob.base.settings import Setting
    from rocketjob_contrib.mission_control.access import Identity, Permission, Policy
    from rocketjob_contrib.mission_control.app import create_app
    from rocketjob_contrib.mission_control.panels import Panel
    from rocketjob_contrib.mission_control.routes import Route
    from rocketjob_contrib.mission_control.sections import Section, Tab
    from rocketjob_contrib.mission_control.settings import WebSettings
    from rocketjob_contrib.mission_control.view import View

__all__ = [
    "Identity",
    "Panel",
    "Permission",
    "Policy",
    "Route",
    "Section",
    "Tab",
    "View",
    "WebSettings",
    "create_app",
]

OF_EXTRA = ("jinja2", "starlette", "uvicorn")
_LAZY = {
    "Identity": "access",
    "Panel": "panels",
    "Permission": "access",
    "Policy": "access",
    "Route": "routes",
    "Section": "sections",
    "Tab": "sections",
    "View": "view",
    "WebSettings": "settings",
    "create_app": "app",
}


def __getattr__(name: str) -> Any:
    """Import what only a web process needs when it is first asked for: workers load plugins too."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # for start-up time

    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)


@hookimpl
def register_hookspecs(manager: Any) -> None:
    manager.add_hookspecs(hookspecs)


@hookimpl
def register_indexes() -> dict[str, list[dict[str, Any]]]:
    from rocketjob import Job  # both for start-up time
    from rocketjob_contrib.mission_control import indexes, tokens

    return {Job.collection_name: [indexes.ENDED], tokens.COLLECTION: [tokens.INDEX]}


@hookimpl
def register_settings() -> list[Setting[Any]]:
    from rocketjob_contrib.mission_control import own_paths  # for start-up time

    return [own_paths.VIEWS]


@hookimpl
def grant_refused(grant: str) -> str | None:
    from rocketjob_contrib.mission_control import tokens  # for start-up time

    return tokens.grant_refused(grant)


@hookimpl
def register_commands(cli: click.Group) -> None:
    from rocketjob_contrib.mission_control.command import (  # both for start-up time
        web,
        web_password,
    )
    from rocketjob_contrib.mission_control.token_commands import web_tokens  # likewise

    for each in (web, web_password, web_tokens):
        cli.add_command(each)


@hookimpl
def register_pages() -> list[Section]:
    from rocketjob import application  # for start-up time

    try:
        from rocketjob_contrib.mission_control import (  # these need the extra
            auditing,
            charts,
            directories,
            failures,
            jobs,
            overview,
            schedule,
            servers,
            workers,
        )
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OF_EXTRA:
            raise
        return []  # without the extra there is no `rocketjob web`, and nothing is wrong with that

    always = [overview, jobs, servers, workers, directories]
    plugins = application.current().plugins.names
    of_plugins = {
        "metrics": charts,
        "failures": failures,
        "audit": auditing,
        "cron": schedule,
    }
    modules = [*always, *(module for name, module in of_plugins.items() if name in plugins)]
    return [module.section() for module in modules]


@hookimpl
def job_panels(view: View, job: Any) -> list[Panel]:
    from rocketjob_contrib.mission_control.jobs import panels  # needs the extra

    return panels.panels_of(view, job)
