"""The checklist before anything is embedded (R06): one literal row an item, each with its evidence.

The items are those of article B, and one about prompts. Looked at again whenever `check` is asked, so what `run` has
found since counts. Knows what was seen; looks at nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from resurvey.diagnose.prompts import wanted
from resurvey.types import Json

State: TypeAlias = Literal["passed", "failed", "unknown"]
Finding: TypeAlias = tuple[State, str]
PAIRS, TRIPLES = 50, 500
"""Judged queries that comparing encoders wants, and that training wants, as article B has them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rows look at."""

    encoder: str
    limit: int
    limit_known: bool
    prompts: bool
    documents_over: int
    queries_over: int
    lost: int
    passage_tokens: int
    """Most tokens of a passage as it will be embedded."""
    splits: bool
    passages: int
    seconds: float
    """That embedding all passages takes here."""
    megabytes: float
    judged: int
    measure: str
    compared: str = ""
    """What the `encoder` rung said of other encoders, if it was tried."""
    trained: str = ""
    """What the `contrast` rung said, if it was tried."""
    shorter: bool = False
    """Whether vectors are cut to fewer dimensions."""
    prompted: str = ""
    """What prompts bring on judged queries, in words; nothing where the encoder wants none."""
    reranker: str = ""
    """The reranker that the settings name."""
    pairs: tuple[int, int, int] | None = None
    """Pairs of a judged query and its answer that are longer than the reranker reads, all of them, and its limit."""


@dataclass(frozen=True, slots=True)
class Item:
    """A row: its part of the list, what is asked, what is seen, what to do where it has not passed."""

    part: str
    asks: str
    look: Callable[[Seen], Finding]
    next: str = ""


def _compared(seen: Seen) -> Finding:
    if seen.compared:
        return "passed", seen.compared
    if seen.judged < PAIRS:
        return "unknown", f"{seen.judged} judged queries, {PAIRS} would tell encoders apart"
    return "failed", f"{seen.judged:,} judged queries are there, and no other encoder was tried on them"


def _considered(seen: Seen) -> Finding:
    if seen.compared:
        return "passed", seen.compared
    return "unknown", "nobody can see what you looked at; none is named to be compared"


def _known_limit(seen: Seen) -> Finding:
    if seen.limit_known:
        return "passed", f"{seen.limit} tokens of a text reach the vector, by its own tokenizer and its least limit"
    return "unknown", "the endpoint's tokenizer is not known; tokens are estimated by words, on the safe side"


def _fits(seen: Seen) -> Finding:
    if not seen.limit_known:
        return "unknown", f"passages are kept to {seen.passage_tokens} estimated tokens"
    return "passed", f"no passage is longer than {seen.passage_tokens} tokens, the encoder reads {seen.limit}"


def _split(seen: Seen) -> Finding:
    if not seen.documents_over:
        return "passed", "no document is longer than the encoder reads"
    told = f"{seen.documents_over:,} documents are longer than the encoder reads, {seen.lost:,} tokens would be lost"
    if seen.splits:
        return "passed", f"{told}; `run` splits them into {seen.passages:,} passages"
    return "failed", f"{told}, and `rechunk` is never"


def _queries(seen: Seen) -> Finding:
    if seen.queries_over:
        return "failed", f"{seen.queries_over:,} queries are longer than the encoder reads, and nobody splits a query"
    return "passed", "every query is read whole"


def _prompts(seen: Seen) -> Finding:
    if seen.prompts:
        return "passed", f"the encoder's own prompts stand before queries or passages; {seen.prompted}"
    if (wants := wanted(seen.encoder)) is not None:
        return (
            "failed",
            f"models named {wants[0]!r} are trained with prompts, and this one comes without any; {seen.prompted}",
        )
    return "passed", "the encoder names no prompts, and none are put before texts"


def _pairs(seen: Seen) -> Finding:
    if not seen.reranker:
        return "passed", "no reranker is configured"
    if seen.pairs is None:
        return (
            "unknown",
            "nobody can count for an endpoint, or no answer is judged; texts are sent up to 2,000 characters",
        )
    over, every, limit = seen.pairs
    told = f"{over:,} of {every:,} judged queries with their answers are longer than the {limit} tokens that it reads"
    return ("failed" if over else "passed"), told


def _triples(seen: Seen) -> Finding:
    if seen.trained:
        return "passed", seen.trained
    if seen.judged >= TRIPLES:
        return (
            "passed",
            f"{seen.judged:,} judged queries; hard negatives are mined from words and vectors when it trains",
        )
    return "unknown", f"{seen.judged:,} judged queries of {TRIPLES}; `run` says what fewer are worth here"


def _cost(seen: Seen) -> Finding:
    minutes = seen.seconds / 60
    took = f"{minutes:.0f} minutes" if minutes >= 2 else f"{seen.seconds:.0f} s"
    return "passed", f"{seen.passages:,} vectors are {seen.megabytes:,.1f} MB; embedding them takes about {took} here"


CHECKLIST: tuple[Item, ...] = (
    Item(
        "model",
        "retrieval scores on leaderboards were looked at",
        lambda _: ("unknown", "what is on a leaderboard is self-reported and not about your corpus; `run` measures that"),
    ),
    Item("model", "models of your domain were considered", _considered, "name some in `encoders` (resurvey.toml)"),
    Item("model", f"two encoders were tried on {PAIRS} or more of your own pairs", _compared, "name one in `encoders`"),
    Item("model", "its own prompts are used", _prompts, "name a folder whose config has them"),
    Item("length", "the limit was confirmed by its own tokenizer", _known_limit, "set endpoint_tokenizer"),
    Item("length", "the longest passage fits", _fits, "set passage_tokens"),
    Item("length", "nothing is cut off without a word: documents", _split, 'set rechunk = "auto"'),
    Item("length", "nothing is cut off without a word: queries", _queries, "shorten them, or take an encoder that reads more"),
    Item("length", "nothing is cut off without a word: a reranker's pairs", _pairs, "set a smaller passage_tokens"),
    Item(
        "cost",
        "shorter vectors were tested before they are used",
        lambda seen: ("unknown", "vectors are shortened") if seen.shorter else ("passed", "vectors are used at full length"),
    ),
    Item("cost", "storage and time were estimated", _cost),
    Item(
        "cost",
        "what changing the model costs is known",
        lambda seen: ("passed", f"all {seen.passages:,} passages again; a linear adapter on queries needs none of it"),
    ),
    Item("domain", "a model of the domain was adopted or refused by numbers", _compared, "name one in `encoders`"),
    Item("domain", f"{TRIPLES} queries with answers and hard negatives to train on", _triples, "judge more queries"),
    Item(
        "domain",
        "what is measured was decided",
        lambda seen: (
            ("passed", f"{seen.measure} and Recall@100 on {seen.judged:,} judged queries")
            if seen.judged
            else ("failed", "no query is judged, so nothing can be measured")
        ),
        "judge about 50 queries",
    ),
)  # fmt: skip


def checklist(seen: Seen) -> list[Json]:
    """Every row as it stands."""
    rows = []
    for item in CHECKLIST:
        state, evidence = item.look(seen)
        remedy = item.next if state != "passed" else ""
        rows.append({"part": item.part, "asks": item.asks, "state": state, "evidence": evidence, "next": remedy})
    return rows
