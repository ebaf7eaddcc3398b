"""The file of `--log` under a running server."""

import logging

import pytest

from rocketjob.base.log_file import LogFile


@pytest.fixture
def log(tmp_path):
    (tmp_path / "logs").mkdir()
    handler = LogFile(tmp_path / "logs" / "x.log")
    yield handler
    handler.close()


def say(handler, text):
    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, text, (), None))


@pytest.mark.parametrize("remove", [False, True])
def test_a_rotated_or_removed_log_goes_on_in_a_new_file(log, tmp_path, remove):
    path = tmp_path / "logs" / "x.log"
    say(log, "one")
    path.unlink() if remove else path.rename(tmp_path / "x.1")
    say(log, "two")
    assert path.read_text() == "two\n"


def test_a_log_whose_folder_was_away_goes_on_when_it_is_back(log, tmp_path, capsys):
    say(log, "one")
    (tmp_path / "logs").rename(tmp_path / "away")
    say(log, "lost")
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "away").rename(tmp_path / "logs")
    say(log, "two")
    assert (tmp_path / "logs" / "x.log").read_text() == "one\ntwo\n"
