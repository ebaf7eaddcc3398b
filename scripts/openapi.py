#!/usr/bin/env python3
"""Write docs/_static/openapi-v1.json, the OpenAPI document of the JSON API of Mission Control.

    python scripts/openapi.py

A test fails if the file is not what this writes: run it after every change of an operation.
"""

from __future__ import annotations

from pathlib import Path

from rocketjob.testing import sandbox
from rocketjob_contrib.mission_control import create_app
from rocketjob_contrib.mission_control.api.openapi import text_of

FILE = Path(__file__).parent.parent / "docs" / "_static" / "openapi-v1.json"


def main() -> None:
    """Write the file."""
    with sandbox():
        operations = create_app().state.site.operations
    FILE.write_text(text_of(each for _, each in operations), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
