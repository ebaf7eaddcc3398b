import pytest

from rocketjob.testing import sandbox


@pytest.fixture(params=["true", "false"], ids=["transactions", "without"])
def mongo(request, mongo_url):
    """A sandbox on MongoDB, with transactions and without."""
    url = f"{mongo_url}?rocketjobTransactions={request.param}&rocketjobWakeUp=polling"
    with sandbox(url) as made:
        assert made.store.supports_transactions is (request.param == "true")
        yield made


@pytest.fixture
def without(mongo_url):
    """A sandbox on MongoDB without transactions."""
    with sandbox(f"{mongo_url}?rocketjobTransactions=false") as made:
        yield made
