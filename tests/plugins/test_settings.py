"""The settings of plugins: set, checked, shown and refused like the kernel's own."""

import json
import os
import re
import subprocess
import sys
import types
from importlib import metadata

import pytest

import rocketjob
from rocketjob import ConfigurationError, PluginError, hookimpl
from rocketjob.application import Application
from rocketjob.base.config import load, origins
from rocketjob.base.settings import Setting, boolean, string
from rocketjob.plugins.manager import PluginManager
from rocketjob.testing import sandbox
from rocketjob_plugins.batch.settings import SLICES_URL, slices_store
from rocketjob_plugins.cron.settings import TIME_ZONE
from rocketjob_plugins.dirmon.entry import ALLOWED_PATHS
from rocketjob_plugins.encryption.keys import KEYS
from rocketjob_plugins.on_demand import ALLOWED


def config(tmp_path, toml="", **environ):
    (tmp_path / "rocketjob.toml").write_text(toml)
    return load(environ=environ, directory=tmp_path)


@pytest.mark.parametrize(
    ("setting", "given", "value"),
    [
        (SLICES_URL, "sqlite:///s.db", "sqlite:///s.db"),
        (TIME_ZONE, "Europe/Berlin", "Europe/Berlin"),
        (ALLOWED, "yes", True),
        (ALLOWED_PATHS, "/a, /b", ["/a", "/b"]),
        (KEYS, "k1,k2", ["k1", "k2"]),
    ],
    ids=lambda each: each.name if isinstance(each, Setting) else "",
)
def test_a_plugins_setting_is_read_from_file_variable_and_call(tmp_path, setting, given, value):
    name = setting.name
    assert setting.of(config(tmp_path)) == setting.default
    assert setting.of(config(tmp_path, f"{name} = {json.dumps(value)}")) == value
    assert setting.of(config(tmp_path, **{f"ROCKETJOB_{name.upper()}": given})) == value
    with sandbox(**{name: value}) as made:
        assert setting.of(made.application.config) == value
        assert getattr(made.application.config, name) == value


def test_a_wrong_value_is_named_with_its_variable_or_file(tmp_path):
    message = "the environment: ROCKETJOB_ALLOW_ON_DEMAND = 'perhaps': must be true or false"
    with pytest.raises(ConfigurationError, match=message):
        config(tmp_path, ROCKETJOB_ALLOW_ON_DEMAND="perhaps")
    with pytest.raises(ConfigurationError, match=r"rocketjob\.toml: time_zone = 'Mars'"):
        config(tmp_path, "time_zone = 'Mars'")


def test_a_misspelt_setting_of_a_plugin_suggests_the_nearest(tmp_path):
    message = "there is no setting alow_on_demand; did you mean allow_on_demand?"
    with pytest.raises(ConfigurationError, match=message):
        config(tmp_path, "alow_on_demand = true")
    with pytest.raises(ConfigurationError, match="did you mean slices_url"):
        rocketjob.configure(slice_url="sqlite:///s.db")
    assert config(tmp_path, ROCKETJOB_ALOW_ON_DEMAND="yes") == config(tmp_path)


def test_the_setting_of_a_disabled_plugin_is_refused_with_the_plugins_name(tmp_path):
    toml = "disabled_plugins = ['on-demand']\n"
    message = (
        r"rocketjob\.toml: allow_on_demand is a setting of the plugin on-demand, which is "
        "disabled: remove the setting, or on-demand from disabled_plugins"
    )
    with pytest.raises(ConfigurationError, match=message):
        config(tmp_path, toml + "allow_on_demand = true")
    assert not ALLOWED.of(config(tmp_path, toml, ROCKETJOB_ALLOW_ON_DEMAND="yes"))
    assert "allow_on_demand" not in config(tmp_path, toml).as_dict()
    assert "allow_on_demand" not in origins(environ={}, directory=tmp_path)


def test_a_setting_of_two_plugins_is_there_as_long_as_one_of_them_is_enabled(tmp_path):
    found = config(tmp_path, "disabled_plugins = ['cron']\ntime_zone = 'Europe/Berlin'")
    assert TIME_ZONE.of(found) == "Europe/Berlin"
    with pytest.raises(ConfigurationError, match="plugin cron, which is disabled"):
        config(tmp_path, "disabled_plugins = ['cron', 'processing-window']\ntime_zone = 'UTC'")


def test_the_origin_of_a_plugins_setting_is_told(tmp_path):
    (tmp_path / "rocketjob.toml").write_text("time_zone = 'Europe/Berlin'")
    found = origins({"slices_url": "s"}, environ={"ROCKETJOB_X": "5"}, directory=tmp_path)
    assert found["time_zone"] == str(tmp_path / "rocketjob.toml")
    assert (found["slices_url"], found["allow_on_demand"]) == ("the options given", "default")
    assert "x" not in found


def test_secrets_are_not_shown_with_the_configuration():
    assert "topsecret" not in repr(load({"encryption_keys": ["topsecret"]}, environ={}))


def run(folder, *args):
    environ = {name: text for name, text in os.environ.items() if not name.startswith("ROCKETJOB_")}
    command = [sys.executable, "-I", "-m", "rocketjob.cli", "config", *args]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def test_the_command_config_shows_a_plugins_setting_and_hides_its_secret(tmp_path):
    shown = run(tmp_path, "--set", "encryption_keys=topsecret", "--set", "time_zone=Europe/Berlin")
    assert "topsecret" not in shown.stdout
    assert "(hidden)" in shown.stdout
    assert re.search(r"time_zone +Europe/Berlin +command line", shown.stdout)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("time_zone=Mars", "must be a time zone such as UTC"),
        ("time_zon=UTC", "did you mean time_zone?"),
    ],
)
def test_a_wrong_setting_on_the_command_line_ends_with_2(tmp_path, given, message):
    found = run(tmp_path, "--set", given)
    assert found.returncode == 2
    assert message in found.stderr


def test_plugins_are_not_loaded_for_settings_of_the_kernel():
    code = (
        "import sys, rocketjob; rocketjob.configure(workers=3);"
        "sys.exit(any(name.startswith('rocketjob_plugins') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0


# --- a third party's -------------------------------------------------------------------------

LIMIT = Setting("acme_text", "none", string, "a text of Acme's")


def installed(monkeypatch, name, settings):
    module = types.ModuleType(f"acme_{name.replace('-', '_')}")

    @hookimpl
    def register_settings():
        return settings

    module.register_settings = register_settings
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return metadata.EntryPoint(name, module.__name__, "rocketjob")


def test_a_third_partys_setting_is_declared(monkeypatch):
    manager = PluginManager(entry_points=[installed(monkeypatch, "acme", [LIMIT])])
    assert manager.declared.settings == {"acme_text": LIMIT}
    assert manager.declared.owners == {"acme_text": "acme"}
    assert LIMIT.of(Application(load({}, environ={}), manager).config) == "none"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([Setting("url", "", string, "taken")], "a setting url already, of the kernel"),
        (["acme_text"], "returned a list with 'acme_text', expected a list of settings"),
        (5, "returned 5, expected a list of settings"),
        (
            [LIMIT, Setting("acme_text", False, boolean, "another")],
            "a setting acme_text already, of the plugin acme",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_the_plugins_name(monkeypatch, settings, message):
    found = [installed(monkeypatch, "acme", settings)]
    with pytest.raises(PluginError, match=f"The plugin acme .*{message}"):
        PluginManager(entry_points=found)
    (info,) = PluginManager(entry_points=found, strict=False).infos()
    assert not info.enabled
    assert "register_settings" in info.error


# --- the store of slices ---------------------------------------------------------------------


def test_slices_are_stored_with_everything_else_unless_there_is_a_url_for_them(tmp_path):
    with sandbox() as made:
        assert slices_store() is made.store
    with sandbox(slices_url=f"sqlite:///{tmp_path}/slices.db") as made:
        assert slices_store() is not made.store
        assert slices_store() is slices_store()


def test_the_store_of_the_slices_is_one_of_all_stores(tmp_path):
    with sandbox(slices_url=f"sqlite:///{tmp_path}/slices.db") as made:
        assert made.application.stores() == [made.store, slices_store()]
    with sandbox() as made:
        assert made.application.stores() == [made.store]


# --- in a table of their own -----------------------------------------------------------------

URL = Setting("url", None, str, "where it is posted", table="acme-notify")
TRIES = Setting("tries", 3, int, "how often it is tried", table="acme-notify")
TOKEN = Setting("token", "", str, "who we are", table="acme-notify", secret=True)
LOUD = Setting("loud", False, bool, "whether it says so", table="acme-notify")
SHARE = Setting("share", 0.5, float, "of what is sent", table="acme-notify")
TO = Setting("to", [], list, "who gets it", table="acme-notify")
NOTIFY = [URL, TRIES, TOKEN, LOUD, SHARE, TO]


def plugin(settings):
    class Plugin:
        @hookimpl
        def register_settings(self):
            return settings

    return Plugin()


@pytest.fixture
def found(monkeypatch):
    """What finds the settings: the plugin acme-notify, and no other."""

    def find(disabled):
        entry_points = [installed(monkeypatch, "acme-notify", NOTIFY)]
        return PluginManager(disabled, entry_points=entry_points).declared

    monkeypatch.setattr("rocketjob.base.config._find", find)
    return find


def read(tmp_path, toml="", name="rocketjob.toml", overrides=None, **environ):
    (tmp_path / name).write_text(toml)
    return load(overrides, environ=environ, directory=tmp_path)


@pytest.mark.parametrize("table", ["acme_notify", "acme-notify"])
def test_a_plugin_has_a_table_of_its_own(tmp_path, found, table):
    config = read(tmp_path, f'[{table}]\nurl = "http://a"\ntries = 5\nto = ["ann"]')
    assert (URL.of(config), TRIES.of(config), TO.of(config)) == ("http://a", 5, ["ann"])
    assert (LOUD.of(config), SHARE.of(config)) == (False, 0.5)


def test_in_pyproject_the_table_is_within_that_of_rocketjob(tmp_path, found):
    config = read(tmp_path, "[tool.rocketjob.acme_notify]\ntries = 5", "pyproject.toml")
    assert TRIES.of(config) == 5


def test_variables_and_options_win_over_the_table_setting_by_setting(tmp_path, found):
    toml = '[acme_notify]\nurl = "http://file"\ntries = 4\nloud = false\nto = ["ann"]'
    variables = {"ROCKETJOB_ACME_NOTIFY_TRIES": "5", "ROCKETJOB_ACME_NOTIFY_LOUD": "yes"}
    given = {"acme_notify": {"loud": False}, "acme-notify.to": "ann, bob"}
    config = read(tmp_path, toml, overrides=given, **variables)
    assert (URL.of(config), TRIES.of(config), LOUD.of(config)) == ("http://file", 5, False)
    assert TO.of(config) == ["ann", "bob"]
    told = origins(given, environ=variables, directory=tmp_path)
    assert told["acme_notify.url"] == str(tmp_path / "rocketjob.toml")
    assert told["acme_notify.tries"] == "the environment"
    assert told["acme_notify.to"] == told["acme_notify.loud"] == "the options given"
    assert told["acme_notify.share"] == "default"


WRONG = [
    ('tries = "x"', "tries = 'x': must be a whole number"),
    ("tries = 1.5", "tries = 1.5: must be a whole number"),
    ("url = 5", "url = 5: must be a string"),
    ("share = true", "share = True: must be a number"),
    ("share = nan", "share = nan: must be a number"),
    ("loud = 7", "loud = 7: must be true or false"),
    ("to = [5]", r"to = \[5\]: must be a list of strings"),
    ("tris = 5", "there is no setting tris in this table; did you mean tries"),
    ("token = 5", r"token = \(hidden\): must be a string"),
]


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_what_is_wrong_in_a_table_is_named_with_file_table_and_key(tmp_path, found, line, message):
    with pytest.raises(ConfigurationError, match=rf"rocketjob\.toml, \[acme_notify\]: {message}"):
        read(tmp_path, f"[acme_notify]\n{line}")
    where = r"pyproject\.toml, \[tool\.rocketjob\.acme_notify\]: "
    with pytest.raises(ConfigurationError, match=where + message):
        read(tmp_path, f"[tool.rocketjob.acme_notify]\n{line}", "pyproject.toml")


def test_a_wrong_variable_of_a_table_is_named(tmp_path, found):
    message = "the environment: ROCKETJOB_ACME_NOTIFY_TRIES = 'x': must be a whole number"
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, ROCKETJOB_ACME_NOTIFY_TRIES="x")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("acme_notify = 5", r"rocketjob\.toml: acme_notify must be a table, not 5"),
        ("[acme_notfy]\ntries = 5", r"no table \[acme_notfy\]; did you mean acme_notify\?"),
        ("zzzz = 5", r"known are url, .*\. If its plugin was uninstalled, remove the setting"),
        (
            "disabled_plugins = ['acme-notify']\n[acme_notify]\ntries = 5",
            "acme_notify.tries is a setting of the plugin acme-notify, which is disabled",
        ),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path, found, toml, message):
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, toml)


@pytest.mark.parametrize(
    ("file", "line", "table"),
    [
        ("rocketjob.toml", "[zzz]", "[zzz]"),
        ("rocketjob.toml", "[zzz.a]", "[zzz]"),
        ("pyproject.toml", "[tool.rocketjob.zz-z]", "[tool.rocketjob.zz-z]"),
    ],
)
def test_a_table_whose_plugin_was_uninstalled_has_no_effect(tmp_path, found, file, line, table):
    config = read(tmp_path, f"{line}\na = 5", file)
    assert config.unread == [
        f"{tmp_path / file}, {table}: no plugin that is installed has this table, so it has no "
        "effect: remove it, or install its plugin"
    ]


def test_a_table_that_is_given_in_code_is_refused_where_no_plugin_has_it(tmp_path, found):
    with pytest.raises(ConfigurationError, match=r"no table \[zzz\]; known are acme_notify"):
        load({"zzz": {"a": 5}}, environ={}, directory=tmp_path)


A, B = Setting("mode", "a", str, "x", table="two"), Setting("mode", "b", str, "y", table="two")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (A, B, "there is a setting two.mode already, of the plugin one"),
        (A, Setting("two_mode", "", str, "x"), "there is a setting two.mode already, of the"),
        (Setting("two_mode", "", str, "x"), A, "there is a setting two_mode already, of the"),
        (A, Setting("two", "", str, "x"), "there is a setting two.mode already, of the plugin one"),
        (Setting("two", "", str, "x"), A, "there is a setting two already, of the plugin one"),
        (LIMIT, Setting("level", "", str, "x", table="log"), "setting log_level already, of the"),
        (LIMIT, Setting("x", "", str, "x", table="log"), "setting log already, of the kernel"),
    ],
)
def test_two_settings_of_one_name_or_variable_are_refused(monkeypatch, first, second, message):
    entry_points = [
        installed(monkeypatch, "one", [first]),
        installed(monkeypatch, "other", [second]),
    ]
    with pytest.raises(PluginError, match=f"The plugin other .*{message}"):
        PluginManager(entry_points=entry_points)
    manager = PluginManager(entry_points=entry_points, strict=False)
    assert list(manager.declared.settings) == [first.key]
    assert manager.names == ["one"]


def test_two_plugins_may_share_a_setting(monkeypatch):
    entry_points = [installed(monkeypatch, name, [A]) for name in ("one", "two")]
    declared = PluginManager(entry_points=entry_points).declared
    assert declared.of_plugins == {"one": ["two.mode"], "two": ["two.mode"]}


@pytest.mark.parametrize("name", ["Mode", "a.b", "two words", "1st", ""])
def test_a_name_that_cannot_be_a_variable_is_refused(name):
    with pytest.raises(ValueError, match="name is lower-case letters"):
        Setting(name, "", str, "x")


# --- reading them ----------------------------------------------------------------------------


def test_settings_are_read_by_the_plugins_name():
    with sandbox(plugins=[plugin(NOTIFY)], acme_notify={"url": "http://a", "token": "topsecret"}):
        found = rocketjob.settings("acme-notify")
        assert found == rocketjob.settings("acme_notify")
        assert (found.url, found.tries, found.token) == ("http://a", 3, "topsecret")
        assert {*found} == {"url", "tries", "token", "loud", "share", "to"} <= {*dir(found)}
        assert "topsecret" not in repr(found)
        assert "tries=3" in repr(found)


def test_all_settings_can_be_read():
    with sandbox(plugins=[plugin(NOTIFY)], workers=3, acme_notify={"tries": 5}):
        found = rocketjob.settings()
        assert (found.workers, found.acme_notify.tries) == (3, 5)
    with sandbox(time_zone="Europe/Berlin", encryption_keys=["topsecret"]):
        for owner in (rocketjob.settings(), rocketjob.settings("cron")):
            assert owner.time_zone == "Europe/Berlin"
        assert rocketjob.settings("processing-window").time_zone == "Europe/Berlin"
        assert "topsecret" not in repr(rocketjob.settings())
        assert not [*rocketjob.settings("retry")]


def test_settings_are_read_only_and_a_wrong_name_is_told(rocketjob):
    import rocketjob

    found = rocketjob.settings("cron")
    with pytest.raises(AttributeError, match="read only: set them with rocketjob"):
        found.time_zone = "UTC"
    with pytest.raises(AttributeError, match="read only"):
        del found.time_zone
    with pytest.raises(AttributeError, match=r"plugin cron has no setting zone; .*time_zone"):
        found.zone  # noqa: B018
    with pytest.raises(ConfigurationError, match=r"No plugin corn is loaded.*did you mean cron\?"):
        rocketjob.settings("corn")


def test_a_sandbox_can_change_the_settings_of_a_plugin_one_by_one():
    with sandbox(plugins=[plugin(NOTIFY)], acme_notify={"url": "http://a"}):
        rocketjob.configure(acme_notify={"tries": 5})
        rocketjob.configure(acme_notify={"loud": True})
        found = rocketjob.settings("acme-notify")
        assert (found.url, found.tries, found.loud) == ("http://a", 5, True)
        with pytest.raises(ConfigurationError, match=r"\[acme_notify\]: there is no setting x"):
            rocketjob.configure(acme_notify={"x": 5})


def test_a_plugin_that_is_registered_in_code_brings_its_settings(rocketjob):
    import rocketjob as package

    own = plugin([LIMIT, TRIES])
    rocketjob.plugins.register(own)
    package.configure(acme_text="here", acme_notify={"tries": 9})
    assert (package.settings().acme_text, package.settings("acme-notify").tries) == ("here", 9)
    with pytest.raises(PluginError, match="there is a setting acme_text already, of the plugin"):
        rocketjob.plugins.register(plugin([TOKEN, Setting("acme_text", 5, int, "other")]))
    assert "acme_notify.token" not in rocketjob.plugins.declared.settings
    rocketjob.plugins.unregister(own)
    assert "acme_text" not in rocketjob.plugins.declared.settings


# --- variables that nobody knows ---------------------------------------------------------------


def test_doctor_names_variables_that_nobody_knows(rocketjob, monkeypatch):
    from rocketjob.server.checks import Patient
    from rocketjob.server.kernel_checks import check_configuration

    for name in ("ROCKETJOB_WROKERS", "ROCKETJOB_TIME_ZOME", "ROCKETJOB_QQQQQ", "ROCKETJOB_URL"):
        monkeypatch.setenv(name, "5")
    monkeypatch.setenv("ROCKETJOB_TEST_STORE_X", "5")
    monkeypatch.setenv("ROCKETJOB_CONFIG", "")
    findings = check_configuration(Patient(rocketjob.application, {}))
    found = {each.data["variable"]: each.message for each in findings if each.status == "warning"}
    assert {*found} == {"ROCKETJOB_WROKERS", "ROCKETJOB_TIME_ZOME", "ROCKETJOB_QQQQQ"}
    assert "did you mean ROCKETJOB_WORKERS?" in found["ROCKETJOB_WROKERS"]
    assert "did you mean ROCKETJOB_TIME_ZONE?" in found["ROCKETJOB_TIME_ZOME"]
    assert "see rocketjob config" in found["ROCKETJOB_QQQQQ"]


def test_a_variable_of_a_disabled_plugin_is_told_with_the_plugin(monkeypatch):
    from rocketjob.base.config import unknown_variables

    found = unknown_variables(["cron", "processing-window"], {"ROCKETJOB_TIME_ZONE": "UTC"})
    assert "a setting of the plugin cron, not loaded" in found["ROCKETJOB_TIME_ZONE"]
