"""Shorthand: acronyms with their long forms, as a corpus itself explains them.

"long form (LF)" and "LF (long form)" are read with the algorithm of Schwartz and Hearst (PSB 2003): the letters of
the short form are found in the words beside it from right to left, its first letter at the start of a word. Needs no
dictionary and no training. Knows texts; knows nothing about queries being searched.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from resurvey.search.analyse import words

BRACKETS = re.compile(r"\(([^()]{2,80})\)")
BREAK = re.compile(r"[.;:!?,](?:\s|$)|[()\n]")
"""A long form does not reach over the end of a phrase."""
SHORT = re.compile(r"[^\W_][\w&/.\-]*")
PART = re.compile(r"[^\W_]+")
TOKEN = re.compile(r"\w[\w&/.\-]*\w|\w")
SHORTEST, LONGEST = 2, 10
"""Characters of a short form."""
SMALL = 3
"""Letters of words that an acronym passes over: of, and, the."""
ORDINARY = 0.5
"""Share of its occurrences written in small letters from which on a short form is also an ordinary word: `who`, `it`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A short form as it is written, and its long form in small letters."""

    short: str
    long: str


@dataclass(frozen=True, slots=True)
class Shorthand:
    """What a corpus calls short: pairs, most frequent first, and short forms that are ordinary words in small letters."""

    pairs: tuple[Pair, ...]
    ordinary: frozenset[str] = frozenset()

    def dump(self) -> bytes:
        """As JSON, the same bytes for the same content."""
        rows = [[pair.short, pair.long] for pair in self.pairs]
        return json.dumps({"pairs": rows, "ordinary": sorted(self.ordinary)}, ensure_ascii=False).encode("utf-8")


def load_shorthand(data: bytes) -> Shorthand:
    """What `dump` wrote."""
    found = json.loads(data)
    return Shorthand(tuple(Pair(*row) for row in found["pairs"]), frozenset(found["ordinary"]))


def learn(texts: Iterable[str]) -> Shorthand:
    """All pairs that the texts explain, the most frequent first."""
    counts: Counter[Pair] = Counter()
    written: Counter[str] = Counter()
    for text in texts:
        counts.update(set(pairs_in(text)))
        written.update(TOKEN.findall(text))
    pairs = tuple(sorted(counts, key=lambda pair: (-counts[pair], pair.short, pair.long)))
    return Shorthand(pairs, frozenset(_ordinary({key_of(pair.short) for pair in pairs}, written)))


def _ordinary(keys: set[str], written: Mapping[str, int]) -> Iterator[str]:
    small: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for token, count in written.items():
        if (key := key_of(token)) in keys:
            every[key] += count
            small[key] += count * token.islower()
    return (key for key in keys if small[key] >= ORDINARY * every[key])


def key_of(short: str) -> str:
    """A short form however it is written: in small letters, without the s of its plural."""
    return (short[:-1] if len(short) > SHORTEST and short[-1] == "s" and not short.isupper() else short).lower()


class Expander:
    """Reads queries with a table of shorthand."""

    def __init__(self, table: Shorthand, language: str) -> None:
        self.language = language
        self._ordinary = table.ordinary
        self._long: dict[str, str] = {}
        self._short: dict[tuple[str, ...], str] = {}
        for pair in table.pairs:
            self._long.setdefault(key_of(pair.short), pair.long)
            stems = tuple(words(pair.long, language))
            if len(stems) > 1:
                self._short.setdefault(stems, pair.short)
        self._longest = max(map(len, self._short), default=0)

    def expand(self, text: str) -> str:
        """`text` followed by the long forms of its short ones and the short forms of its long ones; itself where it has none."""
        return " ".join([text, *(new for _, new in self.found(text))])

    def replace(self, text: str) -> str:
        """`text` with its short forms written out; itself where it has none."""
        places = [(span, new) for span, new in self.found(text) if span is not None]
        for (start, end), new in reversed(places):
            text = f"{text[:start]}{new}{text[end:]}"
        return text

    def found(self, text: str) -> list[tuple[tuple[int, int] | None, str]]:
        """What could be added, and for a short form where it stands; forms that stand there already are left out."""
        stems = words(text, self.language)
        spans = {
            tuple(stems[start : start + size])
            for size in range(2, self._longest + 1)
            for start in range(len(stems) - size + 1)
        }
        added: dict[str, tuple[int, int] | None] = {}
        keys = set()
        for match in TOKEN.finditer(text):
            key = key_of(match.group())
            keys.add(key)
            long = self._long.get(key)
            if long is None or (match.group().islower() and key in self._ordinary):
                continue
            if tuple(words(long, self.language)) not in spans:
                added.setdefault(long, match.span())
        for span in sorted(spans):
            if (short := self._short.get(span)) is not None and key_of(short) not in keys:
                added.setdefault(short, None)
        return [(place, new) for new, place in added.items()]


def pairs_in(text: str) -> Iterator[Pair]:
    """Every short form of `text` that brackets explain, with its long form."""
    for match in BRACKETS.finditer(text):
        inside = match.group(1).strip()
        before = BREAK.split(text[max(0, match.start() - 200) : match.start()].rstrip())[-1]
        if _is_short(inside):
            long = long_form(inside, _last(before, inside))
        else:
            inside, long = before.split()[-1] if before.split() else "", BREAK.split(inside)[0]
            long = long_form(inside, " ".join(long.split())) if _is_short(inside) and len(long.split()) > 1 else ""
        if long:
            yield Pair(inside, long.lower())


def long_form(short: str, beside: str) -> str:
    """The words at the end of `beside` that `short` stands for, or nothing.

    Words whose first letters spell the short form, small words between them allowed, come before what Schwartz and
    Hearst find, which is the shortest end with all its letters in order: of "personal protective equipment" they
    take two words for PPE.
    """
    return _spelt(short, beside) or _subsequence(short, beside)


def _spelt(short: str, beside: str) -> str:
    letters, parts = [c for c in short.lower() if c.isalnum()], list(PART.finditer(beside))
    while parts and letters:
        part = parts.pop()
        if part.group().lower().startswith(letters[-1]):
            letters.pop()
            start = part.start()
        elif len(part.group()) > SMALL or len(letters) == len(short):
            return ""
    return _trimmed(short, beside[start:]) if not letters else ""


def _subsequence(short: str, beside: str) -> str:
    place = len(beside)
    for at in range(len(short) - 1, -1, -1):
        letter = short[at].lower()
        if not letter.isalnum():
            continue
        place -= 1
        while place >= 0 and (
            beside[place].lower() != letter or (at == 0 and place > 0 and beside[place - 1].isalnum())
        ):
            place -= 1
        if place < 0:
            return ""
    return _trimmed(short, beside[beside.rfind(" ", 0, place) + 1 :])


def _trimmed(short: str, found: str) -> str:
    found = found.strip("\"'“”‘’-/ ")
    return found if _explains(short, found) else ""


def _explains(short: str, long: str) -> bool:
    parts = [part.lower() for part in re.split(r"[\s\-]+", long)]
    return len(long) > len(short) and len(parts) > 1 and short.lower() not in parts


def _is_short(text: str) -> bool:
    return (
        SHORTEST <= len(text) <= LONGEST
        and len(text.split()) == 1
        and SHORT.fullmatch(text) is not None
        and sum(letter.isupper() for letter in text) >= 2
    )


def _last(before: str, short: str) -> str:
    """The words in which Schwartz and Hearst look for the long form."""
    return " ".join(before.split()[-min(len(short) + 5, 2 * len(short)) :])
