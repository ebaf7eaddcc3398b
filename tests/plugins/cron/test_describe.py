"""Schedules in plain English."""

import pytest

from rocketjob_plugins.cron import CronSchedule

NEW_YORK = "New York time (America/New_York)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # times of day
        ("* * * * *", "Every minute, UTC"),
        ("*/10 * * * *", "Every 10 minutes, UTC"),
        ("0,30 * * * *", "Every 30 minutes, UTC"),
        ("0 * * * *", "Every hour at minute 0, UTC"),
        ("15 * * * *", "Every hour at minute 15, UTC"),
        ("5,17 * * * *", "At minutes 5 and 17 of every hour, UTC"),
        ("55-5 * * * *", "At minutes 0 to 5 and 55 to 59 of every hour, UTC"),
        ("*/7 * * * *", "At minutes 0 to 56 in steps of 7 of every hour, UTC"),
        ("*/40 * * * *", "At minutes 0 and 40 of every hour, UTC"),
        ("0 12 * * *", "At 12:00 every day, UTC"),
        ("5 0 * * *", "At 00:05 every day, UTC"),
        ("0 24 * * *", "At 00:00 every day, UTC"),
        ("0,30 5,17 * * *", "At 05:00, 05:30, 17:00 and 17:30 every day, UTC"),
        ("* 1 * * *", "Every minute from 01:00 to 01:59 every day, UTC"),
        ("*/15 9-17 * * *", "Every 15 minutes from 09:00 to 17:59 every day, UTC"),
        ("*/15 22-2 * * *", "Every 15 minutes from 22:00 to 02:59 every day, UTC"),
        ("* */4 * * *", "Every minute of the hours 0, 4, 8, 12, 16 and 20 every day, UTC"),
        ("30 9-17 * * *", "Every hour from 09:30 to 17:30 every day, UTC"),
        ("0 22-6 * * *", "Every hour from 22:00 to 06:00 every day, UTC"),
        ("15 */2 * * *", "Every 2 hours from 00:15 to 22:15 every day, UTC"),
        ("0 */5 * * *", "At 00:00, 05:00, 10:00, 15:00 and 20:00 every day, UTC"),
        ("0 1-3,8-12 * * *", "At minute 0 of the hours 1 to 3 and 8 to 12 every day, UTC"),
        ("1,2 */2 * * *", "At minutes 1 and 2 of the hours 0 to 22 in steps of 2 every day, UTC"),
        # days of the month
        ("0 0 1 * *", "At 00:00 on day 1 of every month, UTC"),
        ("0 0 1,15 * *", "At 00:00 on days 1 and 15 of every month, UTC"),
        ("0 0 1-7 * *", "At 00:00 on days 1 to 7 of every month, UTC"),
        ("0 0 */2 * *", "At 00:00 on days 1 to 31 in steps of 2 of every month, UTC"),
        ("0 0 1-31 * *", "At 00:00 every day, UTC"),
        ("0 12 L * *", "At 12:00 on the last day of every month, UTC"),
        ("0 12 -1 2 *", "At 12:00 on the last day of February, UTC"),
        ("0 12 -2 * *", "At 12:00 on the 2nd last day of every month, UTC"),
        ("0 0 -12,-23 * *", "At 00:00 on the 23rd last and 12th last days of every month, UTC"),
        ("0 0 -3-L * *", "At 00:00 on the last 3 days of every month, UTC"),
        ("0 0 -10--5 * *", "At 00:00 on the 10th last to 5th last days of every month, UTC"),
        ("0 0 1,L * *", "At 00:00 on day 1 and the last day of every month, UTC"),
        # months
        ("0 0 1 1 *", "At 00:00 on day 1 of January, UTC"),
        ("0 0 1 */3 *", "At 00:00 on day 1 of January, April, July and October, UTC"),
        ("0 9 * 6-8 *", "At 09:00 every day in June to August, UTC"),
        ("0 9 * Nov-Feb *", "At 09:00 every day in November to February, UTC"),
        ("* * * Jan *", "Every minute in January, UTC"),
        # days of the week
        ("0 9 * * Mon", "At 09:00 on Monday, UTC"),
        ("0 9 * * Mon-Fri", "At 09:00 from Monday to Friday, UTC"),
        ("0 9 * * Sat,Sun", "At 09:00 on Saturday and Sunday, UTC"),
        ("0 9 * * Sun,Wed,Sat", "At 09:00 on Wednesday, Saturday and Sunday, UTC"),
        ("0 9 * * Fri-Mon", "At 09:00 from Friday to Monday, UTC"),
        ("0 9 * * 0-6", "At 09:00 every day, UTC"),
        ("0 9 * Mar Wed", "At 09:00 on Wednesday in March, UTC"),
        ("*/10 9 * * Wed", "Every 10 minutes from 09:00 to 09:59 on Wednesday, UTC"),
        ("0 12 * * Mon#1", "At 12:00 on the first Monday of every month, UTC"),
        ("0 12 * * Sun#-1", "At 12:00 on the last Sunday of every month, UTC"),
        ("0 12 * 3,9 Sat#-2", "At 12:00 on the second last Saturday of March and September, UTC"),
        (
            "0 0 * * Mon#1,Mon#-1",
            "At 00:00 on the first Monday and last Monday of every month, UTC",
        ),
        ("0 0 * * Mon,Fri#-1", "At 00:00 on Monday and on the last Friday of every month, UTC"),
        # either
        ("0 0 13 * Fri", "At 00:00 on day 13 of every month or on Friday, UTC"),
        (
            "0 0 L Mar Fri#1",
            "At 00:00 on the last day of March or on the first Friday of March, UTC",
        ),
        # zones
        ("0 12 L * * America/New_York", f"At 12:00 on the last day of every month, {NEW_YORK}"),
        (
            "0 8 * * * America/Argentina/Buenos_Aires",
            "At 08:00 every day, Buenos Aires time (America/Argentina/Buenos_Aires)",
        ),
        ("0 8 * * * EST", "At 08:00 every day, EST"),
        ("0 8 * * * Etc/GMT+5", "At 08:00 every day, Etc/GMT+5"),
        ("@weekly", "At 00:00 on Sunday, UTC"),
    ],
)
def test_words_say_when_it_runs(text, words):
    assert CronSchedule(text).describe() == words


def test_the_default_zone_is_said_as_well():
    words = CronSchedule("0 12 * * *", time_zone="America/New_York").describe()
    assert words == f"At 12:00 every day, {NEW_YORK}"
