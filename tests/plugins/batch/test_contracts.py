"""The suites for what plugins bring, over what is built in; and with faults, which they find."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rocketjob.testing.encryption_contract import EncryptionContract
from rocketjob_plugins import encryption
from rocketjob_plugins.batch.serializers import serializer
from rocketjob_plugins.batch.streams.built_in import BUILT_IN
from rocketjob_plugins.batch.streams.xlsx import Xlsx
from rocketjob_plugins.batch.tabular import Csv, Json, Psv
from rocketjob_plugins.batch.testing import (
    FileFormatContract,
    LineFormatContract,
    SerializerContract,
    StreamContract,
)

STREAMS = {stream.name: stream for stream in BUILT_IN}
KEY = "old:" + "A" * 43 + "="
FAULTY = Path(__file__).parents[2] / "support" / "faulty.py"


class TestNone(SerializerContract):
    serializer = serializer("none")


class TestCompress(SerializerContract):
    serializer = serializer("compress")


class TestEncrypt(SerializerContract):
    serializer = serializer("encrypt")


class TestBz2OfSlices(SerializerContract):
    serializer = serializer("bz2")


class TestGz(StreamContract):
    stream = STREAMS["gz"]


class TestBz2(StreamContract):
    stream = STREAMS["bz2"]


class TestXz(StreamContract):
    stream = STREAMS["xz"]


class TestZst(StreamContract):
    stream = STREAMS["zst"]


class TestZip(StreamContract):
    stream = STREAMS["zip"]


class TestEnc(StreamContract):
    stream = STREAMS["enc"]

    @pytest.fixture(autouse=True)
    def _keys(self, rocketjob):
        pytest.importorskip("cryptography")
        rocketjob.application.config.encryption_keys = [KEY]


@pytest.mark.skipif(importlib.util.find_spec("openpyxl") is None, reason="openpyxl is missing")
class TestXlsx(FileFormatContract):
    format = Xlsx
    rows = ("id,name", '1,"a,b"', "2,=1+1", '3,"say ""x"""')
    wrong = "4," + "x" * 40_000


class TestCsv(LineFormatContract):
    format = Csv
    rows = (["1", "a,b", ""], ["2", 'say "x"', " "], ["é", "two\nlines", "x"])
    malformed = ('1,"open,2', '1,"a"b,2')
    unwritable = ([b"bytes", "", ""],)
    is_quoted = True


class TestPsv(LineFormatContract):
    format = Psv
    rows = (["1", "a,b", ""], ["2", 'say "x"', " "])
    malformed = ("1|two\nlines|3",)
    unwritable = (["a|b", "", ""], [{1, 2}, "", ""])


class TestJson(LineFormatContract):
    format = Json
    rows = ({"id": 1, "name": "é\n"}, [1, 2.5, None, True], "text", 2**60)
    malformed = ("{", "nonsense", '{"a": 1} 2')
    unwritable = ({1: 2}, {"a": float("nan")}, {"a": b"x"})


class TestKeysOfTheConfiguration(EncryptionContract):
    @pytest.fixture
    def plugin(self, rocketjob):
        pytest.importorskip("cryptography")
        rocketjob.application.config.encryption_keys = [KEY]
        return encryption


def test_each_suite_finds_each_of_these_faults():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE"]
    # Where CI is set, pytest shows the whole difference of two values that are compared.
    environment = {**os.environ, "CI": "true"}
    ran = subprocess.run(
        [*command, str(FAULTY)], capture_output=True, text=True, timeout=300, env=environment
    )
    classes = re.findall(r"^class Test(\w+)", FAULTY.read_text(), re.MULTILINE)
    assert len(classes) >= 20
    found = set(re.findall(r"^FAILED .*::Test(\w+)::", ran.stdout, re.MULTILINE))
    assert "ERROR" not in ran.stdout, ran.stdout
    assert sorted(set(classes) - found) == []
