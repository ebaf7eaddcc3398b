"""Searching jobs in words: the grammar, what each key finds, and what is refused; row P17."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from re import Pattern
from types import SimpleNamespace
from typing import Literal

import pendulum
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rocketjob import Job, SearchError, field
from rocketjob.base.passwords import hide_passwords
from rocketjob.jobs.search import fields, known_keys, parse
from rocketjob.jobs.search.grammar import DEEPEST, LONGEST, MOST
from rocketjob.model import query
from rocketjob.model.fields import Field

NOW = pendulum.datetime(2026, 1, 31, 12)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Other tests of this process have classes with fields of the same names."""

    def loaded(model, real=fields.loaded_classes):
        mine = (__name__, "rocketjob")
        return [cls for cls in real(model) if cls.__module__.startswith(mine)]

    for module in (fields, query):
        monkeypatch.setattr(module, "loaded_classes", loaded)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class SearchedJob(Job):
    destroy_on_complete = False
    customer: int | None = None
    file: str | None = None
    dry: bool = False
    when: datetime | None = None
    day: date | None = None
    price: Decimal | None = None
    took: timedelta | None = None
    tags: list[str] = field(factory=list)
    colour: Colour | None = None
    mode: Literal["fast", "safe"] | None = None
    either: int | str | None = None
    pattern: Pattern | None = None
    sealed: str | None = field(default=None, encrypted=True)
    api_token: str | None = None
    renamed: int | None = field(default=None, formerly="before")

    def perform(self): ...


class SearchedBelowJob(SearchedJob): ...


class SearchedOtherJob(Job):
    customer: str | None = None

    def perform(self): ...


@pytest.fixture
def jobs(rocketjob):
    """Some jobs, by the name that is their description."""
    rocketjob.freeze(NOW - timedelta(hours=3))
    made = {
        "old": SearchedJob.create(customer=42, file="/in/a.csv", priority=10, tags=["x", "y"]),
        "below": SearchedBelowJob.create(customer=7, dry=True, price=Decimal("1.50")),
    }
    rocketjob.travel(timedelta(hours=3))
    made["new"] = SearchedJob.create(
        file="a(b).txt",
        colour=Colour.RED,
        mode="fast",
        either="42",
        took=timedelta(minutes=2),
        day=date(2026, 1, 30),
        meta={"tenant": "acme", "number": 5},
        run_at=timedelta(hours=2),
    )
    made["other"] = SearchedOtherJob.create(customer="42")
    for name, job in made.items():
        Job.collection().update_one({"_id": job.id}, {"$set": {"description": f"{name} job"}})
    failed = {
        "state": "failed",
        "completed_at": NOW - timedelta(hours=1),
        "started_at": NOW - timedelta(hours=2),
        "worker_name": "batch-01:7:3",
        "exception": {"class_name": "KeyError", "message": "state 'ZZ' is not (known)"},
    }
    Job.collection().update_one({"_id": made["old"].id}, {"$set": failed})
    return made


def found(text):
    """Return the names of the jobs that a search finds."""
    return {name.removesuffix(" job") for name in Job.search(text).pluck("description")}


ALL = {"old", "below", "new", "other"}
TABLE = [
    # texts
    ("old", {"old"}),
    ("OLD job", {"old"}),
    ('"old job"', {"old"}),
    ('"job old"', set()),
    ("searchedbelow", {"below"}),
    ("-old", ALL - {"old"}),
    ("old OR new", {"old", "new"}),
    # class, state, id
    ("class:SearchedJob", {"old", "below", "new"}),
    ("class:SearchedBelowJob,SearchedOtherJob", {"below", "other"}),
    ("class:SearchedB*", {"below"}),
    ("class:*erjob", {"other"}),
    ("-class:SearchedJob", {"other"}),
    ("state:failed", {"old"}),
    ("state:FAILED,scheduled", {"old", "new"}),
    ("state:queued", {"below", "new", "other"}),
    ("NOT state:queued", {"old"}),
    # parts of texts
    ("desc:old", {"old"}),
    ('desc:"w job"', {"below", "new"}),
    ('error:"ZZ"', {"old"}),
    ("error:keyerror", {"old"}),
    ('error:"not (known)"', {"old"}),
    ("error:.*", set()),
    ("server:batch-01", {"old"}),
    ("server:atch", set()),
    ("worker:01:7", {"old"}),
    # numbers
    ("priority:10", {"old"}),
    ("priority:<50", {"old"}),
    ("priority:>=50", {"below", "new", "other"}),
    ("priority:1..20", {"old"}),
    ("priority:10,50", ALL),
    ("priority:=10", {"old"}),
    # times: an age is the greater, the longer ago it is
    ("created:>2h", {"old", "below"}),
    ("created:<2h", {"new", "other"}),
    ("created:2h", {"new", "other"}),
    ("created:>=3h", {"old", "below"}),
    ("created:>3h", set()),
    ("created:1h30m..1d", {"old", "below"}),
    ("created:today", ALL),
    ("created:yesterday", set()),
    ("created:2026-01-31", ALL),
    ("created:>2026-01-30", ALL),
    ("created:>2026-01-31", set()),
    ("created:>=2026-01-31", ALL),
    ("created:<2026-01-31", set()),
    ("created:<=2026-01-31", ALL),
    ("created:<2026-01-31T10:00:00Z", {"old", "below"}),
    ("created:<2026-01-31T11:00+02:00", set()),
    ("created:2026-01-31T09:00", {"old", "below"}),
    ("created:2026-01-30..2026-01-31", ALL),
    ("started:2h", {"old"}),
    ("ended:<90m", {"old"}),
    ("due:<+3h", {"new"}),
    ("due:>+3h", set()),
    ("due:none", {"old", "below", "other"}),
    # fields of classes
    ("field.customer:42", {"old", "other"}),
    ("class:SearchedJob field.customer:42", {"old"}),
    ("field.file:*.csv", {"old"}),
    ("field.file:/IN/*", {"old"}),
    ('field.file:"a(b).txt"', {"new"}),
    ("field.file:none", {"below", "other"}),
    ("-field.file:none", {"old", "new"}),
    ("field.dry:yes", {"below"}),
    ("field.price:>1", {"below"}),
    ("field.took:>90s", {"new"}),
    ("field.took:2m", {"new"}),
    ("field.day:2026-01-30", {"new"}),
    ("field.day:>2026-01-29", {"new"}),
    ("field.tags:x", {"old"}),
    ("field.colour:red", {"new"}),
    ("field.mode:fast", {"new"}),
    ("field.either:42", {"new"}),
    ("field.meta.tenant:acme", {"new"}),
    ("field.meta.number:5", {"new"}),
    ("field.meta.number:>4", {"new"}),
    ("failure_count:0", ALL),
    # together
    ("class:SearchedJob state:failed priority:<20 field.customer:42", {"old"}),
    ("state:failed AND old", {"old"}),
    ("(old OR new) -state:failed", {"new"}),
    ("-(old OR new)", {"below", "other"}),
    ("old OR new state:failed", {"old"}),
    ("--old", {"old"}),
    # what looks like grammar, and is text
    ("(", set()),
    ("a)", set()),
    ('"state:failed"', set()),
    ('"OR"', set()),
    ("or", set()),
    ("12:30", set()),
]


def test_P17_the_grammar_finds_what_the_table_says(jobs):
    wrong = {text: found(text) for text, names in TABLE if found(text) != names}
    assert not wrong


def test_P17_an_id_is_found_whole_by_its_beginning_and_without_its_key(jobs):
    id = str(jobs["new"].id)
    assert found(f"id:{id}") == found(id.upper()) == {"new"}
    assert "new" in found(f"id:{id[:8]}")
    assert found("id:0") == set()


def test_P17_a_field_is_found_under_its_earlier_name_too(jobs):
    Job.collection().update_one({"_id": jobs["old"].id}, {"$set": {"before": 5}})
    assert found("field.renamed:5") == found("field.before:5") == {"old"}


def test_P17_a_class_that_is_only_stored_can_be_searched_for(jobs):
    Job.collection().update_one({"_id": jobs["old"].id}, {"$set": {"_type": "SearchedGoneJob"}})
    assert found("class:SearchedGoneJob") == {"old"}


REFUSED = [
    # what is wrong, where from and to, part of the message
    ("clas:X", 0, 4, "did you mean class?"),
    ("customer:42", 0, 8, "searched by as field.customer:"),
    ("http://x", 0, 4, 'put it in quotes: "http:..."'),
    ("class:SearchedJop", 6, 17, "did you mean SearchedJob?"),
    ("old state:faild", 10, 15, "there is no state faild; did you mean failed?"),
    ("state:>failed", 0, 13, "state has no order"),
    ("field.custmer:1", 0, 13, "no job class that is loaded here has a field custmer; did you"),
    ("priority:high", 9, 13, "must be a whole number, not 'high'"),
    ("priority:>1,2", 12, 13, "only one value can stand behind >"),
    ("priority:99999999999999999999", 9, 29, "must fit into 64 bits"),
    ("field.dry:maybe", 10, 15, "must be true or false"),
    ("field.dry:>true", 11, 15, "has no order"),
    ("field.colour:green", 13, 18, "must be one of red, blue"),
    ("field.mode:slow", 11, 15, "must be one of fast, safe"),
    ("created:soon", 8, 12, "must be a time such as 2h (ago)"),
    ("created:-2h", 8, 11, "2h is that long ago by itself"),
    ("created:2026-02-30", 8, 18, "must be a time"),
    ("created:>99999999999d", 9, 21, "must be a time"),
    ("due:+2h", 4, 7, "write <+2h for before"),
    ("field.sealed:x", 0, 12, "stored encrypted"),
    ("field.api_token:x", 0, 15, "a secret by its name"),
    ("field.meta.password:x", 0, 19, "a secret by its name"),
    ("field.meta:x", 0, 10, "such as field.meta.NAME:"),
    ("field.meta.$where:x", 0, 17, "names no part"),
    ("field.meta..x:x", 0, 13, "names no part"),
    ("field.:x", 0, 6, "no job class"),
    ("field.pattern:(a+)+$", 14, 20, "regular expressions, which cannot be searched"),
    ("id:xyz", 3, 6, "24 hexadecimal digits"),
    ("class:", 6, 7, "a value must stand here, right behind :"),
    ("class: X", 6, 7, "a value must stand here"),
    ("state:a,", 8, 9, "a value must stand here, right behind ,"),
    ("class:*", 6, 7, "needs something beside it"),
    ("class:a*b", 6, 9, "at the beginning or end"),
    ('desc:"x', 5, 6, "has no end"),
    ('desc:""', 5, 7, "nothing between the quotes"),
    ('desc:"x"y', 8, 9, "a space must stand behind the closing quote"),
    ("old OR", 6, 7, "must stand behind OR"),
    ("OR old", 0, 2, "must stand before OR"),
    ("old AND", 7, 8, "must stand behind AND"),
    ("old OR OR new", 7, 9, "must stand before OR"),
    ("NOT", 3, 4, "must stand behind NOT"),
    ("(state:failed", 0, 1, "is not closed"),
    ("state:failed)", 6, 13, "there is no state failed)"),
    ("old ) OR new", 4, 5, "there is no ( for this )"),
    ("()", 1, 2, "must stand behind ("),
    ("", 0, 1, "nothing to search for"),
    ("  ", 0, 1, "nothing to search for"),
    ("a\0b", 1, 2, "NUL"),
    ("a\ud800", 1, 2, "UTF-8"),
]


def test_P17_what_cannot_be_understood_is_shown_at_its_place(jobs):
    wrong = {text: said(text) for text, *expected in REFUSED if not fits(said(text), *expected)}
    assert not wrong


def said(text):
    """Return the error of a search; None if it has none."""
    try:
        parse(text, Job)
    except SearchError as error:
        line, marks = error.pointer().split("\n")
        assert marks.strip("^ ") == "" and len(line) <= 75
        return error.start, error.end, str(error)
    return None


def fits(error, start, end, message):
    if error is None or error[:2] != (start, end):
        return False
    return error[2].startswith(f"at character {start + 1}: ") and message in error[2]


def test_P17_huge_and_deep_searches_are_refused(rocketjob):
    for text, message in (
        ("x" * (LONGEST + 1), "at most 1,000 characters"),
        ("-" * (DEEPEST + 1) + "x", "brackets and negations"),
        ("(" * (DEEPEST + 1) + "x" + ")" * (DEEPEST + 1), "brackets and negations"),
        ("a " * (MOST + 1), "one too many"),
        ("priority:" + ",".join(["1"] * (MOST + 1)), "one too many"),
    ):
        with pytest.raises(SearchError, match=message):
            parse(text, Job)
    assert parse("-" * DEEPEST + "x", Job).filter
    assert Job.search("(" * (DEEPEST - 1) + "x" + ")" * (DEEPEST - 1)).count() == 0


def test_P17_text_is_never_a_regular_expression(rocketjob):
    SearchedJob.create(description="a" * 40 + "!")
    for text in ("(a+)+$", "^a", "[a-z]", "a{1,99}"):
        assert Job.search(f'desc:"{text}"').count() == 0
        assert Job.search(f'field.file:"{text}"').count() == 0


def test_a_password_that_is_shown_to_nobody_cannot_be_guessed_letter_by_letter(rocketjob):
    url = "sftp://bob:hunter2@host/a.csv"
    SearchedJob.create(description=f"from {url} today", file=url)
    guesses = ["hunter2", '"bob:h"', "ter2@host", '"bob:hunter2@host/a.csv today"', "desc:unter"]
    guesses += ['desc:"from sftp://bob:h"', "field.file:*hunt*", "field.file:sftp://bob:h*"]
    guesses += ['field.file:>"sftp://bob:h"', 'field.file:<"sftp://bob:i"']
    assert [text for text in guesses if Job.search(text).count()] == []
    for text in ("from", "today", "desc:rom", f'field.file:"{url}"', "-hunter2"):
        assert Job.search(text).count() == 1, text
    clear = SearchedJob.create(description="from https://host/b.csv?page=1", file="ftp://h/c.csv")
    for text in ("b.csv?page", '"from https://host/b"', "field.file:*c.csv", "field.file:>ftp://a"):
        assert Job.search(text).pluck("id") == [clear.id], text


@pytest.mark.parametrize(
    "url",
    [
        "https://h/x?X-Amz-Signature=a7b1c9",
        "https://h/x?TOKEN=a7b1c9",
        "/download?token=a7b1c9",
        "/login#PASS=a7b1c9",
        f"https://h/{'x' * 2500}?page=1&sig=a7b1c9",
        f"sftp://bob:{'x' * 2500}a7b1c9@host/a.csv",
        "https://GHP_0123456789a7b1c9@host/x",
        "zip://a.csv::s3://key:a7b1c9@b/a.zip",
    ],
    ids=["signature", "case", "path", "fragment", "far", "long", "name", "chain"],
)
def test_no_part_of_what_is_hidden_in_a_url_can_be_found(rocketjob, url):
    shown = hide_passwords(url)
    assert "7b1c" in url and "7b1c" not in shown
    SearchedJob.create(description=f"of {url} today", file=url)
    before = url[: url.index("7b1c")]
    guesses = ["7b1c", "desc:7B1C", "field.file:*7b1c*", 'desc:"7b1c9 today"', "field.file:*c9"]
    if len(before) < 100:
        guesses += [f'field.file:>"{before}"', f'field.file:<"{before}8"', f'desc:"of {before}"']
        guesses += [f"field.file:{before}*"]
    assert [text for text in guesses if Job.search(text).count()] == []
    assert Job.search("today").count() == 1


def test_P17_the_same_in_words_with_the_times_that_ages_lead_to(rocketjob):
    rocketjob.freeze(NOW)

    def words(text):
        return parse(text, Job).words

    assert words('class:SearchedJob state:failed error:"ZZ"') == (
        'class is SearchedJob and state is failed and error has "ZZ"'
    )
    assert words("created:>2h") == "created more than 2h ago (before 2026-01-31 10:00:00 UTC)"
    assert words("created:2h") == "created in the last 2h (after 2026-01-31 10:00:00 UTC)"
    assert words("created:>2026-01-30") == "created after 2026-01-30"
    assert words("due:<+2h") == "due before 2026-01-31 14:00:00 UTC"
    assert words("-state:failed (a OR priority:<20)") == (
        'not (state is failed) and (class or description has "a" or priority < 20)'
    )
    assert words("state:failed,paused field.file:none") == (
        "(state is failed or paused) and file is not set"
    )


def test_P17_what_no_index_helps_with_is_said(rocketjob):
    search = parse("class:SearchedJob state:failed error:x field.customer:1 due:<1h old", Job)
    assert search.unindexed == ("class", "error", "field.customer", "text")
    assert parse("id:66 state:failed priority:<9", Job).unindexed == ()
    assert {"exception", "customer", "state"} <= search.fields


def test_messages_can_be_left_out_as_they_may_quote_a_record(jobs):
    assert parse("error:KeyError", Job, messages=False).filter == {
        "exception.class_name": {"$regex": "KeyError", "$options": "i"}
    }
    with pytest.raises(SearchError, match="may look at records"):
        parse("field.exception.message:x", Job, messages=False)


def test_a_search_of_a_class_finds_jobs_of_it_only_and_narrows_other_queries(jobs):
    assert SearchedJob.search("customer:42").pluck("description") == ["old job"]
    query = Job.where(priority=50).search("field.customer:7").order_by("-id").limit(5)
    assert query.pluck("description") == ["below job"]


def test_documents_of_the_wrong_types_are_passed_over(jobs):
    wrong = {"description": 5, "exception": [1], "customer": {"a": 1}, "created_at": "x"}
    Job.collection().update_one({"_id": jobs["old"].id}, {"$set": {**wrong, "priority": "high"}})
    texts = ["old", "error:x", "field.customer:42", "created:>2h", "priority:<60", "-desc:x"]
    for text in texts:
        Job.search(text).count()


def test_a_search_means_the_same_in_every_zone(jobs, monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    assert found("created:2026-01-31") == ALL
    assert found("created:today") == ALL


KEYS = [key.name for key in known_keys()]
NAMES = st.sampled_from([*KEYS, "field.customer", "field.meta.x", "field.when", "field.", "x"])
VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["2h", "+2h", "2026-01-31", "..", "1..2", "*", "*a", "none", ">", '"', '"a"']),
    st.from_regex(r"[0-9T:.+-]{1,25}", fullmatch=True),
)
TERMS = st.one_of(
    st.builds("{}:{}{}".format, NAMES, st.sampled_from(["", ">", "<=", "="]), VALUES),
    VALUES,
    st.sampled_from(["OR", "AND", "NOT", "(", ")", "-", '"', ",", "\\", "-("]),
)
SEARCHES = st.one_of(st.text(max_size=60), st.lists(TERMS, max_size=8).map(" ".join))


def test_P17_a_search_is_understood_or_refused_and_nothing_else(jobs):
    @given(SEARCHES)
    @example("created:>0001-01-01T00:00:00Z")
    @example("created:9999-12-31")
    @example("field.when:9999-12-31T23:59:59+14:00..1d")
    def check(text):
        try:
            search = parse(text, Job)
        except SearchError as error:
            assert 0 <= error.start <= len(text)
            assert len(error.pointer().split("\n")) == 2
        else:
            assert search.words
            Job.search(text).first()

    check()


def test_a_class_that_can_run_nowhere_keeps_nobody_from_searching(jobs, monkeypatch):
    untold = Field(name="either", annotation="NoSuchType")
    useless, loaded = SimpleNamespace(__fields__={"either": untold}), fields.loaded_classes
    assert not untold.is_usable
    for module in (fields, query):
        monkeypatch.setattr(module, "loaded_classes", lambda model: [useless, *loaded(model)])
    assert len(found("field.either:42")) == 1
    with pytest.raises(SearchError, match="no job class that is loaded here has a field nowhere"):
        parse("field.nowhere:1", Job)
