"""The value of an encrypted field that nobody has asked for yet: see `encrypted_fields`."""

from __future__ import annotations

HIDDEN = "(encrypted)"


class Sealed:
    """What an encrypted field of a loaded document holds until somebody asks for it.

    Also a value among properties that are kept for such a field: see `Document.seal_properties`.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __repr__(self) -> str:
        return HIDDEN
