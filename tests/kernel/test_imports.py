"""`import rocketjob` loads the kernel alone: it is paid for by every command and every test."""

import json
import subprocess
import sys

HEAVY = [
    "_hashlib",  # OpenSSL
    "asyncio",  # async_loop is loaded with the first job that is worked
    "bson.json_util",
    "cattrs",
    "click",
    "croniter",
    "dataclasses",
    "difflib",
    "hypothesis",
    "importlib.metadata",  # with pluggy: loaded when the plugins are looked for
    "logging.handlers",
    "multiprocessing",
    "pluggy",
    "pymongo",
    "pytest",
    "rich",
    "rocketjob.base.encryption",
    "rocketjob.cli",
    "rocketjob.jobs.holds",
    "rocketjob.server.server",
    "rocketjob.server.supervisor",
    "rocketjob.states.state",
    "rocketjob.worker.pool",
    "rocketjob.testing",
    "rocketjob_contrib",
    "rocketjob_plugins",
    "sqlite3",
    "ssl",
    "tomllib",
]


def modules_after(code):
    """Return the names of the modules that a fresh interpreter has loaded after some code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_rocketjob_loads_nothing_heavy_and_no_plugin():
    loaded = modules_after("import rocketjob")
    assert [name for name in HEAVY if name in loaded] == []
    assert "rocketjob.jobs.job" in loaded


WITHOUT_ASYNC_JOBS = ["asyncio", "ssl", "subprocess"]
NOT_FOR_WORKERS = ["click", "rich", "rocketjob.cli", "rocketjob.server.supervisor"]


def test_a_worker_process_loads_no_command_and_no_event_loop_before_an_async_job_needs_it():
    loaded = modules_after(
        "import rocketjob.worker_main\n"
        "from rocketjob.application import current\n"
        "from rocketjob.queue.dispatch import Queue\n"
        "from rocketjob.worker.pool import WorkerPool\n"
        "app = current()\n"
        "queue = Queue(None, app.plugins, app.config, 'a.1', 'a:1')\n"
        "WorkerPool(queue, threads=2, config=app.config, async_workers=20)\n"
        "app.plugins.collect('register_jobs')"
    )
    assert {"rocketjob_plugins.batch", "rocketjob_plugins.demo.batch"} <= loaded
    assert [name for name in [*WITHOUT_ASYNC_JOBS, *NOT_FOR_WORKERS] if name in loaded] == []


def test_a_supervisor_loads_no_http_server_before_it_is_to_answer():
    loaded = modules_after("import rocketjob.server.supervisor")
    assert [name for name in ("http.server", "ssl", "asyncio", "rich") if name in loaded] == []


def test_help_loads_no_command_as_a_whole():
    loaded = modules_after(
        "import contextlib, io\n"
        "from rocketjob.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])"
    )
    whole = ["asyncio", "rich", "rocketjob.server.supervisor", "rocketjob_plugins.top.desk"]
    assert [name for name in whole if name in loaded] == []


def test_what_only_servers_need_is_loaded_when_it_is_asked_for():
    loaded = modules_after(
        "import rocketjob\nrocketjob.Server, rocketjob.Subscriber, rocketjob.events"
    )
    assert {
        "rocketjob.server.server",
        "rocketjob.server.subscribers",
        "rocketjob.server.events",
    } <= loaded


def test_everything_that_is_promised_is_there():
    import rocketjob

    for name in rocketjob.__all__:
        assert getattr(rocketjob, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    import pytest

    import rocketjob

    with pytest.raises(AttributeError, match="module 'rocketjob' has no attribute 'Jobb'"):
        _ = rocketjob.Jobb


def test_the_kernel_names_no_plugin():
    from pathlib import Path

    import rocketjob

    for file in Path(rocketjob.__file__).parent.rglob("*.py"):
        text = file.read_text()
        assert "import rocketjob_plugins" not in text, file
        assert "from rocketjob_plugins" not in text, file
        assert "rocketjob_contrib" not in text, file
