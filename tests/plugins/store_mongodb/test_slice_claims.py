"""Slices are claimed when the output of those before is stored, not in the step that stores it."""

import logging

import pytest

from rocketjob import Job, StoreUnavailable
from rocketjob.testing import sandbox
from rocketjob_plugins.batch import Batch, OutputCategory, Statistics
from support.commands import hear


class SliceClaimsJob(Statistics, Batch, Job):
    destroy_on_complete = False
    slice_size = 1
    output_category = OutputCategory()

    def perform(self, record):
        self.statistics_inc("seen")
        return record


@pytest.fixture
def commands(monkeypatch):
    return hear(monkeypatch)


def uploaded(records=6, **fields):
    job = SliceClaimsJob(**fields)
    job.upload([str(number) for number in range(records)])
    job.save()
    return job


def claims_of(commands, job):
    return [each for each in commands.taken() if is_claim(each, job)]


def is_claim(sent, job):
    return sent.collection == job.input.name and sent.name == "findAndModify"


@pytest.fixture
def with_transactions(commands, mongo_url):
    with sandbox(f"{mongo_url}?rocketjobWakeUp=polling") as made:
        assert made.store.supports_transactions
        yield made


def test_no_slice_is_claimed_in_the_transaction_that_stores_output(with_transactions, commands):
    job = uploaded()
    with_transactions.work_off()
    sent = commands.taken()
    assert any(each.in_transaction and each.name == "insert" for each in sent)  # the output
    assert not any(each.in_transaction for each in sent if is_claim(each, job))
    assert not any(each.name == "abortTransaction" for each in sent)
    assert list(job.reload().records()) == list("012345")


def test_slices_that_are_counted_are_claimed_in_a_transaction(with_transactions, commands):
    job = uploaded(throttle_running_workers=1)
    with_transactions.work_off()
    claims = claims_of(commands, job)
    assert claims
    assert all(each.in_transaction for each in claims)
    assert list(job.reload().records()) == list("012345")


@pytest.mark.parametrize("throttle", [None, 1])
@pytest.mark.parametrize("is_made", [False, True], ids=["not made", "made"])
def test_output_is_stored_once_where_the_claim_after_it_is_not_answered(
    mongo, monkeypatch, caplog, is_made, throttle
):
    assert_stored_once(mongo, monkeypatch, caplog, is_made, throttle)


@pytest.mark.parametrize("throttle", [None, 1])
@pytest.mark.parametrize("is_made", [False, True], ids=["not made", "made"])
def test_on_a_file_output_is_stored_once_where_the_claim_after_it_is_not_answered(
    file_store, monkeypatch, caplog, is_made, throttle
):
    assert_stored_once(file_store, monkeypatch, caplog, is_made, throttle)


def assert_stored_once(made, monkeypatch, caplog, is_made, throttle):
    """Let each other claim of slices go unanswered, though made if `is_made`."""
    claim_many, asked = type(made.store).claim_many, []

    def claim(self, collection, *args, **kwargs):
        if "inputs" not in collection:
            return claim_many(self, collection, *args, **kwargs)
        asked.append(1)
        claimed = claim_many(self, collection, *args, **kwargs) if is_made else None
        if len(asked) % 2 == 0:
            raise StoreUnavailable("the answer was lost")
        return claimed if is_made else claim_many(self, collection, *args, **kwargs)

    monkeypatch.setattr(type(made.store), "claim_many", claim)
    job = uploaded(throttle_running_workers=throttle)
    with caplog.at_level(logging.WARNING):
        made.work_off()
    assert len(asked) > 2
    assert job.reload().is_completed
    assert list(job.records()) == list("012345")
    assert job.statistics == {"seen": 6}
    assert "ClaimLost" not in caplog.text
