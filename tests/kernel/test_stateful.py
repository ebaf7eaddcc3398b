"""The state machine works on any document that declares states and events."""

import pytest

from rocketjob import Transition, after, before, event
from rocketjob.base.errors import InvalidTransition, NotFound, StateConflict, ValidationError
from rocketjob.model.fields import read_only_field
from rocketjob.states.stateful import Stateful, change_each


class Parcel(Stateful):
    collection_name = "test.parcels"

    weight: int
    state: str = read_only_field(default="packed")
    carrier: str | None = read_only_field()

    @event(Transition(("packed",), "sent", "is_light", "it is too heavy"))
    def send(self, carrier: str) -> str:
        self.carrier = carrier
        return f"by {carrier}"

    @event(Transition(("sent",), "delivered"), validates=False)
    def deliver(self) -> None:
        pass

    def is_light(self, **_):
        return self.weight < 100


class SharedParcel(Stateful):
    collection_name = "test.shared_parcels"
    reads_before_events = True

    weight: int
    state: str = read_only_field(default="packed")

    @event(Transition(("packed", "lost"), "sent"))
    def send(self):
        return self

    @event(Transition(("packed",), "lost"))
    def lose(self):
        return self

    def called_when_refused(self):
        return f"parcel of {self.weight} kg"


class WatchedParcel(Parcel):
    @before("send")
    def weigh(self):
        if self.weight == 99:
            raise ValueError("the scales are broken")

    @after("deliver")
    def greet(self):
        self.carrier = "greeted"


def stored(document):
    return document.collection().find_one({"_id": document.id})


def test_an_event_changes_the_state_and_returns_what_its_method_returns(rocketjob):
    parcel = Parcel.create(weight=5)
    assert parcel.send("rail") == "by rail"
    assert parcel.is_changing is False
    assert (stored(parcel)["state"], stored(parcel)["carrier"]) == ("sent", "rail")
    assert "history" not in stored(parcel)
    assert parcel.allowed_events() == ["deliver"]


def test_in_memory_it_can_be_done_without_the_store(rocketjob):
    parcel = Parcel(weight=5)
    parcel.send("rail", save=False)
    assert parcel.state == "sent"
    assert parcel.is_new


def test_a_new_document_is_stored_by_its_first_event(rocketjob):
    parcel = Parcel(weight=5)
    parcel.send("rail")
    assert stored(parcel)["state"] == "sent"


@pytest.mark.parametrize("weight", [100, 500])
def test_a_guard_that_refuses_is_told_and_nothing_is_written(rocketjob, weight):
    parcel = Parcel.create(weight=weight)
    with pytest.raises(InvalidTransition, match=r"\(it is too heavy\)"):
        parcel.send("rail")
    assert not parcel.may("send", carrier="rail")
    assert stored(parcel)["state"] == parcel.state == "packed"


def test_an_event_that_does_not_exist_is_named(rocketjob):
    with pytest.raises(ValueError, match="there is no event fly; events are send, deliver"):
        Parcel(weight=5).may("fly")


def test_a_state_that_somebody_else_changed_is_not_overwritten(rocketjob):
    parcel = Parcel.create(weight=5)
    Parcel.find(parcel.id).send("rail")
    with pytest.raises(StateConflict, match="is sent in the store, no longer packed"):
        parcel.send("road")
    assert (parcel.state, parcel.carrier) == ("packed", None)


def test_one_that_is_gone_is_said_to_be_so(rocketjob):
    parcel = Parcel.create(weight=5)
    parcel.delete()
    with pytest.raises(NotFound):
        parcel.send("rail")


def test_a_callback_that_raises_leaves_the_document_as_it_was(rocketjob):
    parcel = WatchedParcel.create(weight=99)
    with pytest.raises(ValueError, match="scales"):
        parcel.send("rail")
    assert (parcel.state, parcel.carrier, parcel.is_changing) == ("packed", None, False)


def test_callbacks_of_events_run(rocketjob):
    parcel = WatchedParcel.create(weight=5)
    parcel.send("rail")
    parcel.deliver()
    assert parcel.carrier == "greeted"


def test_what_is_not_valid_is_not_written(rocketjob):
    parcel = Parcel.create(weight=5)
    parcel.weight = "heavy"
    with pytest.raises((ValidationError, TypeError)):
        parcel.send("rail")
    assert stored(parcel)["state"] == "packed"


def test_a_shared_document_is_judged_by_what_is_stored(rocketjob):
    mine = SharedParcel.create(weight=5)
    SharedParcel.find(mine.id).lose()
    assert mine.state == "packed"
    assert mine.send() is mine
    assert mine.state == stored(mine)["state"] == "sent"
    with pytest.raises(InvalidTransition, match=r"that is sent \(parcel of 5 kg\)"):
        SharedParcel.find(mine.id).lose()


def test_a_shared_document_that_changes_between_is_judged_again(rocketjob, monkeypatch):
    mine, read = SharedParcel.create(weight=5), SharedParcel.reload

    def reload_and_lose_the_race(parcel):
        read(parcel)
        mine.collection().update_one({"state": "packed"}, {"$set": {"state": "lost"}})
        return parcel

    monkeypatch.setattr(SharedParcel, "reload", reload_and_lose_the_race)
    mine.send()
    assert stored(mine)["state"] == "sent"


def test_a_shared_document_must_be_stored_first(rocketjob):
    with pytest.raises(NotFound, match="save it first"):
        SharedParcel(weight=5).send()


def test_of_many_those_count_that_could_be_changed(rocketjob):
    parcels = [Parcel.create(weight=weight) for weight in (1, 100, 3)]
    Parcel.find(parcels[2].id).delete()
    assert change_each(parcels, lambda parcel: parcel.send("rail")) == 1
