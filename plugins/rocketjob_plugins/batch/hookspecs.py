"""Hooks that the batch plugin brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocketjob import hookspec

if TYPE_CHECKING:
    from rocketjob_plugins.batch.serializers import Serializer


@hookspec
def register_serializers() -> list[Serializer]:
    """Return further serializers for slices, to be named in a category."""
    raise NotImplementedError


@hookspec
def register_formats() -> list[Any]:
    """Return further tabular formats, to be named in a category."""
    raise NotImplementedError
