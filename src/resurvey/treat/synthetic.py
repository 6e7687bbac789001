"""Learning from synthetic queries beside judged ones (R54, R61): documents that nobody asked about teach, too.

Made from the corpus, and by a language model where one is configured; tried on the untouched search, which no
judgment has touched; drawn to look like real queries. Judged by judged queries alone, as everything is.
"""

from __future__ import annotations

from resurvey.llm import Cache, Chat, Prompt, endpoint_of
from resurvey.search import recipe
from resurvey.train.synthesis import Complete, Known, Order, synthesise
from resurvey.treat import school
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial

FEWEST = 20
"""Synthetic queries without which nothing is trained."""
SHARE = 1.0
"""Synthetic queries for every judged one, at most."""
MOST = 4000
INSTRUCTION = Prompt("synthetic 1", "You write search queries for passages of one collection. Answer with JSON alone.")


def synthetic(trial: Trial, state: State) -> Attempt | Nothing:
    """The dense branch under an encoder that learned from judged and synthetic queries."""
    reason = school.cannot(trial, state)
    if reason:
        return Nothing(reason)
    real = (*trial.surplus, *(trial.queries[place] for place in trial.training))
    untouched = recipe.fused([recipe.lexical(trial.depth), recipe.dense(trial.depth)], trial.depth)
    made = synthesise(
        trial.index.documents, trial.builder.node(untouched).search,
        Known(real, {query.id: trial.qrels[query.id] for query in real}),
        Order(min(MOST, round(SHARE * len(real))), language=trial.index.language, seed=trial.settings.integer("seed")),
        complete=_model(trial), progress=trial.progress,
    )  # fmt: skip
    if len(made.examples) < FEWEST:
        return Nothing(f"{len(made.examples)} synthetic queries passed, at least {FEWEST} are needed")
    found = school.attempt(trial, state, more=made.examples)
    if isinstance(found, Nothing):
        return found
    table = trial.artefacts.put(made.examples.dump())
    return Attempt(found.state, {**found.detail, "synthesis": made.log, "examples table": table})


def _model(trial: Trial) -> Complete | None:
    """The configured language model, from prompt to reply."""
    endpoint = endpoint_of(trial.settings)
    if endpoint is None:
        return None
    chat, seconds = Chat(endpoint, Cache(trial.builder.state) if trial.builder.state else None), trial.settings.number("llm_seconds")  # fmt: skip

    def complete(prompt: str) -> str:
        found = chat.ask_all(INSTRUCTION, [prompt], seconds)
        if found.texts[0] is None:
            raise TimeoutError(found.trouble)
        return found.texts[0]

    return complete
