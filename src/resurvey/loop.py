"""The story on one page: data, diagnose, decide, treat, promote, report.

Each stage reads what the stages before it left in the workspace, writes its own, and is skipped
while it is current. Someone who reads only this file knows what the product does; how a stage does
it is its own folder's affair. Stages import what they need when they run, so that a command that
finds everything current starts in no time.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resurvey.errors import Problem, PromotionRefusedError, ResurveyError
from resurvey.types import (
    Candidate,
    Diagnosis,
    Json,
    Plan,
    diagnosis_from_json,
    plan_from_json,
    to_json,
)
from resurvey.workspace import Workspace, create, file_digest, read_json, sync, sync_tree, write_bytes, write_json

if TYPE_CHECKING:
    from resurvey.data.read import Sources
    from resurvey.promote.registry import Registry
    from resurvey.session import Session


@dataclass(frozen=True, slots=True)
class Result:
    """What the main job ended with."""

    live: str
    sentence: str
    report: Path


def init(root: Path, sources: Sources, values: Mapping[str, str | int | float], split_by: str = "") -> Json:
    """Bring data in: read and validate all of it, then make the workspace in one move.

    Raises:
        ResurveyError: with every problem of every file; then nothing was made.
    """
    from resurvey import settings
    from resurvey.data import collection, read

    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ResurveyError(
            [Problem(str(root), "is there already and is not empty")],
            f"name a new folder, or go on with: resurvey run {root}",
        )
    brought = read.read(sources)
    collected = collection.collect(brought, int(values.get("seed", 13)), split_by)
    root = root.resolve()
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.with_name(f".{root.name}.{uuid.uuid4().hex[:8]}")  # known before it is there: Ctrl-C leaves nothing
    try:
        partial.mkdir()
        manifest = collection.save(collected, partial / "data", sources)
        write_bytes(partial / settings.FILE, settings.render(values).encode("utf-8"))
        settings.load(partial / settings.FILE)
        create(partial).record("init", sources=manifest["sources"])
        sync_tree(partial)
        if root.exists():
            root.rmdir()
        partial.rename(root)
        sync(root.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return manifest


def run(session: Session, effort: str) -> Result:
    """The main job: diagnose, decide, treat, promote, report; what is current is not done again."""
    diagnose(session)
    decide(session, effort)
    treat(session, effort)
    live, sentence = promote_best(session)
    return Result(live, sentence, report(session))


def diagnose(session: Session) -> Diagnosis:
    """Is the map wrong, and how: writes `diagnosis.json`."""
    from resurvey.session import base_key

    workspace = session.workspace
    with _stage(workspace, "diagnose", base_key(session), workspace.diagnosis) as stale:
        if stale:
            from resurvey.diagnose import levels
            from resurvey.diagnose.examine import Patient, examine
            from resurvey.search.recipe import BASE, LEXICAL, RRF, untouched

            own = levels.parse(session.settings.names("thresholds"))
            session.progress("Diagnosing", 0, 1)
            trial = session.trial
            runs = {name: trial.run(node) for name, node in untouched(trial.depth).items()}
            named = {"dense": runs[BASE], "lexical": runs[LEXICAL], "fused": runs[RRF]}
            settings = session.settings
            patient = Patient(
                trial.index, trial.queries, trial.qrels, named, trial.standin, settings.integer("seed"),
                terms=settings.names("terms"),
            )  # fmt: skip
            with levels.using(own):
                write_json(workspace.diagnosis, to_json(examine(patient, session.progress)))
    return diagnosis_from_json(read_json(workspace.diagnosis))


def decide(session: Session, effort: str) -> Plan:
    """What to do about it, in order: writes `plan.json`."""
    workspace = session.workspace
    diagnosis = diagnose(session)
    key = workspace.key(file_digest(workspace.diagnosis), effort)
    with _stage(workspace, "decide", key, workspace.plan) as stale:
        if stale:
            from resurvey.decide.plan import decide as plan
            from resurvey.decide.rules import Facts
            from resurvey.treat.catalog import available

            parts = session.trial.index.cut
            judged = 0 if session.standin else len(session.trial.training)
            index, settings = session.trial.index, session.settings
            facts = Facts(
                diagnosis, len(index.documents), len(parts.passages), parts.long_documents, judged,
                asked_again=session.trial.memory.asked_again,
                surplus=len(session.trial.surplus),
                weights=session.weights,
                fields=len({name for document in index.documents for name in document.metadata}),
                reranker=bool(settings.text("reranker")),
                encoders=len(settings.names("encoders")),
                teacher=bool(settings.text("teacher") or settings.text("reranker")),
            )  # fmt: skip
            names = [row.name for row in available(effort)]
            write_json(workspace.plan, to_json(plan(facts, effort, names)))
    return plan_from_json(read_json(workspace.plan))


def treat(session: Session, effort: str, steps: Sequence[str] = ()) -> list[Candidate]:
    """Climb the ladder: try the plan's steps (or those named), measure each, keep what helps."""
    workspace = session.workspace
    plan = decide(session, effort)
    chosen = list(steps) or [step.treatment for step in plan.steps]
    key = workspace.key(workspace.documents_key(), file_digest(workspace.plan), *chosen)
    from resurvey.promote.registry import Registry

    registry = Registry(workspace)
    ladder = workspace.candidates / "ladder.json"
    with _stage(workspace, "treat", key, ladder) as stale:
        if stale:
            session.progress("Treating", 0, 1)
            registry.clear_unfinished(key)
            write_json(ladder, _climb(session, registry, chosen, key))
    return [registry.get(id) for id in read_json(ladder)["candidates"]]


def promote_best(session: Session) -> tuple[str, str]:
    """Hold the ladder against the best untouched pipeline; make live what passes the gate."""
    from resurvey.promote.choose import best_that_passes
    from resurvey.promote.live import live, over, switch

    workspace = session.workspace
    outcome = workspace.root / "gate.json"
    key = workspace.key(file_digest(workspace.candidates / "ladder.json"))
    with _stage(workspace, "promote", key, outcome) as stale:
        if stale:
            choice = best_that_passes(workspace)
            if choice.live is not None:
                switch(workspace, over(workspace, choice.live.candidate, choice.live.snapshot), "run")
            write_json(outcome, choice.facts)
    now = live(workspace)
    return (now.candidate if now else ""), read_json(outcome)["sentence"]


def promote(session: Session, name: str) -> str:
    """Make one candidate live, if it passes the gate.

    Raises:
        PromotionRefusedError: with the gate's reasons.
    """
    from resurvey.promote.choose import gate_one
    from resurvey.promote.live import over, switch

    id, refusals = gate_one(session.workspace, name)
    if refusals:
        raise PromotionRefusedError(
            [Problem(id, reason) for reason in refusals],
            f"resurvey report {session.workspace.root} shows what was measured",
        )
    ladder = read_json(session.workspace.candidates / "ladder.json")
    switch(session.workspace, over(session.workspace, id, ladder["snapshot"]), "promote")
    return id


def report(session: Session) -> Path:
    """The report: one self-contained page, the same as JSON, and pictures for slides, below `reports/`."""
    workspace = session.workspace
    page, facts = workspace.reports / "report.html", workspace.reports / "report.json"
    inputs = [
        path
        for path in (
            workspace.diagnosis,
            workspace.plan,
            workspace.candidates / "ladder.json",
            workspace.root / "gate.json",
            workspace.live,
            workspace.reports / "map.json",
        )
        if path.exists()
    ]
    reads = str(len(workspace.recorded("test numbers")))
    key = workspace.key(workspace.data_key(), reads, *map(file_digest, inputs))
    with _stage(workspace, "report", key, page, facts) as stale:
        if stale:
            from resurvey.show.gather import gather
            from resurvey.show.report import render, slides

            session.progress("Reporting", 0, 1)
            found = gather(workspace)
            write_json(facts, found)
            for name, picture in slides(found).items():
                write_bytes(workspace.reports / "figures" / f"{name}.png", picture)
            write_bytes(page, render(found).encode("utf-8"))
    return page


def _climb(session: Session, registry: Registry, steps: Sequence[str], key: str) -> Json:
    """Try the steps one after another; every rung becomes a candidate. Returns what `ladder.json` says."""
    from resurvey.followup import followed
    from resurvey.promote.registry import ranked
    from resurvey.search.recipe import BASE, recipe
    from resurvey.treat import ladder, school
    from resurvey.treat.catalog import row
    from resurvey.treat.confidence import calibrate

    trial = session.trial
    rows = [row(step) for step in steps]
    untouched = ladder.baselines(trial, session.collection.runs)
    judged = {query.id: trial.qrels[query.id] for query in trial.queries}
    confidence = {found.name: calibrate(trial, found.root, found.run) for found in untouched if found.root}
    registry.keep_baselines(
        {found.name: found.scores for found in untouched},
        {found.name: ranked(found.run, judged) for found in untouched},
    )
    parent, accepted, ids = BASE, [], []
    number = registry.next_number()
    rungs = ladder.corrected(list(ladder.climb(trial, rows)))
    taken = followed(trial, rungs)
    for place, rung in enumerate(rungs):
        id = f"{number + place:04d}-{rung.row.name}"
        made = recipe(rung.root, trial.index.encoder) if rung.root else {}
        if rung.root and rung.run:
            confidence[id] = calibrate(trial, rung.root, rung.run)
            made["confidence"] = confidence[id]["artefact"]
        detail = rung.detail | ({"findings": taken[place]} if place in taken else {})
        candidate = Candidate(id, rung.row.name, parent, made, rung.kept, rung.reason, rung.comparison, detail)
        found = ranked(rung.run, judged) if rung.run else None
        measured = [scores for scores in (rung.scores, rung.recall) if scores]  # what selects comes first
        registry.add(candidate, {scores.measure: scores for scores in measured}, key, found)
        ids.append(id)
        if rung.kept:
            parent = id
            accepted.append(id)
    school.tidy(trial)
    return {
        "key": key,
        "judged_by": "stand-in queries" if trial.standin else "judgments",
        "measure": session.settings.text("measure"),
        "snapshot": session.index.store.snapshot.number,
        "selection_queries": len(trial.selection),
        "gate_queries": [trial.queries[place].id for place in trial.gate],
        "gate_apart": trial.gated_apart,
        "slices": {name: list(queries) for name, queries in trial.slices().items()},
        "baselines": {found.name: found.root for found in untouched},
        "confidence": confidence,
        "candidates": ids,
        "accepted": accepted,
    }


@contextlib.contextmanager
def _stage(workspace: Workspace, name: str, key: str, *outputs: Path) -> Iterator[bool]:
    """Whether the stage must run; what it wrote is declared current when it ended well."""
    if workspace.current(name, key):
        yield False
        return
    started = time.monotonic()
    yield True
    workspace.publish(name, key, outputs, time.monotonic() - started)
