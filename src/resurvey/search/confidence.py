"""Confidence: how probable it is that a hit is relevant, whether the corpus covers a query, whether the answer is there.

Three statements that are kept apart. A hit's probability, and that any of the first ten is relevant, were fitted on
held-out judgments of this very recipe; without judgments there is none, and the reason is said. "Not covered" asks
only whether the query is farther from the documents than one's own queries are, and needs no judgment. What was fitted to
another recipe is not used. Knows rankings and signs; knows nothing about how any of it was fitted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from resurvey.errors import Problem, ResurveyError
from resurvey.search.index import Index
from resurvey.search.logistic import Logistic, columns, load_logistic, sigmoid
from resurvey.search.signs import FIRST, QUERY, Facts, Words, of_hits, of_query
from resurvey.settings import Settings
from resurvey.types import Doubles, Json, Query, Ranking

FORMAT = 1
DIGITS = 5
DEEPEST = 100
"""Hits of a ranking that have a probability; those below were never among what it was fitted on."""
WHOLE = (*QUERY, "best hit", "any hit")
"""Names of the signs of a query and of what its hits amount to."""
UNFITTED = "nothing was fitted for this pipeline yet; `resurvey run` fits it"
UNJUDGED = "no judgments were brought, and without any a probability would be a guess"
OTHER = "the recipe has changed since the probabilities were fitted"


@dataclass(frozen=True, slots=True)
class Cover:
    """Signs of one's own held-out queries: where each lies, and how far from the documents they were."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    own: tuple[float, ...]
    """What `far` gave for them, ascending."""

    def far(self, signs: dict[str, float]) -> float:
        """How far a query is from the documents: squares of its signs' standard scores among one's own, where they are low.

        One-sided, since a query that the corpus covers better than most is no stranger.
        """
        rows = columns([signs], self.names)[0]
        scaled = (rows - np.array(self.means)) / np.array(self.spreads)
        return round(float((np.minimum(np.where(np.isnan(scaled), 0.0, scaled), 0.0) ** 2).sum()), DIGITS)

    def beyond(self, far: float) -> float:
        """Share of one's own queries that are at least as far from the documents."""
        return float(len(self.own) - np.searchsorted(np.array(self.own), far, "left")) / max(1, len(self.own))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted to one recipe; kept as an artefact."""

    recipe: str
    """Key of the recipe's tree."""
    stages: tuple[str, ...]
    """What a ranking of it carries; one that lacks a stage was answered without it."""
    queries: int
    cover: Cover
    hits: Logistic | None
    found: Logistic | None
    why: str = ""
    """Why there is no probability."""

    def dump(self) -> bytes:
        """As an artefact."""
        cover = {
            "names": self.cover.names,
            "means": self.cover.means,
            "spreads": self.cover.spreads,
            "own": self.cover.own,
        }
        value: Json = {
            "format": FORMAT, "recipe": self.recipe, "stages": self.stages, "queries": self.queries, "cover": cover, "why": self.why,
            "hits": self.hits.dump() if self.hits else None, "found": self.found.dump() if self.found else None,
        }  # fmt: skip
        return json.dumps(value).encode("utf-8")


def load_calibration(data: bytes) -> Calibration:
    """What `dump` wrote.

    Raises:
        ResurveyError: when another version wrote it.
    """
    value = json.loads(data)
    if value["format"] != FORMAT:
        raise ResurveyError(
            [Problem("confidence", f"has format {value['format']}, this resurvey reads {FORMAT}")], "resurvey run DIR"
        )
    cover = Cover(*(tuple(value["cover"][name]) for name in ("names", "means", "spreads", "own")))
    hits, answer = (load_logistic(value[name]) if value[name] else None for name in ("hits", "found"))
    return Calibration(value["recipe"], tuple(value["stages"]), value["queries"], cover, hits, answer, value["why"])


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is claimed."""

    not_covered: float = 0.02
    """Share of one's own queries that may be called not covered."""
    missing: float = 0.5
    """Probability that any of the first hits is relevant, below which the answer may be missing."""


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings name."""
    return Limits(settings.number("not_covered"), settings.number("may_be_missing"))


@dataclass(frozen=True, slots=True)
class Confidence:
    """What can be said of one answer."""

    probabilities: tuple[float | None, ...]
    """Of every hit, in order; None where nothing was fitted, or where the recipe itself would not return it."""
    found: float | None
    """Probability that any of the first ten hits of the recipe is relevant."""
    beyond: float | None
    """Share of one's own queries that are at least as far from the documents; None where nothing was fitted."""
    not_covered: bool
    may_be_missing: bool
    why: str = ""
    """Why there is no probability."""
    limits: Limits = field(default_factory=Limits)

    @property
    def claims(self) -> tuple[str, ...]:
        """What is claimed, in words; nothing where nothing is."""
        made = []
        if self.not_covered:
            made.append(
                f"Not covered: at most {100 * self.limits.not_covered:g} % of your own queries are as far from the documents as this one. These are the nearest there are."
            )
        if self.may_be_missing:
            made.append(
                f"The answer may be missing: that any of the first {FIRST} is relevant has a probability of {self.found:.2f}."
            )
        return tuple(made)

    def kept(self, least: float) -> tuple[int, ...]:
        """Places of the hits that are relevant with at least this probability; none is to abstain.

        Raises:
            ResurveyError: when there are no probabilities.
        """
        if least <= 0:
            return tuple(range(len(self.probabilities)))
        if self.why:
            raise ResurveyError([Problem("min_confidence", f"cannot be kept: {self.why}")], "leave min_confidence out")
        return tuple(place for place, one in enumerate(self.probabilities) if one is not None and one >= least)

    def at(self, places: Sequence[int]) -> Confidence:
        """The same about some of the hits."""
        return replace(self, probabilities=tuple(self.probabilities[place] for place in places))

    def to_json(self) -> Json:
        """As the API shows it; probabilities stand at the hits."""
        return {
            "found": rounded(self.found), "beyond": rounded(self.beyond), "not_covered": self.not_covered,
            "may_be_missing": self.may_be_missing, "claims": list(self.claims), "why": self.why or None,
        }  # fmt: skip


def rounded(probability: float | None) -> float | None:
    """As many digits as mean anything."""
    return None if probability is None else round(probability, 4)


class Assessor:
    """Judges the rankings of one recipe over one index."""

    def __init__(self, calibration: Calibration | None, index: Index, limits: Limits) -> None:
        self.calibration = calibration
        self.limits = limits
        self._words = Words(index)

    def signs(self, query: Query, ranking: Ranking) -> dict[str, float]:
        """The signs by which a query is found to be covered or not."""
        return of_query(ranking, self._words.facts(query))

    def assess(self, query: Query, ranking: Ranking, shown: Sequence[str] | None = None) -> Confidence:
        """What can be said of a query's answer.

        Args:
            ranking: the whole ranking that the recipe gives, without filters or boosts of this one search: what was
                fitted was fitted to those. It may be cut no shorter than ten hits.
            shown: documents to be shown, where a filter leaves others than the first; None shows all.
        """
        found = judged(self.calibration, ranking, self._words.facts(query), self.limits)
        if shown is None:
            return found
        known = dict(zip(ranking.documents, found.probabilities, strict=True))
        return replace(found, probabilities=tuple(known.get(document) for document in shown))


def judged(calibration: Calibration | None, ranking: Ranking, facts: Facts, limits: Limits | None = None) -> Confidence:
    """What a calibration says of a whole ranking, as its recipe returned it."""
    limits = limits or Limits()
    nothing: tuple[float | None, ...] = (None,) * len(ranking)
    if calibration is None:
        return Confidence(nothing, None, None, False, False, UNFITTED, limits)
    missing = [name for name in calibration.stages if name not in ranking.stages]
    if missing and len(ranking):
        why = f"answered without {', '.join(missing)}, on which the probabilities rest"
        return Confidence(nothing, None, None, False, False, why, limits)
    signs = of_query(ranking, facts)
    beyond = calibration.cover.beyond(calibration.cover.far(signs))
    uncovered = beyond <= limits.not_covered
    if calibration.hits is None or calibration.found is None:
        return Confidence(nothing, None, beyond, uncovered, False, calibration.why, limits)
    rows = of_hits(ranking, facts, DEEPEST)
    logits = calibration.hits.logits(rows)
    told = tuple(sigmoid(logits).tolist())
    found = found_of(calibration.found, signs, logits)
    return Confidence((*told, *nothing[len(told) :]), found, beyond, uncovered, found < limits.missing, "", limits)


def found_of(model: Logistic, signs: dict[str, float], logits: Doubles) -> float:
    """Probability that any of the first hits is relevant; never less than that of one of them."""
    if not len(logits):
        return 0.0
    said = float(model.probabilities(columns([whole(signs, logits)], WHOLE))[0])
    return max(said, float(sigmoid(logits[:FIRST]).max()))


def whole(signs: dict[str, float], logits: Doubles) -> dict[str, float]:
    """Signs of a ranking with what its hits' log-odds amount to: the best one's, and any one's if they were independent."""
    first = logits[:FIRST]
    if not len(first):
        return {**signs, "best hit": np.nan, "any hit": np.nan}
    none = np.log(np.maximum(sigmoid(-first), 1e-9)).sum()
    return {**signs, "best hit": float(first.max()), "any hit": float(np.log(np.expm1(np.maximum(-none, 1e-9))))}
