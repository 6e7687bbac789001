"""One lexical and one dense branch, and the weight between them that a trial's queries ask for.

Shared by the treatments that change one of the branches.
"""

from __future__ import annotations

from resurvey.search import recipe
from resurvey.treat.trial import Trial
from resurvey.treat.weigh import BLIND, nearest, weight_table
from resurvey.types import Ints, Json

DENSE_ALONE = 0.9
LEXICAL_ALONE = 0.05


class Fusing:
    """Both branches searched, and every weight between them scored."""

    def __init__(self, trial: Trial, lexical: Json, dense: Json) -> None:
        self.trial = trial
        self.lexical = lexical
        self.dense = dense
        self.table = weight_table(trial.run(lexical), trial.run(dense), trial.qrels, trial.settings.text("measure"))

    def fit(self, places: Ints) -> float:
        """The dense branch's weight."""
        seed = self.trial.settings.integer("seed")
        if self.trial.standin:
            return self.table.standin_weight(places, self.trial.groups, seed, BLIND)
        return self.table.judged_weight(places, seed, BLIND)

    def node(self, weight: float) -> Json:
        """Both branches fused, or one alone where the other has next to no weight, which is also faster."""
        if weight >= DENSE_ALONE:
            return self.dense
        if weight <= LEXICAL_ALONE:
            return self.lexical
        weights = {"lexical": nearest(1 - weight), "dense": weight}
        return recipe.fused([self.lexical, self.dense], self.trial.depth, weights)
