"""What can be set, hooked and caught is documented."""

import inspect
from pathlib import Path

import pytest

import rocketjob
from rocketjob.base import errors
from rocketjob.base.config import known, setting_names
from rocketjob.plugins import hookspecs
from rocketjob.plugins.manager import PluginManager

DOCS = Path(__file__).parents[2] / "docs"
HOOKS = sorted(name for name in vars(PluginManager(entry_points=[]).hook) if name[0] != "_")
ERRORS = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == errors.__name__
]


def page(name):
    found = DOCS / name
    if not found.is_file():
        pytest.skip(f"docs/{name} is not written yet")
    return found.read_text()


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_when_it_is_called_and_what_a_return_value_does(name):
    doc = inspect.getdoc(getattr(hookspecs, name))
    assert doc, f"{name} has no docstring"
    assert len(doc) > 40
    assert doc.splitlines()[0].endswith((".", "::"))


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_named_in_the_documentation(name):
    text = "\n".join(file.read_text() for file in DOCS.rglob("*.md"))
    if "register_jobs" not in text:
        pytest.skip("the page on plugins is not written yet")
    assert name in text


@pytest.mark.parametrize("name", setting_names())
def test_a_setting_is_described_and_on_the_page_configuration(name):
    assert known()[name].help
    text = page("configuration.md")
    assert f"`{name}`" in text
    assert f"ROCKETJOB_{name.upper()}" in text or "ROCKETJOB_" in text


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
def test_an_error_has_a_docstring_that_is_its_default_message(cls):
    if cls is not errors.RocketJobError:
        assert issubclass(cls, errors.RocketJobError)
    assert cls.__doc__
    if cls.__init__ in (errors.RocketJobError.__init__, errors.DuplicateKey.__init__):
        assert str(cls()) == cls.__doc__.strip().splitlines()[0]


def test_what_is_public_has_a_docstring():
    for name in rocketjob.__all__:
        assert inspect.getdoc(getattr(rocketjob, name)), name
