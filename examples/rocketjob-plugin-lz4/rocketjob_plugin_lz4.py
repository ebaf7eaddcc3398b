"""LZ4: `InputCategory(serializer="lz4")` for slices, and files named `.lz4`."""

from rocketjob import hookimpl
from rocketjob_plugins.batch.serializers import Serializer
from rocketjob_plugins.batch.streams import Stream


class Compressor:
    """What `bz2.BZ2Compressor` is: the library wants its beginning written apart."""

    def __init__(self):
        import lz4.frame

        self._lz4 = lz4.frame.LZ4FrameCompressor(content_checksum=True)
        self._head = self._lz4.begin()

    def compress(self, data):
        head, self._head = self._head, b""
        return head + self._lz4.compress(data)

    def flush(self):
        return self._head + self._lz4.flush()


def decompressor():
    import lz4.frame

    return lz4.frame.LZ4FrameDecompressor()


def pack(data):
    import lz4.frame

    return lz4.frame.compress(data, content_checksum=True)


def unpack(data):
    import lz4.frame

    return lz4.frame.decompress(data)


LZ4 = Stream(
    name="lz4",
    words="LZ4 data",
    magic=(b"\x04\x22\x4d\x18",),
    decompressor=decompressor,
    compressor=Compressor,
)
OF_SLICES = Serializer.packed("lz4", pack, unpack)


@hookimpl
def register_streams():
    return [LZ4]


@hookimpl
def register_serializers():
    return [OF_SLICES]
