"""Targets of the log: what the setting says, who gets what, and what happens while one is away."""

import io
import json
import logging
import multiprocessing
import os
import threading

import pytest

from rocketjob import ConfigurationError, RocketJobError, hookimpl
from rocketjob.base import log as logs
from rocketjob.base import log_outlet
from rocketjob.base.config import load
from rocketjob.base.log import Logger, set_level
from rocketjob.base.log_file import LogFile
from rocketjob.base.log_outlet import LotHandler
from rocketjob.base.log_service import LogService
from rocketjob.base.log_targets import (
    KERNEL_TARGETS,
    LogTarget,
    found,
    log_setting,
    options_of,
    wanted,
)
from rocketjob.base.passwords import without_secrets
from rocketjob.base.settings import Setting
from rocketjob.base.text import as_bytes
from support.jobs import KeptJob
from support.runtime import PATIENCE, bare_root_logger, eventually


@pytest.fixture(autouse=True)
def root():
    """The root logger, as it was before afterwards; no handler of pytest's is on it."""
    with bare_root_logger() as logger:
        yield logger
    for name in ("app", "app.deep", "rocketjob"):
        logging.getLogger(name).setLevel(logging.NOTSET)


class Memory(logging.Handler):
    """Keeps lines; away or slow for as long as a test says so."""

    def __init__(self):
        super().__init__()
        self.lines, self.error, self.tried = [], None, 0
        self.open, self.closed = threading.Event(), False
        self.open.set()

    def emit(self, record):
        line = self.format(record)
        self.open.wait(PATIENCE)
        self.tried += 1
        if self.error:
            raise self.error
        self.lines.append(line)

    def close(self):
        self.closed = True
        super().close()


class Lots(LotHandler):
    def __init__(self):
        super().__init__()
        self.lots, self.error, self.open = [], None, threading.Event()
        self.open.set()

    def emit_lot(self, records):
        self.open.wait(PATIENCE)
        if self.error:
            raise self.error
        if any("poison" in record.getMessage() for record in records):
            raise ValueError("poison")
        self.lots.append([record.getMessage() for record in records])


def service(*entries, level="info", **handlers):
    """Start a log with these entries of the setting; handlers are targets by name."""
    targets = [LogTarget(name, lambda options, h=h: h, "x") for name, h in handlers.items()]
    log = list(entries) or list(handlers)
    return LogService(level, log, [*KERNEL_TARGETS, *targets]).start()


def said(handler):
    return [line.partition(": ")[2] for line in handler.lines]


# --- the setting -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("console", "console"),
        ("./jobs.log", "./jobs.log"),
        ("console, jobs.log", ["console", "jobs.log"]),
        (["console"], "console"),
        (["console", {"target": "json", "level": "warn"}], None),
        ('[{"target": "json"}]', [{"target": "json"}]),
        ('{"target": "json"}', [{"target": "json"}]),
        ({"target": "json"}, [{"target": "json"}]),
    ],
)
def test_the_log_is_a_target_a_file_or_a_list(given, value):
    assert log_setting(given) == (given if value is None else value)
    assert log_setting(log_setting(given)) == log_setting(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "must name a target"),
        ([5], "must be targets such as"),
        ([{"level": "info"}], "has a table without a target"),
        ([{"target": ""}], "has a table without a target"),
        (
            [{"target": "json", "level": "loud"}],
            "target json: level = 'loud': must be one of trace",
        ),
        ([{"target": "json", "filter": "("}], "target json: filter = '[(]': is not a regular"),
        ([{"target": "json", "buffer": 0}], "target json: buffer = 0: must be at least 1"),
        ([{"target": "json", "format": "xml"}], "format = 'xml': must be text or json"),
        ("[5", "is not JSON"),
    ],
)
def test_a_log_that_cannot_be_is_refused_with_the_place(tmp_path, given, message):
    with pytest.raises(ConfigurationError, match=f"the options given: log = .*{message}"):
        load({"log": given}, environ={}, directory=tmp_path)


def test_in_a_file_the_targets_are_a_list_of_names_and_tables(tmp_path):
    toml = 'log = ["console", {target = "./a.json", level = "warn"}]'
    (tmp_path / "rocketjob.toml").write_text(toml)
    found = load(environ={}, directory=tmp_path).log
    console, file = wanted(found)
    assert (console.target, console.common["level"]) == ("console", None)
    assert (file.target, file.options, file.common["level"]) == (
        "file",
        {"path": "./a.json"},
        "warn",
    )


def test_a_target_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(
        ConfigurationError, match=r"no target consol; did you mean console\? A file"
    ):
        LogService("info", "consol")
    with pytest.raises(ConfigurationError, match="no target qqq; there are console, file, json"):
        LogService("info", "qqq")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"target": "json", "pth": "x"}, "log, target json: there is no option pth"),
        ({"target": "file", "pth": "x"}, r"there is no option pth; did you mean path\?"),
        ({"target": "file", "path": 5}, "log, target file: path = 5: must be a string"),
        ({"target": "file"}, "log, target file: it needs a path"),
        ({"target": "a.log", "max_bytes": "much"}, "max_bytes = 'much': must be a number of bytes"),
        ({"target": "a.log", "backups": 0}, "backups = 0: must be at least 1"),
    ],
)
def test_a_wrong_option_is_refused_with_its_target(entry, message):
    with pytest.raises(ConfigurationError, match=message):
        LogService("info", [entry]).start()
    assert not logs.services


def test_where_one_target_cannot_be_opened_none_stays_open(tmp_path):
    memory = Memory()
    targets = [*KERNEL_TARGETS, LogTarget("memory", lambda options: memory, "x")]
    with pytest.raises(RocketJobError, match=r"The log /nonexistent/x\.log cannot be written: "):
        LogService("info", ["memory", "/nonexistent/x.log"], targets).start()
    assert memory.closed
    assert not logs.services


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda options: 1 / 0, "The log target odd cannot be made: ZeroDivisionError"),
        (lambda options: "x", "cannot be made: TypeError: 'x' is not a logging.Handler"),
    ],
)
def test_a_target_that_cannot_be_made_is_named(make, message):
    with pytest.raises(ConfigurationError, match=message):
        LogService("info", "odd", [LogTarget("odd", make, "x")]).start()


@pytest.mark.parametrize(
    ("given", "number"), [(5, 5), ("5", 5), ("10 MB", 10_000_000), ("2kb", 2000), ("1GB", 10**9)]
)
def test_a_size_may_have_a_unit(given, number):
    assert as_bytes(given) == number


@pytest.mark.parametrize("given", [0, -1, "x", "1.5 MB", True, None, "5 XB"])
def test_what_is_no_size_is_refused(given):
    with pytest.raises(ValueError, match="must be a number of bytes"):
        as_bytes(given)


def test_secrets_in_the_log_are_hidden_where_settings_are_shown(tmp_path):
    entries = [{"target": "x", "token": "topsecret", "url": "http://a:topsecret@b"}]
    for value in (entries, json.dumps(entries)):
        assert "topsecret" not in repr(without_secrets(value))
        with pytest.raises(ConfigurationError) as error:
            load({"log": json.dumps([*entries, 5])}, environ={}, directory=tmp_path)
        assert "topsecret" not in str(error.value)


def test_a_secret_option_is_hidden_where_it_is_wrong():
    options = [Setting("token", 0, int, "x", secret=True)]
    target = LogTarget("x", lambda options: Memory(), "x", options)
    with pytest.raises(ConfigurationError, match=r"token = \(hidden\): must be a whole number"):
        options_of(wanted({"target": "x", "token": "topsecret"})[0], target)


# --- who gets what ---------------------------------------------------------------------------


def test_each_target_gets_what_its_level_and_filter_let_pass():
    everything, warnings, apps = Memory(), Memory(), Memory()
    made = service(
        {"target": "everything", "level": "trace"},
        {"target": "warnings", "level": "warn"},
        {"target": "apps", "filter": "^app"},
        everything=everything,
        warnings=warnings,
        apps=apps,
    )
    for logger in (Logger("app"), Logger("lib")):
        logger.debug("small")
        logger.info("medium")
        logger.warning("large")
    made.stop()
    assert len(everything.lines) == 6
    assert said(warnings) == ["large", "large"]
    assert said(apps) == ["medium", "large"]


def test_a_target_with_a_lower_level_does_not_lower_that_of_the_others():
    low, common = Memory(), Memory()
    made = service({"target": "low", "level": "debug"}, "common", low=low, common=common)
    logging.getLogger("app").setLevel(logging.DEBUG)
    Logger("lib").debug("of a library")
    Logger("app.deep").debug("of an app that is looked at")
    KeptJob(log_level="debug").logger.debug("of a job that is looked at")
    made.stop()
    assert len(low.lines) == 3
    assert [line.partition(" job_id")[0] for line in said(common)] == [
        "of an app that is looked at",
        "of a job that is looked at",
    ]


def test_a_job_that_is_loud_does_not_reach_a_target_with_a_level_of_its_own():
    strict = Memory()
    made = service({"target": "strict", "level": "warn"}, strict=strict)
    KeptJob(log_level="debug").logger.info("loud")
    made.stop()
    assert not strict.lines


def test_the_level_is_changed_while_the_log_is_written():
    common, own = Memory(), Memory()
    made = service("common", {"target": "own", "level": "info"}, common=common, own=own)
    Logger("app").debug("one")
    set_level("debug")
    Logger("app").debug("two")
    set_level("warn")
    Logger("app").info("three")
    made.stop()
    assert (said(common), said(own)) == (["two"], ["three"])


def test_a_format_can_be_chosen():
    text, as_json = Memory(), Memory()
    made = service("text", {"target": "json2", "format": "json"}, text=text, json2=as_json)
    Logger("app").info("hello", a=1)
    made.stop()
    assert said(text) == ["hello a=1"]
    assert json.loads(as_json.lines[0])["a"] == 1


def test_console_and_files_get_the_same_lines(tmp_path, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    made = service("console", str(tmp_path / "a.log"), str(tmp_path / "a.json"))
    Logger("app").info("hello")
    made.stop()
    assert stream.getvalue() == (tmp_path / "a.log").read_text()
    assert json.loads((tmp_path / "a.json").read_text())["message"] == "hello"


def test_a_message_whose_arguments_do_not_fit_neither_fails_who_logs_nor_is_lost():
    memory = Memory()
    made = service(memory=memory)
    logging.getLogger().handlers[:] = [made._handler]  # pytest's own raises
    logging.getLogger("app").warning("%d of them", "many")
    made.stop()
    assert said(memory)[0].startswith("%d of them ('many',) (TypeError")


# --- slow, away, broken ----------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(log_outlet, "PAUSES", (0.001, 0.01))


def test_a_slow_target_holds_up_nobody_and_says_how_much_it_has_not_got():
    slow, other = Memory(), Memory()
    slow.open.clear()
    made = service({"target": "slow", "buffer": 10}, "other", slow=slow, other=other)
    log = Logger("app")
    for number in range(100):
        log.info("line", number=number)
    eventually(lambda: len(other.lines) == 100)
    slow.open.set()
    eventually(lambda: any("were dropped" in line for line in slow.lines))
    log.info("last")
    made.stop()
    kept = sum("line number" in line for line in slow.lines)
    dropped = next(line for line in slow.lines if "were dropped" in line)
    assert 10 <= kept <= 21  # those may have been taken out of the queue already
    assert f"target=slow lines={100 - kept}" in dropped
    assert said(slow)[-1] == "last"
    assert any("were dropped" in line for line in other.lines)


def test_lines_wait_while_a_target_is_away_and_the_others_say_so(quick):
    away, other = Memory(), Memory()
    away.error = ConnectionRefusedError("nobody there")
    made = service("away", "other", away=away, other=other)
    Logger("app").info("one")
    Logger("app").info("two")
    eventually(lambda: away.tried >= 3)
    away.error = None
    eventually(lambda: any("is back" in line for line in other.lines))
    made.stop()
    assert said(away) == ["one", "two"]
    reported = [line for line in said(other) if "target" in line]
    assert reported == [
        "a log target is away: its lines wait target=away "
        "error='ConnectionRefusedError: nobody there'",
        "a log target is back target=away",
    ]


def test_a_handler_that_tells_of_errors_as_the_standard_ones_do_is_away_too(quick):
    class Standard(Memory):
        def emit(self, record):
            try:
                super().emit(record)
            except Exception:
                self.handleError(record)

    away = Standard()
    away.error = OSError("away")
    made = service(away=away)
    Logger("app").info("one")
    eventually(lambda: away.tried >= 2)
    away.error = None
    eventually(lambda: away.lines)
    made.stop()
    assert said(away) == ["one"]


def test_where_there_is_no_other_target_standard_error_says_that_it_is_away(quick, capsys):
    away = Memory()
    away.error = OSError("nobody there")
    made = service(away=away)
    Logger("app").info("one")
    eventually(lambda: away.tried >= 2)
    made.stop()
    said = capsys.readouterr().err
    assert "a log target is away" in said
    assert "log lines were not written, since a target is slow or away: away: 1" in said


def test_a_line_that_cannot_be_written_is_lost_alone(quick):
    class Mute:
        def __init__(self, error):
            self.error = error

        def __str__(self):
            raise self.error

    memory, other = Memory(), Memory()
    made = service("memory", {"target": "other", "level": "error"}, memory=memory, other=other)
    log = Logger("app")
    for error in (ValueError("no text"), OSError("not away"), KeyError()):
        log.info("spoilt", what=Mute(error))
        log.info("fine")
    eventually(lambda: sum("a line cannot be logged" in line for line in other.lines) == 3)
    made.stop()
    assert said(memory).count("fine") == 3


def test_lines_go_in_lots_where_a_target_takes_them_and_one_that_spoils_a_lot_is_lost_alone():
    lots, other = Lots(), Memory()
    lots.open.clear()
    made = service("lots", {"target": "other", "level": "error"}, lots=lots, other=other)
    log = Logger("app")
    log.info("first")
    for name in ("a", "poison", "b"):
        log.info(name)
    lots.open.set()
    eventually(lambda: sum("a line cannot be logged" in line for line in other.lines) == 1)
    made.stop()
    assert [line for lot in lots.lots for line in lot] == ["first", "a", "b"]


def test_the_end_does_not_wait_for_a_target_that_hangs(monkeypatch, capsys):
    monkeypatch.setattr("rocketjob.base.log_service.STOP_SECONDS", 0.05)
    hanging, fine = Memory(), Memory()
    hanging.open.clear()
    made = service("hanging", "fine", hanging=hanging, fine=fine)
    for _ in range(3):
        Logger("app").info("line")
    made.stop()
    assert "hanging: 3" in capsys.readouterr().err
    eventually(lambda: said(fine) == ["line"] * 3)
    hanging.open.set()


def test_all_that_waits_is_written_at_the_end_though_the_target_was_away_for_a_while(quick):
    away = Memory()
    away.error = OSError("away")
    made = service(away=away)
    for number in range(50):
        Logger("app").info("line", number=number)
    eventually(lambda: away.tried >= 2)
    away.error = None
    made.stop()
    assert [line for line in said(away)] == [f"line number={number}" for number in range(50)]


def test_what_the_library_of_a_target_logs_while_it_writes_does_not_come_back_to_it():
    class Chatty(Memory):
        def emit(self, record):
            logging.getLogger("library").info("posting")
            super().emit(record)

    chatty, other = Chatty(), Memory()
    made = service(chatty=chatty, other=other)
    Logger("app").info("one")
    eventually(lambda: "posting" in said(other))
    made.stop()
    assert said(chatty) == ["one"]


# --- files -----------------------------------------------------------------------------------


def write(handler, text):
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, text, (), None))


def test_a_file_is_rotated_by_its_size_and_the_oldest_is_removed(tmp_path):
    handler = LogFile(tmp_path / "a.log", max_bytes=11, backups=2)
    for number in range(6):
        write(handler, f"line {number:04}")
        write(handler, f"more {number:04}")
    handler.close()
    assert {path.name for path in tmp_path.iterdir()} == {"a.log", "a.log.1", "a.log.2"}
    assert (tmp_path / "a.log").read_text() == "line 0005\nmore 0005\n"
    assert (tmp_path / "a.log.1").read_text() == "line 0004\nmore 0004\n"
    assert (tmp_path / "a.log.2").read_text() == "line 0003\nmore 0003\n"


def _fill(path, name, count):
    handler = LogFile(path, max_bytes=2000, backups=1000)
    for number in range(count):
        write(handler, f"{name} {number}")
    handler.close()


def test_processes_that_rotate_one_file_lose_no_line(tmp_path):
    context = multiprocessing.get_context("spawn")
    fillers = [
        context.Process(target=_fill, args=(tmp_path / "a.log", name, 500)) for name in "abc"
    ]
    for filler in fillers:
        filler.start()
    for filler in fillers:
        filler.join(PATIENCE)
        assert filler.exitcode == 0
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {n}" for name in "abc" for n in range(500))
    assert len(list(tmp_path.iterdir())) > 3


def test_a_file_that_is_away_for_a_while_gets_its_lines_later(tmp_path, quick, capsys):
    folder = tmp_path / "logs"
    folder.mkdir()
    made = service(str(folder / "a.log"))
    folder.rename(tmp_path / "away")
    Logger("app").info("one")
    eventually(lambda: "a log target is away" in capsys.readouterr().err)
    (tmp_path / "away").rename(folder)
    made.stop()
    assert "one" in (folder / "a.log").read_text()


# --- forks -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_writes_to_what_bears_it_and_waits_for_nobody(tmp_path):
    class Noting(logging.Handler):
        def __init__(self, name):
            super().__init__()
            self.path, self.fails = tmp_path / name, False

        def emit(self, record):
            if record.name != "app":
                return  # of a library that another test has left with a hook at each fork
            if self.fails:
                raise OSError("away")
            with open(self.path, "a") as file:
                file.write(f"{os.getpid()} {record.getMessage()}\n")

    handlers = {name: Noting(name) for name in ("bears", "not", "away")}
    targets = [
        LogTarget(name, lambda options, h=h: h, "x", in_forks=name != "not")
        for name, h in handlers.items()
    ]
    made = LogService("info", list(handlers), targets).start()
    pid = os.fork()
    if pid == 0:
        handlers["away"].fails = True
        Logger("app").info("in the child")
        handlers["away"].fails = False
        Logger("app").info("in the child again")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    Logger("app").info("in the parent")
    made.stop()
    texts = {name: handler.path.read_text() for name, handler in handlers.items()}
    child, parent = (
        [f"{pid} in the child", f"{pid} in the child again"],
        f"{os.getpid()} in the parent",
    )
    assert texts["bears"].splitlines() == [*child, parent]
    assert texts["not"].splitlines() == texts["away"].splitlines() == [parent]


# --- plugins ---------------------------------------------------------------------------------


class Bringing:
    def __init__(self, *targets):
        self.targets = targets

    @hookimpl
    def register_log_targets(self):
        return list(self.targets)


def test_a_plugin_brings_a_target_with_options(rocketjob):
    memory, seen = Memory(), []

    def make(options):
        seen.append(options)
        return memory

    option = Setting("channel", "general", str, "where it is said")
    rocketjob.plugins.register(Bringing(LogTarget("chat", make, "a chat", [option])))
    log = ["chat", {"target": "chat", "channel": "ops", "level": "error"}]
    made = rocketjob.application.log_service(log).start()
    Logger("app").error("hello")
    made.stop()
    assert seen == [{"channel": "general"}, {"channel": "ops"}]
    assert said(memory) == ["hello", "hello"]


def test_a_target_with_a_name_that_is_taken_is_refused_and_its_plugin_named(rocketjob):
    own = LogTarget("chat", lambda options: Memory(), "x")
    rocketjob.plugins.register(
        Bringing(LogTarget("json", lambda options: Memory(), "x"), own), "chat"
    )
    assert rocketjob.application.log_targets()["chat"] is own
    assert rocketjob.application.log_targets()["json"] is KERNEL_TARGETS[1]
    (problem,) = rocketjob.plugins.problems
    assert problem.startswith(
        "The plugin chat brings the log target json, but there is one of that"
    )


def test_what_is_no_target_is_refused_with_what_was_expected(rocketjob):
    rocketjob.plugins.register(Bringing("console"), "chat")
    assert "chat" not in rocketjob.application.log_targets()
    assert "expected a list of log targets" in rocketjob.plugins.problems[0]


def test_plugins_are_not_asked_where_the_targets_are_the_kernels_own(rocketjob, monkeypatch):
    def fail(*args):
        raise AssertionError("asked")

    monkeypatch.setattr(rocketjob.application, "log_targets", fail)
    rocketjob.application.log_service(["console", "./x.log"])


def test_every_target_says_what_it_is_and_so_does_each_option(rocketjob):
    for target in rocketjob.application.log_targets().values():
        assert target.help
        assert all(option.help for option in target.options)
        assert found(wanted(target.name)[0], {target.name: target}) is target


def test_doctor_names_a_target_that_does_not_exist_or_has_wrong_options(rocketjob):
    from rocketjob.server.checks import Patient
    from rocketjob.server.kernel_checks import check_configuration

    entries = [{"target": "syslog", "hst": "x"}, "sysolg", "console"]
    import rocketjob as package

    package.configure(log=entries)
    findings = check_configuration(Patient(rocketjob.application, {}))
    told = [each.message for each in findings if each.status == "problem"]
    assert len(told) == 2
    assert "log, target syslog: there is no option hst; did you mean host?" in told[0]
    assert "log: there is no target sysolg; did you mean syslog?" in told[1]
