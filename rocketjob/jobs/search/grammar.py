"""The grammar of a search: from a text to a tree of terms.

    search := both (OR both)*
    both   := part (AND? part)*
    part   := (- | NOT) part | ( search ) | term
    term   := [key:[> >= < <= =]] value (, value)*
    value  := "quoted text" | everything up to a space

Each part knows where it stands, so that whatever is wrong with it can be shown at its place.
"""

from __future__ import annotations

import re

import attrs

from rocketjob.base.errors import SearchError

LONGEST = 1000  # characters
DEEPEST = 20  # brackets and negations within one another
MOST = 50  # values: each is a condition that every job is tried on
_KEY = re.compile(r'([A-Za-z_][^\s:"(),]*):')
_OPERATOR = re.compile(r">=|<=|>|<|=")
_WORD_END = r"(?=[\s()]|$)"
_LOGIC = {word: re.compile(word + _WORD_END) for word in ("OR", "AND", "NOT")}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MORE_THAN_WORDS = re.compile(r'[:"]|(?:^|\s)(?:-|(?:OR|AND|NOT)(?:\s|$))')


@attrs.frozen
class Value:
    """What a term looks for; `quoted`: it is meant as it stands, whatever it looks like."""

    text: str
    start: int
    end: int
    quoted: bool = False


@attrs.frozen
class Term:
    """One condition; without a key it is a text that is looked for."""

    key: str | None
    operator: str
    values: tuple[Value, ...]
    start: int
    end: int


@attrs.frozen
class Not:
    """What must not hold."""

    part: Node


@attrs.frozen
class All:
    """What must all hold."""

    parts: tuple[Node, ...]


@attrs.frozen
class Either:
    """Of which one must hold."""

    parts: tuple[Node, ...]


Node = Term | Not | All | Either


def tree_of(text: str) -> Node:
    """Return the tree of a search.

    Raises:
        SearchError: it cannot be understood; the error says where, and what would be right.
    """
    _check(text)
    if not _MORE_THAN_WORDS.search(text) and not _is_balanced(text):
        return _plain(text)  # a single bracket among words is meant as it stands
    return _Parser(text).whole()


def _check(text: str) -> None:
    if len(text) > LONGEST:
        raise SearchError(
            f"a search has at most {LONGEST:,} characters, not {len(text):,}", text, LONGEST
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SearchError("this character cannot be stored as UTF-8", text, error.start) from None
    if "\0" in text:
        raise SearchError("NUL cannot be searched for", text, text.index("\0"))
    if not text.strip():
        raise SearchError("there is nothing to search for", text, 0)


def _is_balanced(text: str) -> bool:
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return depth == 0


def _plain(text: str) -> Node:
    words = tuple(
        Term(None, "", (Value(m[0], *m.span()),), *m.span()) for m in re.finditer(r"\S+", text)
    )
    if len(words) > MOST:
        raise _too_many(text, words[MOST].start)
    return words[0] if len(words) == 1 else All(words)


def _too_many(text: str, at: int) -> SearchError:
    return SearchError(f"a search has at most {MOST} values; this is one too many", text, at)


class _Parser:
    """Reads a search from left to right; `_at` is where it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._brackets: list[int] = []
        self._values = 0

    def whole(self) -> Node:
        node = self._either()
        if self._at < len(self._text):
            raise self._error("there is no ( for this ); to look for one, put it in quotes")
        return node

    # --- what combines terms -----------------------------------------------------------------

    def _either(self) -> Node:
        parts = [self._both()]
        while self._takes("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Node:
        parts: list[Node] = []
        while not self._is_over():
            if parts:
                self._takes("AND")
            parts.append(self._part())
        if not parts:
            raise self._nothing()
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _is_over(self) -> bool:
        self._skip()
        return self._at >= len(self._text) or self._text[self._at] == ")" or self._sees("OR")

    def _part(self) -> Node:
        if self._is_over() or self._sees("AND"):
            raise self._nothing()
        self._depth += 1
        if self._depth > DEEPEST + 1:  # the term within them counts too
            raise self._error(f"more than {DEEPEST} brackets and negations are within one another")
        node = self._negated_or_group()
        self._depth -= 1
        return node

    def _negated_or_group(self) -> Node:
        if self._takes("NOT"):
            return Not(self._part())
        letter, after = self._text[self._at], self._text[self._at + 1 : self._at + 2]
        if letter == "-" and after.strip():
            self._at += 1
            return Not(self._part())
        return self._group() if letter == "(" else self._term()

    def _group(self) -> Node:
        self._brackets.append(self._at)
        self._at += 1
        node = self._either()
        if self._at >= len(self._text):
            at = self._brackets[-1]
            raise SearchError(
                "this ( is not closed by a ); to look for one, put it in quotes", self._text, at
            )
        self._at += 1
        self._brackets.pop()
        return node

    def _nothing(self) -> SearchError:
        """Return the error of a place where something is missing."""
        for word in _LOGIC:
            if self._sees(word):
                end = self._at + len(word)
                problem = (
                    f'something must stand before {word}; to look for the word, write "{word}"'
                )
                return SearchError(problem, self._text, self._at, end)
        before = self._text[: self._at].split()[-1:]
        problem = f"something must stand behind {before[0][-3:]}" if before else "there is nothing"
        return self._error(f"{problem}, such as state:failed")

    # --- terms -------------------------------------------------------------------------------

    def _term(self) -> Term:
        start = self._at
        key = _KEY.match(self._text, start)
        if key is None:
            value = self._value(stops="")
            return Term(None, "", (value,), start, self._at)
        self._at = key.end()
        operator = _OPERATOR.match(self._text, self._at)
        self._at = operator.end() if operator else self._at
        values = [self._value_of(key[1])]
        while self._text[self._at : self._at + 1] == ",":
            self._at += 1
            values.append(self._value_of(key[1]))
        return Term(key[1], operator[0] if operator else "", tuple(values), start, self._at)

    def _value_of(self, key: str) -> Value:
        value = self._value(stops=",")
        if value.start == value.end:
            problem = f"a value must stand here, right behind {self._text[self._at - 1]}"
            raise self._error(f"{problem}; to look for {key}: as it stands, put it in quotes")
        return value

    def _value(self, stops: str) -> Value:
        self._values += 1
        if self._values > MOST:
            raise _too_many(self._text, self._at)
        start = self._at
        if self._text[start : start + 1] == '"':
            return self._quoted(stops)
        stops += ")" if self._brackets else ""
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter.isspace() or letter in stops:
                break
            self._at += 1
        return Value(self._text[start : self._at], start, self._at)

    def _quoted(self, stops: str) -> Value:
        start = self._at
        quoted = _QUOTED.match(self._text, start)
        if quoted is None:
            raise self._error('the quote that begins here has no end; write " within it as \\"')
        self._at = quoted.end()
        after = self._text[self._at : self._at + 1]
        if after.strip() and after not in f"{stops})":
            raise self._error("a space must stand behind the closing quote")
        text = _ESCAPED.sub(r"\1", quoted[1])
        if not text:
            raise SearchError("there is nothing between the quotes", self._text, start, self._at)
        return Value(text, start, self._at, quoted=True)

    # --- reading -----------------------------------------------------------------------------

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _sees(self, word: str) -> bool:
        return _LOGIC[word].match(self._text, self._at) is not None

    def _takes(self, word: str) -> bool:
        self._skip()
        if not self._sees(word):
            return False
        self._at += len(word)
        return True

    def _error(self, problem: str) -> SearchError:
        return SearchError(problem, self._text, self._at)
