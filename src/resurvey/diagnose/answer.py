"""The answer to the question everyone comes with: is the embedding model the bottleneck?

One table of readings over the findings, the first that holds answers. Knows findings and nothing of
how they were taken; what to do about it is the plan's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from resurvey.types import Diagnosis

Short: TypeAlias = Literal["yes", "partly", "no", "unknown"]
JUDGMENTS = "judgments"


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes, partly, no or unknown, and the sentence that says why."""

    short: Short
    sentence: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The few numbers the answer rests on: means over queries, shares from 0 to 1."""

    dense: float
    lexical: float
    fused: float
    recall: float
    near: float
    """Share of the queries whose right document is in the top 20 but not first."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One row: when it holds, what it answers."""

    holds: Callable[[Measured], bool]
    short: Short
    sentence: Callable[[Measured], str]


READINGS: tuple[Reading, ...] = (
    Reading(
        lambda m: m.lexical > m.dense + 0.02,
        "yes",
        lambda m: (
            f"plain word search (NDCG@10 {m.lexical:.3f}) beats the encoder's own search ({m.dense:.3f}): the map misses "
            "what your words say."
        ),
    ),
    Reading(
        lambda m: m.recall < 0.8,
        "yes",
        lambda m: (
            f"only {100 * m.recall:.0f} % of the right documents are among its first 100. What it does not find, "
            "no reranker brings back."
        ),
    ),
    Reading(
        lambda m: m.fused > m.dense + 0.02,
        "partly",
        lambda m: (
            f"it finds {100 * m.recall:.0f} % of the right documents within 100, and word search beside it adds "
            f"{100 * (m.fused - m.dense):.1f} points."
        ),
    ),
    Reading(
        lambda m: m.near > 0.2,
        "partly",
        lambda m: (
            f"it finds {100 * m.recall:.0f} % of the right documents within 100, but for {100 * m.near:.0f} % of the "
            "queries something else stands first: the order is the bottleneck, not the reach."
        ),
    ),
    Reading(
        lambda m: m.dense >= 0.6,
        "no",
        lambda m: (
            f"NDCG@10 is {m.dense:.3f}, {100 * m.recall:.0f} % of the right documents are among the first 100 and mostly "
            "at the top. Look elsewhere first."
        ),
    ),
    Reading(
        lambda _: True,
        "partly",
        lambda m: (
            f"NDCG@10 is {m.dense:.3f} with {100 * m.recall:.0f} % of the right documents among the first 100; word "
            "search does not do better."
        ),
    ),
)


def bottleneck(diagnosis: Diagnosis) -> Answer:
    """Whether the untouched encoder is what holds search back, and the measured reason."""
    if diagnosis.judged_by != JUDGMENTS:
        return Answer(
            "unknown",
            "nobody can say without judged queries. What is shown below was measured on queries made from your "
            "documents; about 50 judged ones would tell.",
        )
    means = next((f.evidence["means"] for f in diagnosis.findings if f.id == "R19-quality"), None)
    recall, near = diagnosis.value("R18-recall"), diagnosis.value("R18-ranking")
    if means is None or recall is None or near is None:
        return Answer("unknown", "there are no measurements of quality to answer it from.")
    measured = Measured(means["dense"], means["lexical"], means["fused"], recall, near / 100)
    found = next(row for row in READINGS if row.holds(measured))
    return Answer(found.short, found.sentence(measured))
