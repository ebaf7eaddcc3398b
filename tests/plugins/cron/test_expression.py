"""What is refused, and what is said about it."""

import pickle

import pytest

from rocketjob.base.errors import RocketJobError
from rocketjob_plugins.cron import CronError, CronSchedule


def refusal(text, **kwargs):
    with pytest.raises(CronError) as caught:
        CronSchedule(text, **kwargs)
    return caught.value


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("60 * * * *", "minute", 'minute "60" is out of range. Allowed: 0 to 59'),
        ("* 25 * * *", "hour", 'hour "25" is out of range. Allowed: 0 to 23'),
        ("* 9-17-3 * * *", "hour", 'hour "9-17-3" cannot be read'),
        ("* * 32 * *", "day of month", 'day of month "32" is out of range. Allowed: 1 to 31, -1'),
        ("* * L-3 * *", "day of month", 'day of month "L-3" has L in the wrong place'),
        ("* * L/2 * *", "day of month", 'day of month "L/2" has L in the wrong place'),
        ("* * -5-5 * *", "day of month", "mixes days from the start and from the end"),
        ("* * 1,,2 * *", "day of month", 'day of month "" cannot be read'),
        ("* * ? * *", "day of month", 'day of month "?" cannot be read, did you mean "*"? Allowed'),
        ("* * * 13 *", "month", 'month "13" is out of range. Allowed: 1 to 12, Jan to Dec'),
        ("* * * January *", "month", 'month "January" is not known, did you mean "Jan"? Allowed'),
        ("* * * * 8", "day of week", 'day of week "8" is out of range. Allowed: 0 to 7'),
        ("* * * * Monday", "day of week", '"Monday" is not known, did you mean "Mon"?'),
        ("* * * * Mon#6", "day of week", 'day of week "Mon#6" is out of range'),
        ("* * * * Mon-Fri#1", "day of week", 'day of week "Mon-Fri#1" cannot be read'),
        ("*/0 * * * *", "minute", 'minute "*/0" has a step of 0'),
        ("0 0 30 2 *", "day of month", 'day of month "30" never occurs in February.'),
        ("0 0 -31 2,6 *", "day of month", '"-31" never occurs in February or June.'),
        ("0 0 30 2 Mon", "day of month", "never occurs in February"),
        ("* * * * * utc", "time zone", 'time zone "utc" is not known, did you mean "UTC"?'),
        ("* * * * * New_York", "time zone", 'did you mean "America/New_York"?'),
        ("* * * * * America/SaoPaulo", "time zone", 'did you mean "America/Sao_Paulo"?'),
        ("* * * * * Mars/Phobos", "time zone", "is not known. Allowed: a name from the IANA"),
        ("* * * * * right/UTC", "time zone", "is not known"),
        ("* * * * * ../UTC", "time zone", "is not known"),
        ("* * * * * +02:00", "time zone", "is not known"),
        ("", "expression", "it is empty. Allowed: minute, hour, day of month"),
        ("tomorrow", "expression", "it has 1 field."),
        ("* * * *", "expression", "it has 4 fields."),
        ("0 * * * * * UTC", "expression", "it has 7 fields."),
        ("0 0 12 * * *", "expression", "it has six fields, and seconds are not supported."),
        ("0 0 12 * * Mon-Fri", "expression", "it has six fields, and seconds are not supported."),
        ("@dayly", "expression", '"@dayly" is not known, did you mean "@daily"? Allowed: @hourly'),
        ("@daily UTC UTC", "expression", "it has 7 fields"),
        ("1," * 600 + "1 * * * *", "expression", "it is longer than 1000 characters"),
    ],
)
def test_a_refusal_names_the_field_and_says_what_is_allowed(text, field, said):
    error = refusal(text)
    assert error.field == field
    assert said in str(error)
    assert str(error).startswith(f'Invalid cron schedule "{text[:100]}')


def test_the_default_zone_is_checked_as_well():
    error = refusal("* * * * *", time_zone="Europe/Londn")
    assert error.field == "time zone"
    assert 'did you mean "Europe/London"?' in str(error)


def test_what_is_not_text_is_refused():
    assert "must be a string, not None" in str(refusal(None))


def test_an_unknown_mode_is_refused():
    error = refusal("* * * * *", dst="loose")
    assert error.field == "dst"
    assert str(error) == 'Invalid dst \'loose\'. Allowed: "safe", "literal"'


def test_long_parts_are_not_repeated_in_full():
    assert len(str(refusal("1" * 900 + " * * * *"))) < 500
    assert len(str(refusal("* * * * * " + "x" * 900))) < 500


def test_digits_of_other_scripts_are_not_numbers():
    assert "cannot be read" in str(refusal("\u0661 * * * *"))


def test_the_error_is_of_the_tree_a_value_error_and_can_be_sent():
    error = refusal("60 * * * *")
    assert isinstance(error, RocketJobError)
    assert isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.field) == (str(error), "minute")
