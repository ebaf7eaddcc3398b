"""Flask: `pip install 'rocketjob[flask]'`.

    app.config["ROCKETJOB"] = {"url": "mongodb://..."}   # any setting; see the page Configuration
    RocketJob(app)                                       # or RocketJob().init_app(app), later

`flask rocketjob` is the command line, with these settings: `flask rocketjob server` performs the
jobs. `InApp` runs `perform` in an application context; `enqueue_after_request` stores a job once
the request has gone well. Mission Control is in `rocketjob_contrib.mission_control.hosts.flask`.
"""

from __future__ import annotations

from rocketjob_contrib.flask.enqueuing import enqueue_after_request
from rocketjob_contrib.flask.extension import RocketJob
from rocketjob_contrib.flask.in_app import InApp

__all__ = ["InApp", "RocketJob", "enqueue_after_request"]
