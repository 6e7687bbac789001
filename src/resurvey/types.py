"""The nouns: frozen records that cross every border of the package.

Shapes brought by users are converted to these once, in `data/read.py`. This module knows
nothing about files, models or measures, and imports nothing else of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Json: TypeAlias = dict[str, Any]
Scalar: TypeAlias = str | float | int | bool
Level: TypeAlias = Literal["healthy", "suspect", "confirmed", "unknown"]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what is being done, units done, units in all); the command line draws it."""


def silent(task: str, done: int, total: int) -> None:
    """The progress of a caller who does not want to hear of it."""


@dataclass(frozen=True, slots=True)
class Document:
    """What the user brings, and what judgments, clicks and TREC runs name."""

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def full_text(self) -> str:
        """Title and text as one string, the way BEIR joins them."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded: characters [start, end) of one document's text, its title before them."""

    document: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Query:
    """One information need, as it was typed."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Judgment:
    """A grade (0 irrelevant, 1 to 4 relevant) that somebody gave a document for a query."""

    query: str
    document: str
    grade: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One logged answer: the query's id, the documents it was made from, what was said, what was right."""

    query: str
    passages: tuple[str, ...]
    answer: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage thought of a ranking's documents: parallel arrays, rank 0 and NaN = not seen."""

    ranks: Ints
    scores: Floats


@dataclass(frozen=True, slots=True)
class Hit:
    """One ranked document; `stages` keeps (rank, score) of every stage that saw it."""

    document: str
    rank: int
    score: float
    stages: Mapping[str, tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Ranking:
    """One query's documents, best first; ids, scores and stage columns are parallel."""

    documents: Sequence[str]
    scores: Floats
    stages: Mapping[str, Stage] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.documents)

    def __iter__(self) -> Iterator[Hit]:
        for place, document in enumerate(self.documents):
            seen = {
                name: (int(stage.ranks[place]), float(stage.scores[place]))
                for name, stage in self.stages.items()
                if stage.ranks[place] > 0
            }
            yield Hit(document, place + 1, float(self.scores[place]), seen)

    def top(self, k: int) -> Ranking:
        """The first `k` documents, with what every stage thought of them."""
        stages = {name: Stage(s.ranks[:k], s.scores[:k]) for name, s in self.stages.items()}
        return Ranking(self.documents[:k], self.scores[:k], stages)


@dataclass(frozen=True, slots=True)
class Run:
    """Ranked documents for many queries: query id to `Ranking`, in the order asked."""

    name: str
    rankings: Mapping[str, Ranking]

    def __len__(self) -> int:
        return len(self.rankings)

    def __getitem__(self, query: str) -> Ranking:
        return self.rankings[query]

    def top(self, k: int) -> Run:
        """The same run, cut at rank `k`."""
        return Run(self.name, {query: ranking.top(k) for query, ranking in self.rankings.items()})


def as_run(name: str, scores: Mapping[str, Mapping[str, float]]) -> Run:
    """A run given as {query: {document: score}}, as TREC files are read: by score, then by id as trec_eval ties."""
    rankings = {}
    for query, found in scores.items():
        ordered = sorted(found, key=lambda document: (found[document], document), reverse=True)
        rankings[query] = Ranking(ordered, np.array([found[d] for d in ordered], dtype=np.float32))
    return Run(name, rankings)


Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""Judgments as evaluators want them: query id to {document id: grade}."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval."""

    low: float
    high: float
    confidence: float = 0.95

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of per-query scores over the same queries: `challenger` minus `baseline`.

    `p` is the two-sided sign-flip randomisation test's; `p_corrected` is Holm's over the family
    the comparison was made in; `detectable` is the difference that these many queries would show
    with 80 % power at 5 % (in units of the measure).
    """

    baseline: str
    challenger: str
    measure: str
    queries: int
    baseline_mean: float
    challenger_mean: float
    difference: float
    standard_error: float
    interval: Interval
    p: float
    p_corrected: float
    detectable: float

    @property
    def verdict(self) -> Literal["better", "worse", "no difference shown"]:
        """What the interval shows, after Holm's correction."""
        if self.p_corrected < 1 - self.interval.confidence:
            return "better" if self.difference > 0 else "worse"
        return "no difference shown"

    @property
    def sentence(self) -> str:
        """The comparison for people, in points (hundredths of the measure)."""
        low, high = 100 * self.interval.low, 100 * self.interval.high
        sure = (
            "more than chance explains"
            if self.p_corrected < 1 - self.interval.confidence
            else f"not beyond chance (these queries show differences from {100 * self.detectable:.1f} points)"
        )
        return (
            f"{self.measure} {self.challenger_mean:.3f} against {self.baseline_mean:.3f} for {self.baseline}, "
            f"{100 * self.difference:+.1f} points ({low:+.1f} to {high:+.1f}) on {self.queries:,} queries, {sure}."
        )

    def __str__(self) -> str:
        return (
            f"{self.challenger} against {self.baseline}: {self.measure} {self.challenger_mean:.3f} "
            f"({self.difference:+.3f}, {self.interval.low:+.3f} to {self.interval.high:+.3f}, "
            f"p = {self.p_corrected:.3g}), {self.verdict}; "
            f"{self.queries} queries can show {self.detectable:.3f}"
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One diagnostic: what was measured, how sure that is, how to read it, what it suggests."""

    id: str
    title: str
    value: float | None
    unit: str
    interval: Interval | None
    level: Level
    reading: str
    suggests: str = ""
    source: str = ""
    evidence: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings of one workspace; answers questions about them."""

    findings: tuple[Finding, ...]
    judged_by: str
    """`judgments`, or `stand-in queries` where the user brought none."""

    def __getitem__(self, id: str) -> Finding:
        for finding in self.findings:
            if finding.id == id:
                return finding
        raise KeyError(id)

    def value(self, id: str) -> float | None:
        """The value of a finding, None where it could not be measured."""
        return next((f.value for f in self.findings if f.id == id), None)

    def confirmed(self) -> tuple[Finding, ...]:
        """The findings whose level is confirmed."""
        return tuple(f for f in self.findings if f.level == "confirmed")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan; `expected` is in points of NDCG@10 (1 point = 0.01)."""

    treatment: str
    reason: str
    expected: str
    cost: str
    rule: str
    overrides: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order, and what not to do, each with its reason."""

    steps: tuple[Step, ...]
    avoid: tuple[Step, ...]
    effort: str
    judged_by: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipe with its scores and what became of it."""

    id: str
    treatment: str
    parent: str
    recipe: Json
    kept: bool
    reason: str
    comparison: Comparison | None
    detail: Json = field(default_factory=dict)


def to_json(record: Any) -> Json:
    """A record as plain JSON values; `from_json` reverses it for the records above."""
    return asdict(record)


def _interval(value: Json | None) -> Interval | None:
    return Interval(**value) if value else None


def comparison_from_json(value: Json | None) -> Comparison | None:
    """The `Comparison` that `to_json` wrote."""
    if not value:
        return None
    return Comparison(**{**value, "interval": Interval(**value["interval"])})


def diagnosis_from_json(value: Json) -> Diagnosis:
    """The `Diagnosis` that `to_json` wrote."""
    findings = (Finding(**{**f, "interval": _interval(f["interval"])}) for f in value["findings"])
    return Diagnosis(tuple(findings), value["judged_by"])


def plan_from_json(value: Json) -> Plan:
    """The `Plan` that `to_json` wrote."""
    steps = tuple(Step(**s) for s in value["steps"])
    avoid = tuple(Step(**s) for s in value["avoid"])
    return Plan(steps, avoid, value["effort"], value["judged_by"])


def candidate_from_json(value: Json) -> Candidate:
    """The `Candidate` that `to_json` wrote."""
    return Candidate(**{**value, "comparison": comparison_from_json(value["comparison"])})
