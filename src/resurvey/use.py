"""Using what the loop made: rank queries, search once, evaluate held out or on the test side.

Knows recipes and collections; makes and changes no candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resurvey.data.lines import Problems
from resurvey.data.read import read_queries
from resurvey.errors import Problem, ResurveyError
from resurvey.evaluate.compare import compare_all, holm
from resurvey.evaluate.measures import MEASURES, Scores, score, score_mapping
from resurvey.opened import Opened
from resurvey.promote.choose import UNTOUCHED, Ladder, read_ladder
from resurvey.promote.live import live, meant_by
from resurvey.promote.registry import Registry
from resurvey.protocols import Retriever
from resurvey.search.collapse import Collapsed
from resurvey.search.conditions import mask
from resurvey.search.confidence import Assessor, Confidence, limits_of, load_calibration
from resurvey.search.filters import parse
from resurvey.search.recipe import filtered, node_key, recipe, untouched
from resurvey.types import Comparison, Hit, Json, Query, Ranking, Run, to_json
from resurvey.workspace import Workspace, read_json, write_bytes

BLOCK = 256


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A table of measures by pipeline, and each pipeline against the first one."""

    split: str
    queries: int
    means: dict[str, dict[str, float]]
    comparisons: tuple[Comparison, ...]
    reads: int
    """How often the test side has been read, this time included; 0 for held-out scores."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, and what can be said of it."""

    candidate: str
    hits: tuple[Hit, ...]
    confidence: Confidence
    """Its probabilities are those of `hits`."""
    withheld: int
    """Hits that were left out because they are not probable enough."""

    @property
    def claims(self) -> tuple[str, ...]:
        """What is said of the answer, in words."""
        silent = "Nothing here is relevant with the probability that was asked for."
        return (*self.confidence.claims, *((silent,) if self.withheld and not self.hits else ()))


def recipe_of(session: Opened, name: str) -> tuple[str, Json]:
    """The id and recipe behind `live`, `base`, `bm25`, `rrf`, a number or an id.

    Raises:
        ResurveyError: when there is no such candidate, or it has no recipe.
    """
    name = meant_by(session.workspace, name)
    if name == "live":
        raise ResurveyError(
            [Problem(str(session.workspace.root), "nothing is live yet")],
            f"resurvey run {session.workspace.root}, or --candidate base",
        )
    if name in UNTOUCHED:
        made = recipe(untouched(session.settings.integer("depth"))[name], session.encoder)
        return name, made | _fitted(session.workspace, name)
    candidate = Registry(session.workspace).get(name)
    if not candidate.recipe:
        raise ResurveyError(
            [Problem(candidate.id, f"has no recipe: {candidate.reason}")], "resurvey status DIR names the candidates"
        )
    return candidate.id, candidate.recipe


def retriever_of(session: Opened, name: str) -> tuple[str, Retriever]:
    """The id and the built retriever of a candidate."""
    id, made = recipe_of(session, name)
    return id, session.builder.recipe(made)


def rank(session: Opened, queries: Path, output: Path, name: str, k: int) -> tuple[str, int]:
    """Write a TREC run over document ids for a file of queries; returns (candidate id, queries ranked)."""
    if output.is_dir():
        raise ResurveyError(
            [Problem(str(output), "is a folder, and --output names a file")], f"--output {output}/run.trec"
        )
    problems = Problems()
    asked = list(read_queries(queries, problems).values())
    if not asked and not problems.found:
        problems.add(queries, 0, "holds no query")
    problems.stop("mend the file, then the same command again")
    id, run = run_file(session, asked, name, k)
    write_bytes(output, run)
    return id, len(asked)


def run_file(session: Opened, queries: Sequence[Query], name: str, k: int) -> tuple[str, bytes]:
    """The id of a candidate, and the bytes of its TREC run: the `k` best documents of every query."""
    id, retriever = retriever_of(session, name)
    lines: list[str] = []
    for query, ranking in search_all(session, retriever, queries).rankings.items():
        hits = zip(ranking.documents[:k], ranking.scores[:k], strict=True)
        lines += [
            f"{query} Q0 {document} {place} {score:.9g} {id}" for place, (document, score) in enumerate(hits, start=1)
        ]
    return id, ("\n".join(lines) + "\n").encode("utf-8")


def search_all(session: Opened, retriever: Retriever, queries: Sequence[Query]) -> Run:
    """Search in blocks, with progress."""
    session.index.vectors.vectors([query.text for query in queries], "query", session.progress)
    rankings: dict[str, Ranking] = {}
    for start in range(0, len(queries), BLOCK):
        session.progress("searching", start, len(queries))
        rankings.update(retriever.search(queries[start : start + BLOCK]).rankings)
    return Run(retriever.name, rankings)


def _fitted(workspace: Workspace, name: str) -> Json:
    """What the ladder fitted to an untouched pipeline, as a part of its recipe; nothing before there is a ladder."""
    path = workspace.candidates / "ladder.json"
    found = read_json(path).get("confidence", {}).get(name, {}) if path.exists() else {}
    return {"confidence": found["artefact"]} if "artefact" in found else {}


def assessor_of(session: Opened, made: Json) -> Assessor:
    """What can be said of a recipe's answers: what was fitted to it, if this is still what it was fitted to."""
    reference = made.get("confidence", "")
    found = load_calibration(session.workspace.artefacts.get(reference)) if reference else None
    if found is not None and found.recipe != node_key(made["root"]):
        found = None
    return Assessor(found, session.index, limits_of(session.settings))


def search(session: Opened, text: str, name: str, k: int, where: str = "", min_confidence: float = 0.0) -> Found:
    """The `k` best documents for one query, among those that pass a filter (`search/filters.py`).

    Args:
        min_confidence: hits that are relevant with a lower probability are left out, all of them if need be.

    Raises:
        ResurveyError: when the query is empty, the filter cannot be read or names what no document has, or there are
            no probabilities to be confident by.
    """
    if not text.strip():
        raise ResurveyError("the query is empty", 'resurvey search DIR "some words"')
    id, made = recipe_of(session, name)
    query = Query("q", text)
    whole = session.builder.recipe(made).search([query])["q"]
    ranking = whole if not where else session.builder.node(filtered(made["root"], where)).search([query])["q"]
    ranking = ranking.top(k)
    confidence = assessor_of(session, made).assess(query, whole, ranking.documents)
    kept = confidence.kept(min_confidence)
    hits = list(ranking)
    return Found(id, tuple(hits[place] for place in kept), confidence.at(kept), len(hits) - len(kept))


def twins(session: Opened, name: str, documents: Sequence[str], where: str = "") -> dict[str, list[str]]:
    """Near-duplicates that a pipeline leaves out beside the documents it shows; only those that pass the filter."""
    node = recipe_of(session, name)[1]["root"]
    while node["stage"] != "collapsed":
        if "input" not in node:
            return {}
        node = node["input"]
    collapsed = session.builder.node(node)
    assert isinstance(collapsed, Collapsed)
    passes = mask(parse(where), session.builder.fields) if where else None
    rows = session.index.rows
    found = {d: [t for t in collapsed.twins(d) if t in rows and (passes is None or passes[rows[t]])] for d in documents}
    return {document: others for document, others in found.items() if others}


def evaluate(session: Opened, names: Sequence[str], split: str) -> Evaluated:
    """Measures with intervals: held-out scores of what was tried, or a counted read of the test side."""
    return _on_test(session, names) if split == "test" else _held_out(session, names)


def _held_out(session: Opened, names: Sequence[str]) -> Evaluated:
    """Nothing is searched again: a fitted candidate may not be scored on what it was fitted on."""
    ladder = read_ladder(session.workspace)
    asked = [_id(session, ladder, name) for name in names] or _scored(ladder.registry, ladder.facts["candidates"])
    ids = [ladder.best_untouched.name, *ladder.baselines, *asked]
    scores = [ladder.scores(id) for id in dict.fromkeys(ids)]
    measure = ladder.facts["measure"]
    comparisons = holm(compare_all(scores[0], scores[1:], confidence=session.settings.number("confidence")))
    return Evaluated(
        "held out", len(scores[0].values), {s.name: {measure: s.mean} for s in scores}, tuple(comparisons), 0
    )


def _id(session: Opened, ladder: Ladder, name: str) -> str:
    name = meant_by(session.workspace, name)
    return name if name in ladder.baselines else ladder.registry.get(name).id


def _scored(registry: Registry, ids: Sequence[str]) -> list[str]:
    return [id for id in ids if registry.scores(id)]


def _on_test(session: Opened, names: Sequence[str]) -> Evaluated:
    queries = session.collection.judged("test")
    if not queries:
        raise ResurveyError(
            [Problem(str(session.workspace.root), "has no judged test queries")],
            "bring a test split, or evaluate without --split test",
        )
    qrels = {query.id: session.collection.qrels["test"][query.id] for query in queries}
    measure = session.settings.text("measure")
    wanted = list(dict.fromkeys([measure, *MEASURES]))
    session.workspace.record("test read", queries=len(queries), asked=list(names))  # first: a killed read was one too
    found: dict[str, dict[str, Scores]] = {}
    for name, run in session.collection.runs.items():
        if set(run) & set(qrels):
            found[name] = score_mapping(name, run, qrels, wanted)
    against_name = reference(session.workspace)
    default = [*UNTOUCHED, *(["live"] if live(session.workspace) else [])]
    for name in (*([against_name] if against_name not in found else []), *(names or default)):
        id, retriever = retriever_of(session, name)
        if id not in found:
            found[id] = score(search_all(session, retriever, queries), qrels, wanted)
    renamed = {id: Scores(id, measure, s[measure].queries, s[measure].values) for id, s in found.items()}
    against, confidence = renamed.pop(against_name), session.settings.number("confidence")
    comparisons = holm(compare_all(against, list(renamed.values()), confidence=confidence))
    means = {id: {m: s.mean for m, s in scores.items()} for id, scores in found.items()}
    session.workspace.record("test numbers", means=means, comparisons=[to_json(c) for c in comparisons])
    return Evaluated("test", len(queries), means, tuple(comparisons), len(session.workspace.recorded("test read")))


def reference(workspace: Workspace) -> str:
    """What everything is held against: the best untouched pipeline by held-out scores, dense search before any."""
    if not (workspace.candidates / "ladder.json").exists():
        return UNTOUCHED[0]
    return read_ladder(workspace).best_untouched.name
