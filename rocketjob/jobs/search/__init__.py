"""Searching jobs in the words of people: `class:ImportJob state:failed error:"ZZ" created:>2h`.

`parse` makes a filter of such a text; the web, the command line and `Job.search` all ask it::

    found = parse('class:ImportJob -state:failed priority:<20', Job)
    Job.where(found.filter)      # or Job.search(text)
    found.words                  # the same in words, to be shown beside what was found

Its parts:

- `grammar`: from the text to a tree, with the place of every part, so that an error can show it
- `keys`: what can be searched by: `class:`, `state:`, `field.customer:` ...
- `values`: what stands behind the colon, by the type of the field
- `times`: the same for times: `>2h`, `2026-01-31`, `2026-01-01..2026-01-31`
- `meaning`: from the tree to the filter and its words

No part of a text is ever a regular expression, nor an operator of the store.
"""

from __future__ import annotations

from rocketjob.jobs.search.fields import is_field
from rocketjob.jobs.search.grammar import LONGEST
from rocketjob.jobs.search.keys import Key, known_keys
from rocketjob.jobs.search.meaning import Search, parse

__all__ = ["LONGEST", "Key", "Search", "is_field", "known_keys", "parse"]
