"""The ways in which a trial's queries can be worded anew, and a branch that searches the new wording.

Shared by the treatments that search rewritten queries.
"""

from __future__ import annotations

from resurvey.llm import endpoint_of
from resurvey.search import recipe
from resurvey.search.rewrite import PROMPT, Feedback, ShorthandWriter
from resurvey.search.shorthand import Expander, Shorthand, learn
from resurvey.treat.trial import Trial
from resurvey.types import Json, Run

LEAST = 5
"""Queries that a way must change."""


def shorthand(trial: Trial) -> Shorthand:
    """What the corpus calls short."""
    return learn(document.full_text for document in trial.index.documents)


def ways(trial: Trial) -> dict[str, Json]:
    """Who may rewrite here, by name: shorthand where queries hold some, first documents, a model where one is set.

    Raises:
        ResurveyError: when the settings name half of an endpoint.
    """
    found: dict[str, Json] = {}
    if (table := _heard(trial)) is not None:
        found["shorthand"] = {"kind": "shorthand", "table": trial.artefacts.put(table.dump())}
    rule = Feedback()
    found["feedback"] = {"kind": "feedback", "documents": rule.documents, "terms": rule.terms}
    endpoint = endpoint_of(trial.settings)
    if endpoint is not None:
        found["model"] = {
            "kind": "model",
            "url": endpoint.url,
            "model": endpoint.model,
            "key_env": endpoint.key_env,
            "prompt": PROMPT.version,
            "seconds": trial.settings.number("llm_seconds"),
        }
    return found


def branch(trial: Trial, first: Json, weight: float = 1.0) -> Json | None:
    """`first` searching queries with their shorthand written out, None where hardly any query holds some."""
    table = _heard(trial)
    if table is None:
        return None
    return recipe.rewritten(first, {"kind": "shorthand", "table": trial.artefacts.put(table.dump())}, weight)


def _heard(trial: Trial) -> Shorthand | None:
    """The corpus's shorthand, where at least LEAST queries use it."""
    table = shorthand(trial)
    writer = ShorthandWriter(Expander(table, trial.index.language))
    changed = sum(text is not None for text in writer.write(trial.queries, Run("", {})))
    return table if changed >= LEAST else None
