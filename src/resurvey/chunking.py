"""Chunk sizes (R03): which size of passage finds the right documents best, on the user's own judged queries.

Every size is a cut of its own: its passages are embedded and their words indexed, so that both branches share them, and
what they find is scored by documents, where judgments are. Nothing changes until a size is adopted; then the next run
cuts anew, and finds the vectors there.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from resurvey.errors import Problem, ResurveyError
from resurvey.evaluate.compare import compare_all, holm
from resurvey.evaluate.measures import Scores, score
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.fuse import ReciprocalRank, fuse
from resurvey.search.index import open_index
from resurvey.session import LEAST_JUDGED, Session
from resurvey.settings import FILE, Settings, changed
from resurvey.types import Json, Qrels, Query, to_json
from resurvey.workspace import write_bytes

LEAST = 16
"""Tokens that a passage must be allowed to have."""
MOST_ASKED = 1000
"""Judged queries that are asked, drawn at random."""
HALVES = 3
"""Sizes compared when none are named: what the encoder reads, half of it, a quarter of it."""
ALIKE = 0.1
"""Share of the present size by which another must differ to be worth embedding."""
SURE = 0.05
BRANCHES = ("dense", "words", "both")
AGAINST = {"dense": "against present", "both": "both against present"}
"""Branches that are held against the present size; the first decides."""
SETTING = "passage_tokens"


def sizes_of(session: Session, named: Sequence[int]) -> list[int]:
    """The sizes to compare, ascending, the present one among them.

    Raises:
        ResurveyError: naming every size that no passage can have here.
    """
    most = session.encoder.max_tokens
    wrong = [Problem("--sizes", f"{size} must be from {LEAST} to the {most} tokens that {session.encoder.name} reads")
             for size in named if not LEAST <= size <= most]  # fmt: skip
    if wrong:
        raise ResurveyError(wrong, f"resurvey chunks {session.workspace.root}")
    present = _present(session)
    halved = (size for power in range(HALVES) if (size := most >> power) >= LEAST)
    chosen = named or [size for size in halved if abs(size - present) > ALIKE * present]
    return sorted({*chosen, present})


def _present(session: Session) -> int:
    """The size in use."""
    most = session.encoder.max_tokens
    return min(session.settings.integer(SETTING) or most, most)


def compare_sizes(session: Session, named: Sequence[int] = ()) -> Json:
    """Every size scored, each against the present one with a corrected interval, and the best if it is surely better.

    Raises:
        ResurveyError: for sizes that cannot be, or where too few queries are judged to compare anything.
    """
    judged = session.collection.judged("train", "dev")
    if len(judged) < LEAST_JUDGED:
        raise ResurveyError(
            [Problem(str(session.workspace.root), f"{len(judged)} judged queries are too few to compare sizes by")],
            "bring judged queries (resurvey init NEW_DIR --corpus … --queries … --judgments …)",
        )
    sizes, measure = sizes_of(session, named), session.settings.text("measure")
    rng = np.random.default_rng(session.settings.integer("seed"))
    chosen = np.sort(rng.permutation(len(judged))[:MOST_ASKED])
    queries, every = [judged[place] for place in chosen], session.collection.merged("train", "dev")
    qrels = {query.id: every[query.id] for query in queries}
    rows: dict[int, Json] = {}
    scores: dict[int, dict[str, Scores]] = {}
    for place, size in enumerate(sizes):
        session.progress("comparing sizes", place, len(sizes))
        rows[size], scores[size] = _measured(session, size, queries, qrels, measure)
    present, others = _present(session), [size for size in sizes if size != _present(session)]
    better: list[int] = []
    for branch, told in AGAINST.items():
        found = holm(compare_all(scores[present][branch], [scores[size][branch] for size in others]))
        for size, one in zip(others, found, strict=True):
            rows[size][told] = to_json(one)
        if branch == "dense":
            better = [s for s, one in zip(others, found, strict=True) if one.difference > 0 and one.p_corrected < SURE]
    best = max(better, key=lambda size: scores[size]["dense"].mean, default=None)
    return {"measure": measure, "queries": len(queries), "present": present, "sizes": list(rows.values()), "best": best}


def adopt(session: Session, facts: Json) -> bool:
    """Write the best size into the settings; whether there was a better one."""
    if facts["best"] is None:
        return False
    path = session.workspace.root / FILE
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    write_bytes(path, changed(text, SETTING, facts["best"]).encode())
    session.workspace.record("chunk size adopted", size=facts["best"], before=facts["present"])
    return True


def _measured(
    session: Session, size: int, queries: Sequence[Query], qrels: Qrels, measure: str
) -> tuple[Json, dict[str, Scores]]:
    """A size's passages, and the means of its branches; and their scores."""
    folder = session.workspace.index / "sizes" / str(size)
    given = Settings({**session.settings.values, SETTING: size})
    try:
        index = open_index(
            folder, session.collection.documents, session.encoder, given, session.workspace.index / "vectors"
        )
        index.progress = session.progress
        builder, depth = Builder(index, session.workspace.artefacts), session.settings.integer("depth")
        dense = builder.node(recipe.dense(depth)).search(queries)
        words = builder.node(recipe.lexical(depth)).search(queries)
        runs = dict(zip(BRANCHES, (dense, words, fuse([words, dense], ReciprocalRank(), depth)), strict=True))
        scored = {name: score(run, qrels, [measure])[measure] for name, run in runs.items()}
        facts: Json = {"size": size, "passages": len(index.owners), "longer": index.cut.long_documents}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    named = {name: replace(found, name=str(size)) for name, found in scored.items()}
    return {**facts, **{name: found.mean for name, found in scored.items()}}, named
