"""Formats and serializers of plugins: whose name holds, and which are secret."""

import pytest

from rocketjob import Job, hookimpl
from rocketjob_plugins.batch import Batch, InputCategory, OutputCategory
from rocketjob_plugins.batch.io.tables import input_table
from rocketjob_plugins.batch.outcome import rejects
from rocketjob_plugins.batch.serializers import Serializer, refused, serializer
from rocketjob_plugins.batch.tabular import Csv


def reverse(records):
    return [text[::-1] for text in records]


def vault(name="vault", **more):
    """Return a serializer that a plugin may bring, which is no encryption, but looks like one."""
    return Serializer(name, reverse, reverse, **more)


class Bringing:
    def __init__(self, *brought):
        self.brought = brought

    @hookimpl
    def register_serializers(self):
        return [each for each in self.brought if isinstance(each, Serializer)]

    @hookimpl
    def register_formats(self):
        return [each for each in self.brought if not isinstance(each, Serializer)]


class VaultJob(Batch, Job):
    destroy_on_complete = False
    max_rejects = 5
    input_category = InputCategory(serializer="vault")
    output_category = OutputCategory()

    def perform(self, record):
        raise ValueError("not this one")


class Semicolons(Csv):
    name = "csv"
    replaces = True

    def parse(self, line):
        return super().parse(line.replace(";", ","))


@pytest.mark.parametrize(("secret", "stored"), [(True, ["lanoisseforp"]), (False, "professional")])
def test_rejected_records_are_as_secret_as_the_input(rocketjob, secret, stored):
    rocketjob.plugins.register(Bringing(vault(secret=secret)))
    job = VaultJob()
    job.upload(["professional"])
    job.save()
    rocketjob.work_off()
    (found,) = rejects.slices_of(job).collection.find({})
    assert found["record"] == stored
    assert [record for _, record, _ in rejects.each(job.reload())] == ["professional"]


@pytest.mark.parametrize(("secret", "shown"), [(True, False), (False, True)])
def test_a_record_that_a_secret_serializer_cannot_store_is_not_shown(rocketjob, secret, shown):
    rocketjob.plugins.register(Bringing(vault("encrypted-looking", secret=secret)))
    _, why = refused("encrypted-looking", [{4711: 1}])
    assert ("4711" in why) is shown


def test_a_serializer_takes_the_place_of_a_built_in_only_if_it_says_so(rocketjob):
    own = vault("zstd", replaces=True)
    rocketjob.plugins.register(Bringing(own))
    assert serializer("zstd") is own
    assert serializer("compress").name == "compress"


def test_of_two_plugins_with_one_serializers_name_the_second_is_named(rocketjob):
    first, second = vault(), vault()
    rocketjob.plugins.register(Bringing(first), "one")
    rocketjob.plugins.register(Bringing(second), "other")
    assert serializer("vault") is first
    assert rocketjob.plugins.problems == [
        "The plugin other registers the serializer 'vault', which the plugin one has too: give one "
        "of them another name (hook register_serializers)"
    ]


def test_a_format_takes_the_place_of_a_built_in_only_if_it_says_so(rocketjob):
    rocketjob.plugins.register(Bringing(Semicolons))
    table = input_table(InputCategory(format="csv", columns=["a", "b"]))
    assert table.parse("1;2") == {"a": "1", "b": "2"}
    assert not rocketjob.plugins.problems


def test_a_format_of_a_built_ins_name_is_refused_and_the_built_in_holds(rocketjob):
    class Hasty(Csv):
        name = "csv"

    rocketjob.plugins.register(Bringing(Hasty))
    table = input_table(InputCategory(format="csv", columns=["a"]))
    assert type(table._format) is Csv
    assert "registers the format 'csv', which is built in" in rocketjob.plugins.problems[0]
