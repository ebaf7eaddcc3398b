import pytest

from rocketjob_plugins.store_sqlite import SqliteStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    store = SqliteStore(f"sqlite:///{path}")
    yield store
    store.close()
