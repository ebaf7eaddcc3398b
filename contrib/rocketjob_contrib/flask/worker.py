"""What a server imports: the application of Flask, and with it the jobs that its views use.

`flask rocketjob server` names it by itself; a server that is started in another way needs
`app = ["rocketjob_contrib.flask.worker"]`, and the variable FLASK_APP. Job classes that no view
imports are named in `app`, too.
"""

from __future__ import annotations

import os

from flask.cli import ScriptInfo

from rocketjob.base.errors import ConfigurationError
from rocketjob_contrib.flask.extension import made

app = made()  # by the command `flask`
if app is None:
    app = ScriptInfo(app_import_path=os.environ.get("FLASK_APP")).load_app()
    if made() is None:
        raise ConfigurationError(
            f"The application {app.name} does not use RocketJob: call RocketJob(app), or "
            "RocketJob().init_app(app) where it is made"
        )
