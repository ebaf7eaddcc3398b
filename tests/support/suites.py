"""Contract suites run by hand, to see that they find what is wrong."""

import pytest


def failures(suite, only=""):
    """Run every test of a suite, or one; return the message of each that fails, by its name."""
    found = {}
    for name in dir(suite):
        if name.startswith("test_") and only in ("", name.removeprefix("test_")):
            try:
                getattr(suite(), name)()
            except (Exception, pytest.fail.Exception) as error:
                found[name.removeprefix("test_")] = f"{type(error).__name__}: {error}"
    return found
