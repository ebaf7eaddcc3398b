"""What the documentation says is so: its code runs, its tables are complete."""

import ast
import fnmatch
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import tokenize
import tomllib
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path

import pytest

from rocketjob import Job
from rocketjob.base import config, errors, sources
from rocketjob.plugins.hook_checks import known_hooks
from rocketjob.plugins.manager import PluginManager
from support.pages import DOCS, PAGES, ROOT, blocks, name_of

RUN_ELSEWHERE = {
    "docs/plugins/cron-expressions.md",  # by tests/plugins/cron/test_page.py
    "docs/tutorial/index.md",  # by test_tutorial.py
}
# They show `connect`, which a sandbox refuses; they write to the test's folder.
WITHOUT_SANDBOX = {"docs/configuration.md", "docs/stores/index.md", "docs/stores/sqlite.md"}
# What stands between the operators of a line of shell; those within quotes are none.
COMMAND = re.compile(r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^'"\\;|&()<>])+""")


def pages_with(*languages):
    found = [page for page in PAGES if blocks(page, *languages)]
    return pytest.mark.parametrize("page", found, ids=name_of)


# --- Python ----------------------------------------------------------------------------------


@pages_with("python")
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path):
    if name_of(page) in RUN_ELSEWHERE:
        pytest.skip("has a test of its own")
    if any("def test_" in code for _, code in blocks(page, "python")):
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--confcutdir", str(tmp_path)]
        file = tmp_path / "test_page.py"
        file.write_text(padded(page), encoding="utf-8")
        command += ["--import-mode=importlib", str(file)]
    else:
        command = [__file__, str(page)]
    # A process for each page: its classes would clash with those of other pages and tests.
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},  # for `support`
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def padded(page):
    """Return the page's Python on the lines where it stands, so that an error names its line."""
    lines = []
    for line, code in blocks(page, "python"):
        lines += [""] * (line - 1 - len(lines)) + code.splitlines()
    return "\n".join(lines) + "\n"


def run_page(page):
    """Run a page's Python in a sandbox, and in an empty folder, statement by statement.

    A comment `# -> value` behind or below an expression says what its repr is, and
    `# raises Error` that the statement raises; `...` stands for anything.
    """
    from rocketjob.testing import sandbox

    scope = {"__name__": "page", "__file__": str(page)}
    sys.modules["page"] = module = type(sys)("page")  # annotations are looked up there
    module.__dict__.update(scope)
    source = padded(page)
    with nullcontext() if name_of(page) in WITHOUT_SANDBOX else sandbox():
        run_body(ast.parse(source).body, page, module.__dict__, comments_of(source))


def run_body(body, page, scope, comments):
    for statement in body:
        end, column = statement.end_lineno, statement.col_offset
        below = comments.get((end + 1, column))
        if isinstance(statement, ast.With) and below is None:
            run_with(statement, page, scope, comments)
        else:
            expected = comments.get((end, "behind")) or below or ""
            run_statement(statement, page, scope, expected)


def run_with(statement, page, scope, comments):
    """Run a with block statement by statement, so that what stands in it is compared too."""
    where = f"{name_of(page)}:{statement.lineno}"
    with ExitStack() as stack:
        for item in statement.items:
            made = eval(compile(ast.Expression(item.context_expr), where, "eval"), scope)
            entered = stack.enter_context(made)
            if item.optional_vars is not None:
                scope[item.optional_vars.id] = entered
        run_body(statement.body, page, scope, comments)


def run_statement(statement, page, scope, expected):
    returns = expected[3:] if expected.startswith("-> ") else None
    raises = expected[7:] if expected.startswith("raises ") else None
    where = f"{name_of(page)}:{statement.lineno}"
    try:
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), where, "eval"), scope)
            if returns is not None:
                assert matches(repr(value), returns), f"{where}: {value!r} is not {returns}"
        else:
            exec(compile(ast.Module([statement], []), where, "exec"), scope)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        if raises is None or not matches(said, raises if ":" in raises else raises + ": ..."):
            raise
    else:
        assert raises is None, f"{where}: nothing was raised, and {raises} was expected"


def comments_of(source):
    """Return the comments that say what a statement returns or raises, by line and column."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = token.string.removeprefix("# ")
        if token.type == tokenize.COMMENT and text.startswith(("-> ", "raises ")):
            alone = token.line.lstrip().startswith("#")
            found[token.start[0], token.start[1] if alone else "behind"] = text
    return found


def matches(text, pattern):
    pattern = pattern.strip().replace("[", "[[]").replace("?", "[?]").replace("*", "[*]")
    return fnmatch.fnmatchcase(text, pattern.replace("...", "*"))


# --- shell and TOML --------------------------------------------------------------------------


def command_line():
    with suppress(ImportError, AttributeError):
        return importlib.import_module("rocketjob.cli").make_cli()
    return None


@pages_with("console", "shell", "sh", "bash")
def test_the_commands_of_a_page_exist(page):
    cli = command_line()
    if cli is None:
        pytest.skip("the command line is not there yet")
    for line, code in blocks(page, "console", "shell", "sh", "bash"):
        for text in command_lines(code):
            for words in commands(text):
                parse_command(cli, words, f"{name_of(page)}:{line}: {text}")


def command_lines(code):
    """List the lines that are typed: where a block has prompts, the others are what was printed.

    One that is shown with its error is wrong on purpose: test_tutorial.py types these.
    """
    lines = code.replace("\\\n", " ").splitlines()
    below = [*lines[1:], ""]
    right = [a for a, b in zip(lines, below, strict=True) if not b.startswith("error: ")]
    return [line for line in right if line.startswith("$ ")] or (
        [] if any(line.startswith("$ ") for line in lines) else lines
    )


def commands(text):
    """List the words of each `rocketjob ...` command in a line of shell."""
    for part in COMMAND.findall(text.removeprefix("$ ")):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0]):
            del words[0]
        if words and words[0].rpartition("/")[2] == "rocketjob":
            yield words[1:]


def parse_command(command, words, where):
    """Parse the words against the command and the commands below it, and run nothing."""
    import click

    context = None
    try:
        while isinstance(command, click.Group):
            context = command.make_context("rocketjob", list(words), parent=context)
            words = [*getattr(context, "_protected_args", []), *context.args]
            if not words:
                return
            _, command, words = command.resolve_command(context, words)
        command.make_context(command.name, list(words), parent=context)
    except click.exceptions.Exit:
        pass  # --help and --version
    except click.ClickException as error:
        pytest.fail(f"{where}: {error.format_message()}")


@pages_with("toml")
def test_the_settings_of_a_page_are_valid(page, tmp_path):
    for number, (_, code) in enumerate(blocks(page, "toml")):
        table = tomllib.loads(code)
        if "project" in table or "build-system" in table:
            continue  # packaging
        directory = tmp_path / str(number)
        directory.mkdir()
        name = "pyproject.toml" if "tool" in table else "rocketjob.toml"
        (directory / name).write_text(code)
        config.load(environ={}, directory=directory)


# --- tables against the code -----------------------------------------------------------------


def first_cells(page):
    """Return the rows of a page's tables by the name in their first cell."""
    rows = re.findall(r"^\| `([^`]+)`(.*)\|$", (DOCS / page).read_text(), re.MULTILINE)
    return dict(rows)


def test_every_setting_is_documented_with_its_variable_default_and_an_example():
    rows = first_cells("configuration.md")
    assert set(rows) == set(config.setting_names())
    example = "".join(code for _, code in blocks(DOCS / "configuration.md", "toml"))
    for setting in config.known().values():
        variable, default = (cell.strip() for cell in rows[setting.key].split("|")[:2])
        assert variable == f"`{sources.variable(setting.key)}`"
        assert default == shown(setting.default), setting.key
        here = example.partition(f"[{setting.table}]")[2] if setting.table else example
        assert re.search(rf"^(# )?{setting.name} = ", here, re.MULTILINE), setting.key


def shown(default):
    if default is None or default == []:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_every_error_is_documented():
    known = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.RocketJobError)
    }
    assert known <= set(first_cells("errors.md"))


def test_every_standard_field_is_documented():
    assert set(Job.fields()) <= set(first_cells("jobs.md"))


def test_every_event_is_documented():
    assert set(Job.__events__) <= set(first_cells("life-of-a-job.md"))
    events = set(Job.known_events())
    assert events <= set(first_cells("callbacks.md"))


def hooks():
    """Return the names of all hooks: the kernel's, and those that the plugins here bring."""
    return set(known_hooks(PluginManager()))


def test_every_hook_is_documented():
    text = (DOCS / "plugins/hooks.md").read_text().partition("## Where each is called")[0]
    assert hooks() == set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))


def test_of_every_hook_the_process_the_thread_and_the_guarantee_are_documented():
    text = (DOCS / "plugins/hooks.md").read_text().partition("## Where each is called")[2]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    named = {row[0].strip("| `") for row in rows}
    assert (hooks() - named, named - hooks()) == (set(), set()), "missing, and too many"
    threads = {
        *("main", "any", "the same", "sweeper", "the worker's", "one of its own"),
        *("the one that first needs the plugins", "the one that first needs the store"),
        "the one that makes the application",
        "the worker's, or one that answers questions",
    }
    for row in rows:
        assert len(row) == 4, row
        assert row[2] in threads, row
        assert len(row[3]) > 5, row


@pytest.mark.parametrize("name", sorted(hooks()))
def test_the_kind_of_a_hook_in_the_table_is_that_of_its_specification(name):
    caller = getattr(PluginManager().hook, name)
    text = (DOCS / "plugins/hooks.md").read_text()
    kind = re.search(
        rf"^\| `{name}` \|(?:.*\|)? (collect|first|notify|wrappers) ", text, re.MULTILINE
    )[1]
    assert (kind == "first") is bool(caller.spec.opts["firstresult"])


def test_what_the_package_exports_is_in_the_reference():
    import rocketjob

    text = (DOCS / "api.md").read_text()
    names = set(rocketjob.__all__) - set(vars(errors))  # the errors are there as a module
    missing = [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)]
    assert missing == []


def test_ci_runs_the_second_command_of_the_readme():
    run = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m1 '([^']+)'", run)[1]
    assert re.findall(pattern, (ROOT / "README.md").read_text(), re.MULTILINE)


if __name__ == "__main__":
    run_page(Path(sys.argv[1]).resolve())
