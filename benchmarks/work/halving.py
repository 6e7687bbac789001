"""Findings over random halves of the judged queries: which levels each of them is given.

Needs a workspace; knows nothing about which collection it holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from resurvey.diagnose.examine import Patient, follow_up, rare
from resurvey.search.recipe import BASE, LEXICAL, RRF, untouched
from resurvey.session import Session
from resurvey.types import Level, Run
from resurvey.workspace import Workspace

HALVES = 20


def levels(root: Path) -> dict[str, Counter[Level]]:
    """For every finding that rests on queries or on random pairs, how often it has each level."""
    session = Session(Workspace.open(root))
    trial = session.trial
    runs = {name: trial.run(node) for name, node in untouched(trial.depth).items()}
    named = {"lexical": runs[LEXICAL], "dense": runs[BASE], "fused": runs[RRF]}
    queries = list(trial.queries)
    whole = Patient(
        trial.index, queries, trial.qrels, named, trial.standin, 0, rare=rare(trial.index, queries)
    )  # fmt: skip
    found: dict[str, Counter[Level]] = {}
    for half in range(HALVES):
        places = np.sort(np.random.default_rng(half).permutation(len(queries))[: len(queries) // 2])
        some = [queries[place] for place in places]
        cut = {name: Run(run.name, {query.id: run[query.id] for query in some}) for name, run in named.items()}
        for finding in follow_up(replace(whole, queries=some, runs=cut, seed=half), some):
            found.setdefault(finding.id, Counter())[finding.level] += 1
    return found
