import pytest

from rocketjob_plugins.store_sqlite.collection import FEW, SqliteCollection


@pytest.mark.parametrize("count", [1, FEW - 1, FEW, 5 * FEW + 3])
def test_a_collection_goes_with_all_its_documents(rocketjob, count):
    slices = rocketjob.store.collection("rocket_job.inputs.5e")
    slices.create_index([("state", 1)], name="state")
    slices.insert_many({"_id": number} for number in range(count))
    slices.drop()
    assert slices.count_documents({}) == 0
    assert "rocket_job.inputs.5e" not in rocketjob.store.collection_names()


def test_others_can_write_while_a_large_collection_goes(file_store, monkeypatch):
    """Each step is a transaction of its own, of a few documents."""
    slices = file_store.store.collection("rocket_job.inputs.5e")
    slices.insert_many({"_id": number} for number in range(100))
    delete_many, steps = SqliteCollection.delete_many, []

    def noted(self, filter, **options):
        steps.append(len(filter["_id"]["$in"]))
        return delete_many(self, filter, **options)

    monkeypatch.setattr(SqliteCollection, "delete_many", noted)
    slices.drop()
    assert steps == [FEW] * 10


def test_a_drop_within_a_transaction_is_undone_with_it(rocketjob):
    slices = rocketjob.store.collection("rocket_job.inputs.5e")
    slices.insert_many({"_id": number} for number in range(100))
    with pytest.raises(RuntimeError), rocketjob.store.transaction():
        slices.drop()
        raise RuntimeError
    assert slices.count_documents({}) == 100
