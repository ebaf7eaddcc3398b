"""Settings: where they come from, which wins, and what is said of a wrong one."""

import pytest

import rocketjob
from rocketjob import ConfigurationError
from rocketjob.base.config import Config, load, setting_names
from rocketjob.store import context


def config(tmp_path, overrides=None, environ=None, toml=None, pyproject=None):
    if toml is not None:
        (tmp_path / "rocketjob.toml").write_text(toml)
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_text(pyproject)
    return load(overrides, environ=environ or {}, directory=tmp_path)


def test_the_defaults_are_those_of_the_guide(tmp_path):
    assert (
        config(tmp_path).as_dict()
        | {
            "url": "sqlite:///rocketjob.db",
            "slices_url": None,
            "app": [],
            "workers": 10,
            "processes": None,
            "name": None,
            "heartbeat_seconds": 15,
            "max_poll_seconds": 5,
            "re_check_seconds": 60,
            "grace_seconds": 30,
            "crash_limit": 3,
            "include": None,
            "exclude": None,
            "where": None,
            "time_zone": "UTC",
            "allow_on_demand": False,
            "dirmon_allowed_paths": [],
            "encryption_keys": [],
            "log_level": "info",
            "log": "console",
            "disabled_plugins": [],
        }
        == config(tmp_path).as_dict()
    )


def test_each_source_wins_over_the_one_before(tmp_path):
    pyproject = "[tool.rocketjob]\nworkers = 1\nprocesses = 1\nname = 'p'\ncrash_limit = 1\n"
    found = config(
        tmp_path,
        overrides={"crash_limit": 4},
        environ={"ROCKETJOB_NAME": "env", "ROCKETJOB_CRASH_LIMIT": "3"},
        pyproject=pyproject,
        toml="processes = 2\nname = 'file'\ncrash_limit = 2\n",
    )
    assert (found.workers, found.processes, found.name, found.crash_limit) == (1, 2, "env", 4)


def test_options_that_are_not_given_are_passed_over(tmp_path):
    assert config(tmp_path, overrides={"workers": None}, toml="workers = 3").workers == 3


def test_an_empty_variable_is_as_if_not_set(tmp_path):
    assert config(tmp_path, environ={"ROCKETJOB_WORKERS": ""}).workers == 10


def test_lists_are_separated_by_commas_in_the_environment(tmp_path):
    environ = {"ROCKETJOB_APP": "a.jobs, b.jobs", "ROCKETJOB_DISABLED_PLUGINS": "cron"}
    found = config(tmp_path, environ=environ)
    assert (found.app, found.disabled_plugins) == (["a.jobs", "b.jobs"], ["cron"])


def test_every_setting_has_a_variable(tmp_path):
    values = {
        "url": "sqlite:///x.db",
        "slices_url": "sqlite:///y.db",
        "app": "a",
        "workers": "2",
        "processes": "2",
        "name": "n",
        "heartbeat_seconds": "1.5",
        "max_poll_seconds": "2",
        "re_check_seconds": "2",
        "grace_seconds": "2",
        "crash_limit": "2",
        "include": "^A",
        "where": '{"priority": {"$lte": 10}}',
        "time_zone": "America/New_York",
        "allow_on_demand": "yes",
        "dirmon_allowed_paths": "/a,/b",
        "encryption_keys": "k1,k2",
        "log_level": "debug",
        "log": "json",
        "disabled_plugins": "a",
    }
    environ = {f"ROCKETJOB_{name.upper()}": text for name, text in values.items()}
    found = config(tmp_path, environ=environ)
    assert found.where == {"priority": {"$lte": 10}}
    assert (found.heartbeat_seconds, found.allow_on_demand, found.workers) == (1.5, True, 2)
    default = Config()
    for name in values:
        assert getattr(found, name) != getattr(default, name)
    assert config(tmp_path, environ={"ROCKETJOB_EXCLUDE": "^B"}).exclude == "^B"
    assert set(values) | {"exclude"} <= set(setting_names())


BAD = [
    ("workers", 0, "must be at least 1"),
    ("workers", "ten", "must be a whole number"),
    ("workers", 1.5, "must be a whole number"),
    ("workers", True, "must be a whole number"),
    ("workers", float("inf"), "must be a whole number"),
    ("workers", [1], "must be a whole number"),
    ("processes", -1, "must be at least 1"),
    ("crash_limit", 0, "must be at least 1"),
    ("heartbeat_seconds", 0, "must be a number of seconds above 0"),
    ("heartbeat_seconds", "soon", "must be a number of seconds above 0"),
    ("grace_seconds", float("nan"), "must be a number of seconds above 0"),
    ("max_poll_seconds", -5, "must be a number of seconds above 0"),
    ("re_check_seconds", [1], "must be a number of seconds above 0"),
    ("url", 5, "must be a string"),
    ("app", 5, "must be a list of strings"),
    ("app", [1], "must be a list of strings"),
    ("include", "(", "is not a regular expression"),
    ("exclude", 5, "must be a string"),
    ("where", "{", "is not JSON"),
    ("where", "[1]", "must be a JSON object"),
    ("where", 5, "must be a JSON object"),
    ("time_zone", "Mars/Olympus", "must be a time zone such as UTC or America/New_York"),
    ("time_zone", 5, "must be a time zone"),
    ("allow_on_demand", "perhaps", "must be true or false"),
    ("log_level", "loud", "must be one of trace, debug, info, warn, error, fatal"),
    ("log", 5, "must be targets such as"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_wrong_value_is_named_with_where_it_stands(tmp_path, name, value, message):
    with pytest.raises(ConfigurationError) as error:
        config(tmp_path, overrides={name: value})
    assert str(error.value).startswith(f"the options given: {name} = {value!r}: ")
    assert message in str(error.value)


def test_the_file_or_the_environment_is_named(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"the environment: ROCKETJOB_WORKERS = 'x': must be a whole"
    ):
        config(tmp_path, environ={"ROCKETJOB_WORKERS": "x"})
    with pytest.raises(ConfigurationError, match=r"rocketjob.toml: workers = 'x': must be a whole"):
        config(tmp_path, toml="workers = 'x'")


def test_an_unknown_setting_suggests_the_nearest(tmp_path):
    with pytest.raises(
        ConfigurationError, match="there is no setting wrokers; did you mean workers"
    ):
        config(tmp_path, toml="wrokers = 5")
    with pytest.raises(ConfigurationError, match="there is no setting zzzz; known are url, "):
        rocketjob.configure(zzzz=5)


@pytest.mark.parametrize(
    ("pyproject", "message"),
    [
        ("[tool.rocketjob", "pyproject.toml is not valid TOML"),
        ("[tool]\nrocketjob = 5", r"pyproject.toml: \[tool.rocketjob\] must be a table"),
        ("tool = 5", r"pyproject.toml: \[tool.rocketjob\] must be a table"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_named(tmp_path, pyproject, message):
    with pytest.raises(ConfigurationError, match=message):
        config(tmp_path, pyproject=pyproject)


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / "rocketjob.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"rocketjob\.toml is not valid TOML"):
        config(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        (
            "pyproject.toml",
            "[tool.rocketjob]\nworkers = 0",
            r"pyproject.toml, \[tool.rocketjob\]: ",
        ),
        ("my-pyproject.toml", "workers = 0", "my-pyproject.toml: "),
    ],
)
def test_a_wrong_setting_is_named_with_the_table_that_was_read(tmp_path, name, content, where):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=f"{where}workers = 0: must be"):
        config(tmp_path, environ={"ROCKETJOB_CONFIG": str(file)})


def test_a_key_is_not_shown_in_a_message(tmp_path):
    with pytest.raises(ConfigurationError) as error:
        config(tmp_path, overrides={"encryption_keys": [5, "secret"]})
    assert "(hidden)" in str(error.value)
    assert "secret" not in str(error.value)


def test_include_and_exclude_together_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="include and exclude cannot both be set"):
        config(tmp_path, toml="include = 'a'", environ={"ROCKETJOB_EXCLUDE": "b"})


# --- configure and connect --------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in setting_names():
        monkeypatch.delenv(f"ROCKETJOB_{name.upper()}", raising=False)
    return tmp_path


def test_configure_wins_over_all_and_adds_up(directory, monkeypatch):
    monkeypatch.setenv("ROCKETJOB_WORKERS", "3")
    assert rocketjob.configure(name="n").workers == 3
    found = rocketjob.configure(workers=4)
    assert (found.workers, found.name) == (4, "n")
    assert rocketjob.application.current().config.workers == 4


def test_configure_with_a_wrong_value_changes_nothing(directory):
    rocketjob.configure(workers=4)
    with pytest.raises(ConfigurationError):
        rocketjob.configure(workers=0)
    assert rocketjob.application.current().config.workers == 4
    assert rocketjob.configure(name="n").workers == 4


def test_connect_opens_the_store_of_the_process(directory):
    from support.jobs import KeptJob

    store = rocketjob.connect(f"sqlite:///{directory}/jobs.db")
    KeptJob.create(text="here")
    assert store.collection("rocket_job.jobs").count_documents({}) == 1
    rocketjob.connect("sqlite://:memory:")
    assert KeptJob.count() == 0
    rocketjob.connect(f"sqlite:///{directory}/jobs.db")
    assert KeptJob.first().text == "here"


def test_without_configuration_the_store_is_a_file_in_the_current_directory(directory, monkeypatch):
    from support.jobs import KeptJob

    monkeypatch.setattr(context, "_current", None)
    KeptJob.create()
    assert (directory / "rocketjob.db").is_file()


def test_a_store_that_no_plugin_opens_is_refused(directory):
    with pytest.raises(ConfigurationError, match="No plugin opens a store with the URL scheme 'x'"):
        rocketjob.connect("x://y")
