"""Passages: documents too long for the encoder, or long enough to blur, searched in parts (R03)."""

from __future__ import annotations

from dataclasses import replace

from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial


def passages(trial: Trial, state: State) -> Attempt | Nothing:
    """Dense search over passages instead of truncated documents; a document scores as its best one."""
    parts = trial.index.cut
    if len(parts.passages) == len(trial.index.documents):
        return Nothing(f"every document fits one passage of {trial.settings.integer('passage_tokens')} tokens")
    if state.root != state.dense:
        return Nothing("the dense branch is decided before others join it")
    node = {**state.dense, "view": "passages"}
    detail = {
        "passages": len(parts.passages),
        "long documents": parts.long_documents,
        "tokens lost uncut": parts.lost_tokens,
    }
    return Attempt(replace(state, root=node, run=trial.run(node), dense=node), detail)
