"""A time zone for the whole process."""

import os
import time
from contextlib import contextmanager


@contextmanager
def time_zone(name):
    """Have the process live in another time zone for a block."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()
