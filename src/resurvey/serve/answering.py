"""Answering: what an engine found, as the JSON that is sent; with `explain`, how every hit came to its place.

Knows engines, texts and records; knows nothing about HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from resurvey.search.analyse import identifiers, marked, words
from resurvey.search.confidence import rounded
from resurvey.search.recipe import describe
from resurvey.search.store import IDENTIFIERS, WORDS
from resurvey.search.trace import Trace
from resurvey.serve.asking import Ask, Wanted
from resurvey.serve.engine import Arm, Engine, Result
from resurvey.types import Document, Hit, Json

SNIPPET = 32
"""Words of a document's text that are sent."""
READ = 4_000
"""Characters of a text in which its snippet is looked for."""


def answer(engine: Engine, ask: Ask, id: str, trace: Trace) -> Json:
    """Search, and say what was found, by what, and what was left out.

    Raises:
        ResurveyError: when what is asked cannot be, with all that is wrong with it.
    """
    began = perf_counter()
    with trace:
        found = engine.search(ask, trace)
    arm, want = found.arm, found.want
    told: Json = {
        "query_id": id,
        "candidate": arm.id,
        "snapshot": engine.live.snapshot,
        "fingerprint": arm.fingerprint,
        "hits": _hits(engine, ask, found, trace),
        "confidence": {**found.confidence.to_json(), "withheld": found.withheld},
        "filters": [one.shown() for one in want.restrictions],
        "skipped": [{"stage": stage, "why": why} for stage, why in trace.skipped.items()],
        "rewrites": list(trace.rewrites),
        "words_known": words_known(engine, ask.query),
    }
    if ask.explain:
        told["explain"] = explained(arm, want, trace)
    told["milliseconds"] = round(1000 * (perf_counter() - began), 2)
    return told


def words_known(engine: Engine, query: str) -> bool:
    """Whether any word of a query is in the documents; if none is, hits are the nearest by vectors alone."""
    index = engine.opened.index
    return any(index.postings(WORDS).count(stem) for stem in words(query, index.language)) or any(
        index.postings(IDENTIFIERS).count(code) for code in identifiers(query, index.language)
    )


def explained(arm: Arm, want: Wanted, trace: Trace) -> Json:
    """How the whole search went: what was searched, within what, how long each stage took by itself."""
    return {
        "pipeline": describe(arm.root),
        "filter": want.where,
        "rewrites": list(trace.rewrites),
        "milliseconds": {stage: round(1000 * seconds, 3) for stage, seconds in trace.seconds.items()},
    }


def _hits(engine: Engine, ask: Ask, found: Result, trace: Trace) -> list[Json]:
    index = engine.opened.index
    asked = frozenset(words(ask.query, index.language))
    made = []
    for hit, probability in zip(found.hits, found.confidence.probabilities, strict=True):
        document = index.documents[index.rows[hit.document]]
        row: Json = {
            "rank": hit.rank,
            "id": hit.document,
            "score": _number(hit.score),
            "probability": rounded(probability),
            "title": document.title,
            "text": snippet(document.text, asked, index.language),
            "metadata": dict(document.metadata),
        }
        if ask.explain:
            row["explain"] = _why(hit, document, ask, found.want, trace, index.language)
        made.append(row)
    return made


def _why(hit: Hit, document: Document, ask: Ask, want: Wanted, trace: Trace, language: str) -> Json:
    """Every stage's rank and score, the terms that query and document share, what the ranker made of it."""
    return {
        "stages": {name: {"rank": rank, "score": _number(score)} for name, (rank, score) in hit.stages.items()},
        "matched": matched(ask.query, document, language),
        "filters": [one.name for one in want.restrictions if one.applied],
        "contributions": {group: round(value, 5) for group, value in trace.contributions.get(hit.document, {}).items()},
    }


def matched(query: str, document: Document, language: str) -> Json:
    """The words of a query whose stems a document has, as they were typed; and the codes that it has."""
    there, codes = set(words(document.full_text, language)), set(identifiers(document.full_text, language))
    typed = [word.strip(".,;:!?()[]\"'") for word in query.split()]
    return {
        "words": [word for word in dict.fromkeys(typed) if there.intersection(words(word, language))],
        "codes": [code for code in dict.fromkeys(identifiers(query, language)) if code in codes],
    }


def snippet(text: str, asked: frozenset[str], language: str) -> str:
    """The few words of a text around those that were asked for; its beginning where it has none of them."""
    pieces = text[:READ].split()
    if len(pieces) <= SNIPPET and len(text) <= READ:
        return " ".join(pieces)
    first = _densest(marked(pieces, asked, language))
    last = min(len(pieces), first + SNIPPET)
    more = last < len(pieces) or len(text) > READ
    return f"{'… ' if first else ''}{' '.join(pieces[first:last])}{' …' if more else ''}"


def _densest(hits: Sequence[bool]) -> int:
    """Where the window with the most words asked for begins; a little before the first of them."""
    best, most = 0, 0
    for place in (place for place, hit in enumerate(hits) if hit):
        first = max(0, min(place - 4, len(hits) - SNIPPET))
        count = hits[first : first + SNIPPET].count(True)
        if count > most:
            best, most = first, count
    return best


def _number(score: float) -> float:
    """A float32 as people write it: JSON of the exact double would be noise."""
    return float(f"{score:.7g}")
