"""Near-duplicates collapsed (R05): of documents that say the same, the best-ranked one is shown.

Never of documents that anything tells apart: another title, another identifier, number or single letter
(R60: "5/16-18" is not "5/16-24"). How alike is alike enough is chosen out of fold. Judgments that name one
member of a cluster count against a collapse that shows another; what it brings if a cluster is as good as
its best member is said beside.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import replace

from resurvey.data.duplicates import Cluster, duplicates
from resurvey.evaluate.measures import score
from resurvey.search import recipe
from resurvey.search.analyse import identifiers
from resurvey.search.collapse import collapse, dump_clusters, numbered
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.trial import Trial
from resurvey.types import Document, Ints, Json, Qrels, Run

LIKENESS = (0.8, 0.9, 1.0)
"""Jaccard similarities of word triples that are tried."""
SHOWN = 5
"""Clusters named in the verdict."""
WORD = re.compile(r"\w+")
EDGES = ".,;:!?()[]{}<>\"'“”‘’`…"
ROMAN = re.compile(r"[ivx]+")


def duplicate_documents(trial: Trial, state: State) -> Attempt | Nothing:
    """The accepted pipeline with every cluster of near-duplicates as one."""
    if trial.standin:
        return Nothing("stand-in queries want one document each; they cannot tell whether its twin would do")
    language, documents = trial.index.language, trial.index.documents
    found = {
        like: duplicates(documents, lambda d: told_apart(d, language), like=like, progress=trial.progress)
        for like in LIKENESS
    }
    if not any(found.values()):
        return Nothing(f"no two of {len(documents):,} documents say the same under the same title and identifiers")
    runs = {like: collapse(state.run, numbered(_ids(clusters))) for like, clusters in found.items()}
    removed = {like: sum(map(len, state.run.rankings.values())) - sum(map(len, r.rankings.values())) for like, r in runs.items()}  # fmt: skip
    if not any(removed.values()):
        return Nothing(f"no query finds two members of one of {len(found[LIKENESS[0]])} clusters of near-duplicates")
    values = {like: trial.scores(run, "collapsed").values for like, run in runs.items()}

    def fit(places: Ints) -> float:
        return max(LIKENESS, key=lambda like: (round(float(values[like][places].mean()), 6), like))

    def predict(like: float, places: Ints) -> Run:
        return Run("collapsed", {trial.queries[p].id: runs[like][trial.queries[p].id] for p in places})

    run, like = trial.cross_fit(fit, predict)
    means = {f"{tried:g}": round(float(values[tried].mean()), 4) for tried in LIKENESS}
    if not removed[like]:
        scored = ", ".join(f"{mean:.4f} from {tried} on" for tried, mean in means.items())
        return Nothing(f"the queries ask for no collapse; documents as one by how alike they are score {scored}")
    clusters = found[like]
    node = recipe.collapsed(state.root, trial.artefacts.put(dump_clusters(_ids(clusters))))
    detail: Json = {
        "least alike": like,
        "means": means,
        "clusters": len(clusters),
        "documents in clusters": sum(len(cluster.documents) for cluster in clusters),
        "removed a query": round(removed[like] / max(1, len(trial.queries)), 2),
        "largest": [list(c.documents) for c in sorted(clusters, key=lambda c: -len(c.documents))[:SHOWN]],
        **best_member(trial, state.run, run, clusters),
    }
    return Attempt(replace(state, root=node, run=run), detail)


def told_apart(document: Document, language: str) -> Hashable:
    """What must be equal for two documents to be one: the words of their titles, and all that names things.

    Names are identifiers, whatever holds a digit or an inner sign, single letters and Roman numerals, in order.
    """
    pieces = [piece.strip(EDGES) for piece in document.full_text.casefold().split()]
    names = [p for p in pieces if any(map(str.isalnum, p)) and (not p.isalpha() or len(p) == 1 or ROMAN.fullmatch(p))]
    title = WORD.findall(document.title.casefold())
    return tuple(title), tuple(names), tuple(identifiers(document.full_text, language))


def best_member(trial: Trial, before: Run, after: Run, clusters: Sequence[Cluster]) -> Json:
    """Mean measure of both runs if every cluster is one document as good as its best member."""
    cluster = numbered(_ids(clusters))
    measure = trial.settings.text("measure")
    qrels: dict[str, dict[str, int]] = {}
    for query in trial.queries:
        grades: dict[str, int] = {}
        for document, grade in trial.qrels[query.id].items():
            name = _name(document, cluster)
            grades[name] = max(grade, grades.get(name, grade))
        qrels[query.id] = grades
    means = {name: _as_clusters(run, cluster, qrels, measure) for name, run in (("before", before), ("after", after))}
    return {f"{name}, judged by the best member": mean for name, mean in means.items()}


def _as_clusters(run: Run, cluster: dict[str, int], qrels: Qrels, measure: str) -> float:
    """The mean where the first member stands for its cluster and its twins are worth nothing."""
    rankings = {}
    for query, ranking in run.rankings.items():
        seen: set[str] = set()
        names = []
        for document in ranking.documents:
            name = _name(document, cluster)
            names.append(f"twin {document}" if name in seen else name)
            seen.add(name)
        rankings[query] = replace(ranking, documents=names)
    return round(score(Run(run.name, rankings), qrels, [measure])[measure].mean, 4)


def _name(document: str, cluster: dict[str, int]) -> str:
    return f"cluster {cluster[document]}" if document in cluster else f"document {document}"


def _ids(clusters: Sequence[Cluster]) -> list[tuple[str, ...]]:
    return [cluster.documents for cluster in clusters]
