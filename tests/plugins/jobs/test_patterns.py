import glob
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocketjob_plugins.dirmon.job import memory_key
from rocketjob_plugins.dirmon.patterns import Item, parse, walk

NAMES = st.sampled_from(["a", "b", "ab", "x.csv", "y.txt", ".h", "archive"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.sampled_from(
    ["*", "**", "a", "?", "[a-x]*", "*.csv", "x.csv", "a*", "{a,b}", "*.{csv,txt}"]
)


def listing(root):
    def read(below):
        with os.scandir(os.path.join(root, below)) as entries:
            return [Item(each.name, each.is_dir()) for each in entries]

    return read


def found_by_walk(root, pattern):
    found = set()
    for each in parse(f"{root}/{pattern}"):
        if os.path.isdir(each.base):
            found |= {f"{each.base}/{'/'.join(names)}" for names in walk(each, listing(each.base))}
    return found


def alternatives(text):
    return [f"{p.base}/{'/'.join(p.parts)}" for p in parse(text)]


@settings(max_examples=150)
@given(st.sets(PATHS, max_size=12), st.lists(PARTS, min_size=1, max_size=4).map("/".join))
def test_patterns_find_what_glob_finds(paths, pattern):
    with tempfile.TemporaryDirectory() as root:
        for path in sorted(paths, key=len):
            target = Path(root, path)
            if any(parent.is_file() for parent in target.parents) or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        expected = {
            path
            for each in alternatives(f"{root}/{pattern}")
            for path in glob.glob(each, recursive=True)
            if os.path.isfile(path)
        }
        assert found_by_walk(root, pattern) == expected


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_keys_of_paths_are_as_different_as_the_paths(one, other):
    assert (memory_key(one) == memory_key(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "base", "parts"),
    [
        ("/in/*.csv", "/in", ("*.csv",)),
        ("/*.csv", "/", ("*.csv",)),
        ("*.csv", ".", ("*.csv",)),
        ("in/a.csv", "in", ("a.csv",)),
        ("/in//sub/./*", "/in//sub/.", ("*",)),
        ("file:///in/*.csv", "/in", ("*.csv",)),
        ("s3://bucket/in/**/*.csv", "s3://bucket/in", ("**", "*.csv")),
    ],
)
def test_the_base_is_what_comes_before_the_first_wildcard(text, base, parts):
    (pattern,) = parse(text)
    assert (pattern.base, pattern.parts) == (base, parts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/in/" + "{a,b}" * 60, "its braces have more than 1,000 alternatives"),
        ("/in/" + "{a}" * 101, "has more than 100 pairs of braces"),
        ("{" * 100_000, "has more than 100 pairs of braces"),
    ],
)
def test_braces_that_make_too_many_alternatives_are_refused_at_once(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_a_thousand_alternatives_are_taken():
    assert len(parse("/in/" + "{0,1,2,3,4,5,6,7,8,9}" * 3)) == 1000


@pytest.mark.parametrize("text", ["/in/{a", "/in/a}", "/in/{a{b}"])
def test_braces_that_do_not_match_are_refused(text):
    with pytest.raises(ValueError, match="braces"):
        parse(text)
