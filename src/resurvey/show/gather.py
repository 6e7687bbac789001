"""Everything the report shows, as plain values, from what the stages wrote.

Measures nothing anew but intervals over scores that are there. Knows the workspace's files; knows nothing
about pages or pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from resurvey import __version__
from resurvey.data.collection import Collection
from resurvey.data.standin import stand_ins
from resurvey.diagnose.answer import bottleneck
from resurvey.diagnose.cures import cures
from resurvey.diagnose.elsewhere import elsewhere
from resurvey.evaluate.compare import compare, compare_all
from resurvey.evaluate.measures import Scores
from resurvey.promote.choose import UNTOUCHED, Ladder, read_ladder
from resurvey.promote.live import live, proof
from resurvey.search.corpus import current
from resurvey.search.snapshots import latest_like
from resurvey.show.advice import following, limits
from resurvey.show.examples import examples
from resurvey.show.findings import by_urgency
from resurvey.types import Comparison, Json, Qrels, diagnosis_from_json, to_json
from resurvey.workspace import Workspace, read_json

RANKS = (("first", 1, 1), ("2–3", 2, 3), ("4–10", 4, 10), ("11–20", 11, 20), ("21–100", 21, 10**9), ("not found", 0, 0))
"""Where the first right document stood: name, from rank, to rank."""
MAP, DOTS, ASKED = "map.json", 1500, 300
"""What `resurvey map` leaves, and how many of its passages and queries a still picture shows."""
SAID = {"base": "your encoder alone", "bm25": "word search", "rrf": "both, equal weights"}


def gather(workspace: Workspace) -> Json:
    """All facts of the report; equal files give equal facts.

    Raises:
        ResurveyError: when nothing was treated yet.
    """
    ladder = read_ladder(workspace)
    gate_file = workspace.root / "gate.json"
    gate = read_json(gate_file) if gate_file.exists() else None
    now, best = live(workspace), ladder.best_untouched
    manifest = read_json(workspace.data / "manifest.json")
    diagnosis = diagnosis_from_json(read_json(workspace.diagnosis)) if workspace.diagnosis.exists() else None
    shown = now.candidate if now and now.candidate != best.name else None
    scored = _scored(ladder, shown)
    compared = _compared(best, scored)
    against = compared[shown] if shown else None
    proved = proof(workspace)
    rungs = [to_json(ladder.registry.get(id)) for id in ladder.facts["candidates"]]
    facts: Json = {
        "version": __version__,
        "workspace": workspace.root.resolve().name,
        "data": {key: manifest[key] for key in ("documents", "queries", "judged", "runs", "statement")},
        "encoder": workspace.settings.text("model"),
        "judged_by": ladder.facts["judged_by"],
        "measure": ladder.facts["measure"],
        "live": now.candidate if now else None,
        "verdict": gate["sentence"] if gate else "Not promoted yet: resurvey run DIR.",
        "answer": to_json(bottleneck(diagnosis)) if diagnosis else None,
        "against": to_json(against) if against else None,
        "proof": to_json(proved) | {"sentence": proved.sentence} if proved else None,
        "gate": gate,
        "best_untouched": best.name,
        "selected_on": ladder.facts["selection_queries"],
        "gated_on": len(ladder.facts["gate_queries"]),
        "baselines": {name: ladder.gated(scores).mean for name, scores in ladder.baselines.items()},
        "rungs": rungs,
        "ladder": _ladder(ladder, scored, compared, now.candidate if now else ""),
        "slices": _slices(ladder, scored[shown] if shown else None, against),
        "ranks": _ranks(ladder, shown),
        "confidence": _confidence(ladder, shown or best.name),
        "findings": [to_json(f) for f in by_urgency(diagnosis)] if diagnosis else [],
        "elsewhere": elsewhere(diagnosis) if diagnosis else [],
        "cures": cures(diagnosis, rungs) if diagnosis else [],
        "plan": read_json(workspace.plan) if workspace.plan.exists() else None,
        "atlas": _atlas(workspace.reports / MAP),
        "test_reads": len(workspace.recorded("test read")),
    }
    facts["examples"] = _examples(workspace, ladder, shown)
    least = (
        against.detectable
        if against
        else _most_detectable(compared[name] for name in ladder.baselines if name in compared)
    )
    facts["limits"] = limits(ladder.facts, least, len(best.values), facts["slices"], workspace.settings)
    facts["next"] = following(facts["workspace"], facts, against)
    return facts


def _atlas(path: Path) -> Json | None:
    """A sample of the map that was drawn last; None where none was."""
    if not path.exists():
        return None
    found = read_json(path)
    passages, queries = found["passages"], found["queries"]
    some = slice(None, None, max(1, -(-len(passages["x"]) // DOTS)))
    hubs = [place for place, lists in enumerate(passages["hub"]) if lists]
    asked = range(0, len(queries["x"]), max(1, -(-len(queries["x"]) // ASKED)))

    def at(rows: Json, places: Iterable[int]) -> Json:
        chosen = list(places)
        return {axis: [rows[axis][place] for place in chosen] for axis in ("x", "y")}

    return {
        "x": passages["x"][some], "y": passages["y"][some], "passages": found["all"]["passages"],
        "hubs": at(passages, hubs), "words": {name: found["words"][name] for name in ("x", "y", "word")},
        "found": at(queries, (p for p in asked if queries["rank"][p])),
        "not found": at(queries, (p for p in asked if not queries["rank"][p])),
    }  # fmt: skip


def _scored(ladder: Ladder, shown: str | None) -> dict[str, Scores]:
    """The scores of everything that has some, on the queries that decide on promotion."""
    tried = [id for id in ladder.facts["candidates"] if ladder.registry.get(id).comparison]
    return {name: ladder.scores(name) for name in [*ladder.baselines, *tried, *([shown] if shown else [])]}


def _compared(best: Scores, scored: Mapping[str, Scores]) -> dict[str, Comparison]:
    """Everything that has scores against the best untouched pipeline, paired."""
    others = {name: scores for name, scores in scored.items() if name != best.name}
    return dict(zip(others, compare_all(best, list(others.values())), strict=True))


def _ladder(ladder: Ladder, scored: Mapping[str, Scores], compared: Mapping[str, Comparison], now: str) -> list[Json]:
    """Every pipeline with its gain over the best untouched one."""
    rows: list[Json] = []
    tried = [ladder.registry.get(id) for id in ladder.facts["candidates"]]
    for name in ladder.baselines:
        kind = "untouched" if name in UNTOUCHED else "your engine"
        says = SAID.get(name, "") if name in UNTOUCHED else _covered(ladder, name)
        rows.append(_row(name, says, kind, scored, compared))
    for candidate in tried:
        kind = "kept" if candidate.kept else "not kept" if candidate.comparison else "nothing to gain"
        rows.append(_row(candidate.id, candidate.detail.get("pipeline", candidate.reason), kind, scored, compared))
    return [row | {"live": row["name"] == now} for row in rows]


def _covered(ladder: Ladder, name: str) -> str:
    """How many of the deciding queries the user's own run answers at all."""
    ranked, asked = ladder.registry.ranked(name), ladder.facts["gate_queries"]
    found = sum(bool(ranked and ranked.top.get(query)) for query in asked)
    return (
        "your run" if found == len(asked) else f"your run covers {found} of {len(asked)} queries, the rest count as 0"
    )


def _row(name: str, says: str, kind: str, scored: Mapping[str, Scores], compared: Mapping[str, Comparison]) -> Json:
    mean = scored[name].mean if name in scored else None
    gain = _gain(compared[name]) if name in compared else None
    return {"name": name, "says": says, "kind": kind, "mean": mean, "gain": gain}


def _gain(comparison: Comparison) -> Json | None:
    """In points; None for a single query, which has no interval."""
    if comparison.queries < 2:
        return None
    return {
        "points": 100 * comparison.difference,
        "low": 100 * comparison.interval.low,
        "high": 100 * comparison.interval.high,
    }


def _slices(ladder: Ladder, after: Scores | None, against: Comparison | None) -> list[Json]:
    """Every slice before and after, with the interval of the difference; before alone where nothing new is live."""
    before = ladder.best_untouched
    named = {"all queries": before.queries, **ladder.facts["slices"]}
    rows = []
    for name, queries in named.items():
        part = _part(before, queries)
        row: Json = {"name": name, "queries": len(queries), "before": part.mean, "after": None, "gain": None}
        if after and against:
            new = _part(after, queries)
            row |= {"after": new.mean, "gain": _gain(against if queries == before.queries else compare(part, new))}
        rows.append(row)
    return rows


def _part(scores: Scores, queries: list[str] | tuple[str, ...]) -> Scores:
    return Scores(scores.name, scores.measure, tuple(queries), scores.of(queries))


def _ranks(ladder: Ladder, shown: str | None) -> Json:
    """For what is untouched and what is live, how many queries have their first right document where."""
    names = list(dict.fromkeys(["base", ladder.best_untouched.name, *([shown] if shown else [])]))
    asked = ladder.facts["gate_queries"]
    rows: Json = {}
    for name in names:
        ranked = ladder.registry.ranked(name)
        if ranked:
            first = np.array([ranked.first[query] for query in asked])
            rows[name] = {step: int(((first >= low) & (first <= high)).sum()) for step, low, high in RANKS}
    return rows


def _confidence(ladder: Ladder, name: str) -> Json | None:
    """What was fitted to what is shown, and how well it holds; None where nothing was."""
    found = ladder.facts.get("confidence", {}).get(name)
    return {"name": name, **found} if found else None


def _examples(workspace: Workspace, ladder: Ladder, shown: str | None) -> list[Json]:
    best = ladder.best_untouched
    was, now = ladder.registry.ranked(best.name), ladder.registry.ranked(shown or best.name)
    if was is None or now is None:
        return []
    collection = current(workspace)
    qrels, texts = _asked(workspace, ladder, collection)
    documents = {document.id: document for document in collection.documents}
    if not set(best.queries) <= set(texts):  # stand-ins of documents that have changed since
        return []
    asked = {query: texts[query] for query in best.queries}
    number = latest_like(workspace.index, ladder.facts["snapshot"])
    snapshot = read_json(workspace.index / "snapshots" / f"{number}.json")
    return examples(was, now, qrels, asked, documents, str(snapshot["language"]))


def _asked(workspace: Workspace, ladder: Ladder, collection: Collection) -> tuple[Qrels, Mapping[str, str]]:
    """Judgments and texts of the queries that were tried: the user's, or the stand-ins made again."""
    if ladder.facts["judged_by"] == "judgments":
        return collection.merged("train", "dev"), {query.id: query.text for query in collection.queries.values()}
    settings = workspace.settings
    made = stand_ins(collection.documents, settings.integer("standin_queries"), settings.integer("seed"))
    qrels = {query.id: {wanted: 1} for query, wanted in zip(made.queries, made.wanted, strict=True)}
    return qrels, {query.id: query.text for query in made.queries}


def _most_detectable(compared: Iterable[Comparison]) -> float:
    return max((found.detectable for found in compared if np.isfinite(found.detectable)), default=0.0)
