"""Plugins with one fault each, which the suites of `rocketjob_plugins.batch.testing` have to find.

pytest does not collect it by itself: `test_contracts` runs it, and each class has to fail.
"""

import pickle
import zlib
from decimal import Decimal
from typing import ClassVar

import pytest

from rocketjob import hookimpl
from rocketjob.testing.encryption_contract import EncryptionContract
from rocketjob_plugins.batch.serializers import Serializer, pack, unpack
from rocketjob_plugins.batch.streams import Stream, StreamError
from rocketjob_plugins.batch.testing import (
    FileFormatContract,
    LineFormatContract,
    SerializerContract,
    StreamContract,
)

# --- serializers --------------------------------------------------------------------------------


class TestLinesThatAreSplit(SerializerContract):
    serializer = Serializer(
        "lines", lambda records: "\n".join(map(str, records)), lambda stored: stored.split("\n")
    )


class TestTypesThatAreLost(SerializerContract):
    serializer = Serializer(
        "floats",
        lambda records: pack([float(r) if isinstance(r, Decimal) else r for r in records]),
        unpack,
    )


class TestRecordsThatAreChanged(SerializerContract):
    serializer = Serializer(
        "clearing", lambda records: pack(records) or None, lambda s: [*unpack(s), 1]
    )


class TestLinesThatAreOthers(SerializerContract):
    serializer = Serializer(
        "odd", pack, unpack, lines=lambda stored: "\n".join(map(str, unpack(stored)))
    )


class TestASecretInClear(SerializerContract):
    serializer = Serializer("open", pack, unpack, secret=True)


class _Shared:
    """One buffer for all threads."""

    held = b""

    def dump(self, records):
        for _ in range(50):
            self.held = pack(records)
        return bytes(self.held)

    def load(self, stored):
        self.held = stored
        for _ in range(2000):
            pass
        return unpack(self.held)


class TestOneBufferForAllThreads(SerializerContract):
    serializer = Serializer("shared", _Shared().dump, _Shared().load, whole=False)

    def _both(self, records):  # as a race would: what another thread has put there
        return super()._both(records[:-1] if len(records) > 100 else records)


class TestEncryptedTexts(SerializerContract):
    serializer = Serializer("texts", "\n".join, lambda s: s.split("\n"), encrypts=True)


# --- streams ------------------------------------------------------------------------------------


class _Zlib:
    """zlib as `bz2.BZ2Decompressor` is, without a fault."""

    def __init__(self):
        self.object = zlib.decompressobj()
        self.needs_input = True

    @property
    def eof(self):
        return self.object.eof

    @property
    def unused_data(self):
        return self.object.unused_data

    def decompress(self, data, max_length):
        found = self.object.decompress(self.object.unconsumed_tail + data, max_length)
        self.needs_input = not self.object.unconsumed_tail and len(found) < max_length
        return found


class _AllAtOnce(_Zlib):
    def decompress(self, data, max_length):
        found = super().decompress(data, 0)
        self.needs_input = True
        return found


class _Forgiving(_Zlib):
    """Ends where its data ends."""

    seen = False

    @property
    def eof(self):
        return self.seen and self.needs_input

    def decompress(self, data, max_length):
        self.seen = True
        return super().decompress(data, max_length)


class _Wasteful(_Zlib):
    unused_data = b""


class _Unflushed:
    def __init__(self):
        self.object = zlib.compressobj()

    def compress(self, data):
        return self.object.compress(data)

    def flush(self):
        return b""


def _stream(**changed):
    right = {"name": "deflated", "words": "deflated data", "magic": (b"\x78",)}
    return Stream(**{**right, "decompressor": _Zlib, "compressor": zlib.compressobj, **changed})


class TestABombThatIsUnpackedAtOnce(StreamContract):
    stream = _stream(decompressor=_AllAtOnce)


class TestAFileThatIsCutOffAndForgiven(StreamContract):
    stream = _stream(decompressor=_Forgiving)


class TestASecondFileThatIsForgotten(StreamContract):
    stream = _stream(decompressor=_Wasteful)


class TestAnEndThatIsNotWritten(StreamContract):
    stream = _stream(compressor=_Unflushed)


class TestAWrongMagic(StreamContract):
    stream = _stream(magic=(b"\x79",))


class TestAMagicThatIsEveryFiles(StreamContract):
    stream = _stream(magic=(b"\x78", b"id,"))


class _Plain:
    def __init__(self, below, place):
        self.below = below

    def read(self, size):
        return self.below.read(size)[::-1]

    def write(self, data):
        self.below(data[::-1])

    def finish(self):
        pass

    def close(self):
        if hasattr(self.below, "close"):
            self.below.close()


class TestALayerThatDependsOnThePieces(StreamContract):
    stream = Stream(name="turned", words="turned data", reader=_Plain, writer=_Plain)


# --- file formats -------------------------------------------------------------------------------


class _Pickled:
    name, extensions = "pickled", ("pkl",)

    def __init__(self, options):
        if options:
            raise StreamError(f"there is no option {next(iter(options))}")

    def read(self, file, place):
        if file.read(4) != b"PKLD":
            raise place.wrong(b"")
        try:
            while (block := pickle.load(file)) is not None:
                yield block
        except (EOFError, pickle.UnpicklingError):
            raise StreamError("is cut off") from None

    def write(self, rows, file, place):
        file.write(b"PKLD")
        for block in rows:
            if any("wrong" in row for row in block):
                raise StreamError("is wrong")
            pickle.dump(block, file)
        pickle.dump(None, file)


class _Rows(FileFormatContract):
    rows: ClassVar = ({"id": 1, "a": Decimal("1.10")}, {"id": 2, "a": None}, {"id": 3, "a": b"x"})
    wrong: ClassVar = {"wrong": 1}


class _AtOnce(_Pickled):
    def read(self, file, place):
        yield [row for block in super().read(file, place) for row in block]


class TestAFileThatIsReadAtOnce(_Rows):
    format = _AtOnce


class _Texts(_Pickled):
    def write(self, rows, file, place):
        super().write(
            ([{k: str(v) for k, v in r.items()} for r in block] for block in rows), file, place
        )


class TestTypesThatBecomeTexts(_Rows):
    format = _Texts


class _Endless(_Pickled):
    def read(self, file, place):
        try:
            yield from super().read(file, place)
        except StreamError:
            return


class TestAnEndThatIsNotChecked(_Rows):
    format = _Endless


class _Careless(_Pickled):
    def __init__(self, options):
        pass


class TestOptionsThatAreNotChecked(_Rows):
    format = _Careless


class _Dropping(_Pickled):
    def write(self, rows, file, place):
        super().write(([r for r in block if "wrong" not in r] for block in rows), file, place)


class TestARowThatIsDropped(_Rows):
    format = _Dropping


# --- formats of lines ---------------------------------------------------------------------------


class _Tabs:
    name, has_header = "tabs", True

    def __init__(self, options):
        if options:
            raise StreamError(f"there is no option {next(iter(options))}")

    def parse(self, line):
        if "\n" in line:
            raise StreamError("has a line break")
        return line.split("\t")

    def parse_many(self, lines):
        return [self.parse(line) for line in lines]

    def render(self, row):
        return "\t".join(map(str, row))


class _Lines(LineFormatContract):
    rows: ClassVar = (["1", "a"], ["2", ""])
    unwritable: ClassVar = (["a\tb", ""],)


class TestASeparatorThatIsWritten(_Lines):
    format = _Tabs


class TestAnErrorWithoutItsLine(LineFormatContract):
    format = _Tabs
    rows = (["1", "a"],)
    malformed = ("two\nlines",)


class _Trimming(_Tabs):
    def parse_many(self, lines):
        return [[value.strip() for value in self.parse(line)] for line in lines]


class TestManyLinesThatAreParsedOtherwise(LineFormatContract):
    format = _Trimming
    rows = (["1", " a "],)


# --- encryption ---------------------------------------------------------------------------------


class _Xor:
    """No encryption at all, but with every hook."""

    magic = b"XOR1"

    @hookimpl
    def encrypt(self, data):
        return self.magic + bytes(byte ^ 7 for byte in data)

    @hookimpl
    def decrypt(self, data):
        return bytes(byte ^ 7 for byte in data[4:]) if data.startswith(self.magic) else None

    @hookimpl
    def key_of(self, data):
        return "xor" if data is None or data.startswith(self.magic) else None


class TestNoEncryptionAtAll(EncryptionContract):
    @pytest.fixture
    def plugin(self, rocketjob):
        return _Xor()


class _Greedy(_Xor):
    @hookimpl
    def decrypt(self, data):
        return data[4:]


class TestWhatOthersEncrypted(EncryptionContract):
    @pytest.fixture
    def plugin(self, rocketjob):
        return _Greedy()


class _Bound(_Xor):
    @hookimpl
    def encrypt(self, data, context):
        return self.magic + str(context.id).encode()[:1] + data

    @hookimpl
    def decrypt(self, data, context):
        return data[5:] if data[4:5] == str(context.id).encode()[:1] else None


class TestAValueThatIsBoundToItsPlace(EncryptionContract):
    @pytest.fixture
    def plugin(self, rocketjob):
        return _Bound()


class _Nameless(_Xor):
    @hookimpl
    def key_of(self, data):
        return "xor" if data is None else None


class TestAKeyThatIsNotNamed(EncryptionContract):
    @pytest.fixture
    def plugin(self, rocketjob):
        return _Nameless()
