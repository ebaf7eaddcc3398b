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
    module = types.ModuleType(f"acme_{name}")

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
