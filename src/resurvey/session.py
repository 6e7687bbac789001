"""A session: an opened workspace with the queries on which treatments are tried, built when first asked for.

Like the loop, it imports what it needs when it needs it. Knows where things are kept, nothing about the order of the
stages.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from resurvey.errors import ResurveyError
from resurvey.opened import Opened

if TYPE_CHECKING:
    from resurvey.data.standin import StandIns
    from resurvey.treat.trial import Trial

LEAST_JUDGED = 10
"""Fewer judged queries than this decide nothing; stand-ins serve instead."""


class Session(Opened):
    """An opened workspace, and the trial."""

    @functools.cached_property
    def standin(self) -> bool:
        """Whether queries made from the corpus must stand in for judged ones."""
        return len(self.collection.judged("train", "dev")) < LEAST_JUDGED

    @functools.cached_property
    def stand_ins(self) -> StandIns:
        """Known-item queries, and the corpus in which their documents have lost their heads.

        Raises:
            ResurveyError: when the corpus is too small to make any.
        """
        from resurvey.data.standin import stand_ins

        made = stand_ins(
            self.collection.documents, self.settings.integer("standin_queries"), self.settings.integer("seed")
        )
        if len(made.queries) < LEAST_JUDGED:
            raise ResurveyError(
                f"no judgments were brought, and {len(self.collection.documents)} documents give only {len(made.queries)} known-item queries (at least {LEAST_JUDGED} are needed)",
                "bring judgments (resurvey init NEW_DIR --corpus … --queries … --judgments …)",
            )
        return made

    @functools.cached_property
    def trial(self) -> Trial:
        """The queries on which treatments are tried: judged ones, or stand-ins."""
        from resurvey.search.builder import Builder
        from resurvey.search.index import open_index
        from resurvey.treat.trial import judged_trial, standin_trial

        if self.standin:
            made = self.stand_ins
            folder = self.workspace.index / "standin"
            index = open_index(folder, made.documents, self.encoder, self.settings, self.workspace.index / "vectors")
            index.progress = self.progress
            qrels = {query.id: {wanted: 1} for query, wanted in zip(made.queries, made.wanted, strict=True)}
            builder = Builder(index, self.workspace.artefacts, self.adapted, self.workspace.root / "state.db")
            trial = standin_trial(made.queries, qrels, made.groups, builder, self.settings)
        else:
            trial = judged_trial(self.collection, self.builder, self.settings)
        trial.progress = self.progress
        return trial


def base_key(session: Session) -> str:
    """Key of everything that rests on the data and the encoder alone.

    An endpoint is asked whether it is still the encoder it was.
    """
    from resurvey.search.encode import source_digest

    workspace = session.workspace
    source = source_digest(workspace.settings.text("model")) if session.weights else session.encoder.fingerprint
    return workspace.key(workspace.data_key(), source)
