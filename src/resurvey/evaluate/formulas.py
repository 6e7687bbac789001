"""The measures that are computed here, from the ranks of judged documents, equal to trec_eval's to rounding.

A row a measure: its names, whether it cuts the ranking, whether `(rel=2)` may raise what counts as relevant.
Whatever has no row goes to ir-measures. Definitions: trec_eval 9 (m_ndcg_cut.c, m_map_cut.c, m_P.c, m_recall.c,
m_recip_rank.c, m_success.c), Judged: ir-measures. Knows nothing about runs or files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from resurvey.evaluate.grades import ABSENT, Placed
from resurvey.types import Bools, Doubles, Ints

Formula: TypeAlias = Callable[[Placed, int, int], Doubles]
"""From (where judged documents stand, cut-off, least grade that is relevant) to (queries,) values."""
WHOLE = ABSENT - 1
"""The cut-off of a measure that looks at the whole ranking."""
NAME = re.compile(r"(\w+?)(?:\(rel=([1-9]\d{0,3})\))?(?:@([1-9]\d{0,8}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fast:
    """One measure, ready to be computed."""

    formula: Formula
    cut: int | None
    level: int

    def __call__(self, placed: Placed) -> Doubles:
        """The value of every query, (queries,)."""
        return self.formula(placed, self.cut or WHOLE, self.level)


def fast(measure: str) -> Fast | None:
    """The measure of a name such as `nDCG@10` or `P(rel=2)@5`; None where ir-measures has to compute it."""
    read = NAME.fullmatch(measure)
    row = ROWS.get(read[1]) if read else None
    if not read or not row:
        return None
    formula, cuts, graded = row
    if (read[2] and not graded) or cuts == ("never" if read[3] else "always"):
        return None
    return Fast(formula, int(read[3]) if read[3] else None, int(read[2] or 1))


def _ndcg(placed: Placed, cut: int, _: int) -> Doubles:
    """Normalised discounted cumulative gain, gain = grade (Järvelin and Kekäläinen, TOIS 2002); below 0 counts as 0."""
    gained, ideal = _gain(placed, placed.ranks, cut), _gain(placed, placed.grades.ideal, cut)
    return _share(gained, ideal)


def _gain(placed: Placed, ranks: Ints, cut: int) -> Doubles:
    counted = (ranks <= cut) & (placed.grades.grades > 0)
    gains = placed.grades.grades[counted] / np.log2(ranks[counted] + 1.0)
    return np.bincount(placed.grades.rows[counted], gains, len(placed.lengths)).astype(np.float64)


def _recall(placed: Placed, cut: int, level: int) -> Doubles:
    """Share of the relevant documents that are among the first `cut`."""
    return _share(_hits(placed, cut, level), placed.grades.relevant(level))


def _precision(placed: Placed, cut: int, level: int) -> Doubles:
    """Share of the first `cut` that is relevant; places that stay empty count as wrong."""
    return _hits(placed, cut, level) / cut


def _success(placed: Placed, cut: int, level: int) -> Doubles:
    """1 where a relevant document is among the first `cut`."""
    return np.minimum(_hits(placed, cut, level), 1.0)


def _reciprocal_rank(placed: Placed, cut: int, level: int) -> Doubles:
    """1 / rank of the first relevant document (Kantor and Voorhees, Information Retrieval 2000)."""
    counted = _counted(placed, cut, level)
    first = np.full(len(placed.lengths), np.inf)
    np.minimum.at(first, placed.grades.rows[counted], placed.ranks[counted].astype(np.float64))
    return np.asarray(1.0 / first)


def _average_precision(placed: Placed, cut: int, level: int) -> Doubles:
    """Mean over all relevant documents of the precision where each stands, 0 for those not among the first `cut`."""
    counted = _counted(placed, cut, level)
    rows, ranks = placed.grades.rows[counted], placed.ranks[counted]
    order = np.lexsort((ranks, rows))
    rows, ranks = rows[order], ranks[order]
    sizes = np.bincount(rows, minlength=len(placed.lengths))
    within = np.arange(len(rows)) - (np.cumsum(sizes) - sizes)[rows] + 1
    summed = np.bincount(rows, within / ranks, minlength=len(placed.lengths))
    return _share(summed, placed.grades.relevant(level))


def _judged(placed: Placed, cut: int, _: int) -> Doubles:
    """Share of the first `cut` documents, or of as many as there are, that somebody judged."""
    counted = placed.grades.rows[placed.alphabetical <= cut]
    return _share(np.bincount(counted, minlength=len(placed.lengths)), np.minimum(placed.lengths, cut))


def _counted(placed: Placed, cut: int, level: int) -> Bools:
    return np.asarray((placed.ranks <= cut) & (placed.grades.grades >= level))


def _hits(placed: Placed, cut: int, level: int) -> Ints:
    return np.bincount(placed.grades.rows[_counted(placed, cut, level)], minlength=len(placed.lengths))


def _share(part: Doubles | Ints, whole: Doubles | Ints) -> Doubles:
    """part / whole, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


Cuts: TypeAlias = Literal["always", "may", "never"]
ROWS: dict[str, tuple[Formula, Cuts, bool]] = {
    "nDCG": (_ndcg, "may", False),
    "NDCG": (_ndcg, "may", False),
    "R": (_recall, "always", True),
    "Recall": (_recall, "always", True),
    "P": (_precision, "always", True),
    "Precision": (_precision, "always", True),
    "Success": (_success, "always", True),
    "RR": (_reciprocal_rank, "never", True),
    "MRR": (_reciprocal_rank, "never", True),
    "AP": (_average_precision, "may", True),
    "MAP": (_average_precision, "may", True),
    "Judged": (_judged, "may", False),
}
"""Name to (formula, whether it has a cut-off, whether it takes `rel`). `RR@10` breaks ties its own way: ir-measures."""
