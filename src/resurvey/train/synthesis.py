"""Synthetic queries (R54): made, tried on the search as it stands, and drawn so that they look like real ones.

Documents that no judged query asks about come first. What stand-in queries are evaluated on is left out: pass
their documents as `Known.kept_out`, and the two sets share no document, though they share generators. Every query
that is dropped is counted under its reason. The same inputs and seed give the same examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from resurvey.data.split import positives
from resurvey.errors import ResurveyError
from resurvey.train import prompted
from resurvey.train.examples import PROVENANCES, Example, Examples, plain
from resurvey.train.generators import Draft, drafts
from resurvey.train.roundtrip import KEPT, NOT_FOUND, TOO_EASY, Search, verdicts
from resurvey.train.shape import (
    FEWEST,
    Vocabulary,
    distances,
    matched,
    shape,
    shapes,
    vocabulary,
    without_queries,
)
from resurvey.types import Document, Doubles, Ints, Json, Progress, Qrels, Query, silent

Complete: TypeAlias = Callable[[str], str]
"""A prompt to a language model's reply; raises ResurveyError, OSError or TimeoutError when there is none."""
BLOCK = 256
"""Documents that are read between two round trips."""
SPARE = 4
"""Queries that passed, for every one that is wanted, before drawing: the more, the closer they can be matched."""
PASSAGE_WORDS = 120
MOST_PASSAGES = 4
"""Passages that one document counts for."""
MOST_WORDS, MOST_CHARACTERS = 64, 400
SILENCES = 5
"""Prompts in a row without a reply, after which the model is not asked again."""
REPEATED, ASKED_ALREADY, NOTHING_SAID, OUT_OF_MATCH = "repeated", "asked already", "nothing said", "out of the match"
REASONS = (NOTHING_SAID, ASKED_ALREADY, REPEATED, NOT_FOUND, TOO_EASY, OUT_OF_MATCH)
"""Why a query is dropped, in the order in which that is asked."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: how many queries in all, how many a passage (3 to 10), and within which rank they must find it."""

    count: int = 4_000
    each: int = 5
    top: int = 10
    prompts: int = 400
    """Most prompts that a language model gets, one a passage."""
    language: str = "english"
    seed: int = 13


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of real queries: those typed (judged or not), their judgments, documents to leave alone."""

    queries: tuple[Query, ...] = ()
    qrels: Qrels = field(default_factory=dict)
    kept_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Synthesis:
    """The examples, and what became of every query that was made."""

    examples: Examples
    log: Json


@dataclass(slots=True)
class _Pool:
    """What passed so far: examples and the shapes of their queries, and all counts."""

    known: Vocabulary
    taken: set[str]
    """Real queries, then those made, in plain form."""
    asked: frozenset[str]
    rows: list[Example] = field(default_factory=list)
    shapes: list[tuple[float, float, float]] = field(default_factory=list)
    made: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Counter[str]] = field(default_factory=lambda: {reason: Counter() for reason in REASONS})

    def add(self, found: Sequence[tuple[Document, Draft]], search: Search, top: int) -> None:
        """Screen a block of drafts, send those left on the round trip, keep what comes back."""
        left: list[tuple[Example, tuple[float, float, float]]] = []
        for document, draft in found:
            self.made[draft.provenance] += 1
            row = Example(draft.text, document.id, draft.provenance, lifted=draft.lifted)
            seen = shape(row.query, [row.shown(document)], self.known)
            reason = self._screen(row.query, seen)
            if reason:
                self.dropped[reason][draft.provenance] += 1
            else:
                left.append((row, seen))
        rows = [row for row, _ in left]
        told = verdicts([r.query for r in rows], [r.document for r in rows], [s[1] for _, s in left], search, top)
        for (row, seen), verdict in zip(left, told, strict=True):
            if verdict == KEPT:
                self.rows.append(row)
                self.shapes.append(seen)
            else:
                self.dropped[verdict][row.provenance] += 1

    def _screen(self, query: str, seen: tuple[float, float, float]) -> str:
        text = plain(query)
        if not 2 <= seen[0] <= MOST_WORDS or len(query) > MOST_CHARACTERS or np.isnan(seen[1]):
            return NOTHING_SAID
        if text in self.asked:
            return ASKED_ALREADY
        if text in self.taken:
            return REPEATED
        self.taken.add(text)
        return KEPT


def synthesise(
    documents: Sequence[Document],
    search: Search,
    known: Known,
    order: Order,
    *,
    complete: Complete | None = None,
    progress: Progress = silent,
) -> Synthesis:
    """Make queries for a corpus.

    Args:
        search: the pipeline as it stands, over the same documents, at least `order.top` deep; a ranking whose
            stages name `lexical` and `dense` lets both say what is too easy.
        complete: a language model, asked first; without one, and beside it, generators read structure.

    Raises:
        ResurveyError: when there is no stemmer of `order.language`.
    """
    words = vocabulary(documents, order.language)
    real = _real(documents, known, words)
    aim = real if len(real) >= FEWEST else without_queries()
    pool = _Pool(words, set(), frozenset(plain(query.text) for query in known.queries))
    writer = _Writer(complete, _shots(documents, known, order.seed), order.prompts)
    chosen, thin = _in_turn(documents, known, order.seed)
    lengths = np.clip(aim[:, 0], 2, MOST_WORDS).astype(np.int64)
    read = 0
    for start in range(0, len(chosen), BLOCK):
        if len(pool.rows) >= SPARE * order.count:
            break
        progress("making queries", min(len(pool.rows), SPARE * order.count), SPARE * order.count)
        block = [documents[place] for place in chosen[start : start + BLOCK].tolist()]
        made = [(document, draft) for document in block for draft in _asked(document, words, lengths, order, writer)]
        pool.add(made, search, order.top)
        read += len(block)
    facts = {"documents": len(documents), "documents read": read, "of them without a judged query": min(read, thin)}
    return _drawn(pool, aim, order, {**facts, "real queries": len(real), **writer.log()})


def _drawn(pool: _Pool, aim: Doubles, order: Order, facts: Json) -> Synthesis:
    """Draw from what passed, and write the log."""
    found = shapes(pool.shapes)
    places = matched(found, aim, order.count, np.random.default_rng(order.seed))
    kept = Examples(tuple(pool.rows[place] for place in places))
    before = Counter(row.provenance for row in pool.rows)
    chosen = kept.counts()
    pool.dropped[OUT_OF_MATCH].update({name: before[name] - chosen.get(name, 0) for name in before})
    names = [name for name in PROVENANCES if pool.made[name]]
    log: Json = {
        **facts,
        "made": {name: pool.made[name] for name in names},
        "dropped": {
            reason: {name: found[name] for name in names if found[name]} for reason, found in pool.dropped.items()
        },
        "kept": {name: chosen.get(name, 0) for name in names},
        "distance to real queries": {"before": distances(found, aim), "after": distances(found[places], aim)},
    }
    return Synthesis(kept, log)


def _real(documents: Sequence[Document], known: Known, words: Vocabulary) -> Doubles:
    """The shapes of the real queries, each against the documents that answer it."""
    answers = positives(known.qrels)
    wanted = frozenset().union(*(answers.get(query.id, frozenset()) for query in known.queries))
    texts = {document.id: document.full_text for document in documents if document.id in wanted}
    return shapes([
        shape(query.text, [texts[d] for d in sorted(answers.get(query.id, ())) if d in texts], words)
        for query in known.queries
    ])  # fmt: skip


def _in_turn(documents: Sequence[Document], known: Known, seed: int) -> tuple[Ints, int]:
    """Places of the documents to read, those without a judged query first, and how many these are."""
    judged = frozenset().union(*positives(known.qrels).values())
    order = np.random.default_rng(seed).permutation(len(documents))
    order = order[[documents[place].id not in known.kept_out for place in order]] if len(order) else order
    seen = np.array([documents[place].id in judged for place in order], dtype=np.bool_)
    return order[np.argsort(seen, kind="stable")].astype(np.int64), int((~seen).sum())


def _asked(document: Document, words: Vocabulary, lengths: Ints, order: Order, writer: _Writer) -> list[Draft]:
    """The drafts of one document: what a language model writes about its passages, then what its structure offers."""
    passages = max(1, min(MOST_PASSAGES, -(-len(document.full_text.split()) // PASSAGE_WORDS)))
    written = writer.write(document, passages, order.each)
    return [*written, *drafts(document, words, lengths, passages * order.each - len(written), order.seed)]


class _Writer:
    """A language model and what it was asked so far; without one, or when it falls silent, it writes nothing."""

    def __init__(self, complete: Complete | None, shots: Sequence[tuple[str, str]], prompts: int) -> None:
        self._complete = complete
        self._shots = shots
        self._left = prompts
        self._silent = 0
        self.counts: Counter[str] = Counter()

    def write(self, document: Document, passages: int, number: int) -> list[Draft]:
        """`number` drafts for each passage of a document, as long as prompts are left."""
        found: list[Draft] = []
        for passage in _passages(document, passages):
            if self._complete is None or self._left == 0 or self._silent >= SILENCES:
                break
            self._left -= 1
            self.counts["prompts"] += 1
            try:
                reply = self._complete(prompted.prompt(passage, self._shots, number))
            except (ResurveyError, OSError) as error:
                self._silent += 1
                self.counts["prompts without a reply"] += 1
                self._last = str(error)
                continue
            written = prompted.parse(reply, number)
            self._silent = 0
            self.counts["replies without a query"] += not written
            found += [Draft(text, prompted.PROVENANCE) for text in written]
        return found

    def log(self) -> Json:
        """Prompts, and those without a usable reply; nothing without a model."""
        return {} if self._complete is None else {"language model": {name: n for name, n in self.counts.items() if n}}


def _passages(document: Document, number: int) -> Iterator[str]:
    """A document's words in as many equal parts, each under its title."""
    words = document.text.split()
    size = max(1, -(-len(words) // number))
    for start in range(0, max(1, len(words)), size):
        yield f"{document.title} {' '.join(words[start : start + size])}".strip()


def _shots(documents: Sequence[Document], known: Known, seed: int) -> list[tuple[str, str]]:
    """Some real queries, each with a document that answers it."""
    answers = positives(known.qrels)
    judged = [query for query in known.queries if answers.get(query.id)]
    places = np.sort(np.random.default_rng(seed).permutation(len(judged))[: prompted.SHOTS])
    chosen = {judged[place].id: min(answers[judged[place].id]) for place in places}
    texts = {document.id: document.full_text for document in documents if document.id in set(chosen.values())}
    asked = {query.id: query.text for query in judged}
    return [(asked[query], texts[document]) for query, document in chosen.items() if document in texts]
