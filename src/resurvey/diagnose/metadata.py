"""Metadata (R20): does a field tell relevant documents from wrongly retrieved ones? Then a boost or a filter beats training.

A field's values are weighed on half of the queries and asked about on the other half, both ways round, so that a
field of many values cannot remember its judgments. Knows fields, judgments and a run; nothing about vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from resurvey.data.split import folds
from resurvey.diagnose.levels import band, finding
from resurvey.diagnose.signals import Taught, effects
from resurvey.evaluate.calibration import auc
from resurvey.evaluate.compare import interval
from resurvey.search.fields import Field, Fields
from resurvey.types import Bools, Doubles, Finding, Interval, Ints, Json, Qrels, Query, Run

TOP = 10
"""Retrieved documents that are wrong when they are not relevant."""
VALUES = 50
"""Different values of a text field, at most: more are names, not properties."""
LEAST = 20
"""Queries in which a field must be able to tell."""
OFTEN = 10
"""Times that a value must have been found wrongly, and never rightly, for a filter to leave it out."""
WORDED = ("text", "flag")
"""Kinds of fields that have values to name."""
PRIOR = 2.0
"""Documents of either kind that every value is thought to have had."""
SHOWN = 3
ID = "R20-metadata"


@dataclass(frozen=True, slots=True)
class _Case:
    """A query's relevant rows, and those wrongly among its first ten."""

    right: Ints
    wrong: Ints


def metadata_finding(
    run: Run, queries: Sequence[Query], qrels: Qrels, fields: Fields, rows: Mapping[str, int], *, seed: int, known: bool
) -> Finding:
    """R20: the field with the largest AUC of relevant against wrongly retrieved documents, out of fold.

    Args:
        rows: the row of every document id in `fields`.
    """
    cases = [_case(run, query, qrels, rows) for query in queries]
    side = folds(queries, 2, seed) if len(queries) > 1 else np.zeros(len(queries), dtype=np.int64)
    told: list[Json] = []
    for field in fields.values():
        values = _aucs(field, cases, side)
        if len(values) >= LEAST:
            around = interval(values)
            told.append({
                "field": field.name, "auc": float(values.mean()), "queries": len(values),
                "low": around.low, "high": around.high, "prefers": _prefers(field, cases),
            })  # fmt: skip
    told.sort(key=lambda row: -row["auc"])
    if not told:
        what = "Documents carry no fields" if not fields else f"No field has a value on both sides in {LEAST} queries"
        return Finding(ID, band(ID).title, None, "AUC", None, "unknown", f"{what}, so nothing can be told by them.")
    best = told[0]
    brought = _brought(fields[best["field"]], run, queries, qrels, rows, cases, side) if known else []
    reading = f"Of {len(told)} fields `{best['field']}` tells most: a relevant document outranks a wrongly retrieved one by it {100 * best['auc']:.0f} % of the time."
    if best["prefers"]:
        reading += f" Relevant ones are {best['prefers']}."
    reading += "".join(map(_said, brought))
    around = Interval(best["low"], best["high"])
    return finding(
        ID, best["auc"], around, reading, queries=best["queries"], of="queries that have the field on both sides",
        known=known, fields=told, effects=brought,
    )  # fmt: skip


def _brought(
    field: Field, run: Run, queries: Sequence[Query], qrels: Qrels, rows: Mapping[str, int], cases: Sequence[_Case], side: Ints
) -> list[Json]:  # fmt: skip
    """What the field brings as a boost and as a filter, and which values a filter would leave out."""
    taught = []
    for half in (0, 1):
        some = [case for case, s in zip(cases, side, strict=True) if s != half]
        taught.append(Taught(np.where(field.present, _scores(field, some), 0.0), _never(field, some)))
    found = effects(run, queries, qrels, rows, side, taught)
    always = taught[0].never & taught[1].never
    out = [field.shown(int(place)) for place in np.unique(field.level[always])] if field.kind in WORDED else []
    return [row | ({"values": out} if row["kind"] == "filter" else {}) for row in found]


def _never(field: Field, cases: Sequence[_Case]) -> Bools:
    """(documents,): whether a value was wrongly found `OFTEN` times and never relevant; numbers and dates have no such value."""
    if field.kind not in WORDED:
        return np.zeros(len(field.values), dtype=np.bool_)
    right, wrong = (np.bincount(field.level[rows], minlength=len(field.levels)) for rows in _both(field, cases))
    never = (right == 0) & (wrong >= OFTEN)
    return np.asarray(never[np.maximum(field.level, 0)] & field.present, dtype=np.bool_)


def _said(effect: Json) -> str:
    """A sentence of what it brings."""
    how = "As a boost it brings"
    if effect["kind"] == "filter":
        named = ", ".join(map(repr, effect["values"])) or "what was never right"
        how = f"Leaving out {named} brings"
    return f" {how} {effect['points']:+.1f} points of NDCG@10 ({effect['low']:+.1f} to {effect['high']:+.1f})."


def _case(run: Run, query: Query, qrels: Qrels, rows: Mapping[str, int]) -> _Case:
    relevant = {document for document, grade in qrels[query.id].items() if grade > 0 and document in rows}
    wrong = [d for d in run[query.id].documents[:TOP] if d not in relevant and d in rows]
    return _Case(np.array(sorted(rows[d] for d in relevant), dtype=np.int64), np.array([rows[d] for d in wrong], dtype=np.int64))  # fmt: skip


def _aucs(field: Field, cases: Sequence[_Case], side: Ints) -> Doubles:
    """One AUC a query that has the field on both sides, by what the other half's queries taught."""
    if field.kind in WORDED and not 2 <= len(field.levels) <= VALUES:
        return np.zeros(0)
    found = []
    for half in (0, 1):
        scores = _scores(field, [case for case, s in zip(cases, side, strict=True) if s != half])
        for case, s in zip(cases, side, strict=True):
            right, wrong = (rows[field.present[rows]] for rows in (case.right, case.wrong))
            if s == half and len(right) and len(wrong):
                found.append(auc(scores[right], scores[wrong]))
    return np.array(found)


def _scores(field: Field, cases: Sequence[_Case]) -> Doubles:
    """(documents,): how relevant a document's value makes it: log-odds of the value, or the value up or down."""
    right, wrong = _both(field, cases)
    if field.kind in WORDED:
        counts = [np.bincount(field.level[rows], minlength=len(field.levels)) + PRIOR for rows in (right, wrong)]
        odds = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
        return np.asarray(odds[np.maximum(field.level, 0)], dtype=np.float64)
    ranks = _ranks(field)
    up = len(right) > 0 and len(wrong) > 0 and ranks[right].mean() >= ranks[wrong].mean()
    return ranks if up else -ranks


def _ranks(field: Field) -> Doubles:
    """Numbers and dates by rank: units and outliers do not matter."""
    found = np.zeros(len(field.values))
    found[field.present] = rankdata(field.values[field.present].astype(np.float64))
    return found


def _both(field: Field, cases: Sequence[_Case]) -> tuple[Ints, Ints]:
    sides = []
    for rows in ([case.right for case in cases], [case.wrong for case in cases]):
        every = np.concatenate([*rows, np.zeros(0, dtype=np.int64)])
        here: Bools = field.present[every]
        sides.append(every[here])
    return sides[0], sides[1]


def _prefers(field: Field, cases: Sequence[_Case]) -> str:
    """What relevant documents have more often, in words."""
    scores = _scores(field, cases)
    if field.kind in WORDED:
        per = {
            place: float(scores[field.level == place][0]) for place in np.unique(field.level[field.present]).tolist()
        }
        best = [place for place in sorted(per, key=lambda place: -per[place])[:SHOWN] if per[place] > 0]
        return "more often " + ", ".join(f"{field.shown(place)!r}" for place in best) if best else ""
    high = scores is not None and _ranks(field)[field.present].argmax() == scores[field.present].argmax()
    return {True: {"date": "newer", "number": "higher"}, False: {"date": "older", "number": "lower"}}[bool(high)][
        field.kind
    ]
