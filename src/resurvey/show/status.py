"""Status: one screen about a workspace, from its manifests alone.

Reads no data and loads no model.
"""

from __future__ import annotations

from resurvey.llm import Cache
from resurvey.promote.live import live
from resurvey.promote.registry import Registry
from resurvey.types import Json
from resurvey.workspace import HEAD, Workspace, read_json

STAGES = ("diagnose", "decide", "treat", "promote", "report")


def status(workspace: Workspace) -> Json:
    """What was brought, which stages ran, what is live, what to do next."""
    manifest = read_json(workspace.data / "manifest.json")
    judged = (
        ", ".join(f"{count} {split}" for split, count in manifest["judged"].items()) or "none; stand-in queries serve"
    )
    if manifest["judged"] and workspace.diagnosis.exists():
        by = read_json(workspace.diagnosis)["judged_by"]
        judged += "" if by == "judgments" else f"; too few to judge by, {by} serve"
    done = {stage: workspace.manifest(stage) for stage in STAGES}
    ran = [f"{stage} ({found['seconds']:.0f} s)" for stage, found in done.items() if found]
    candidates = Registry(workspace).all()
    now = live(workspace)
    head = read_json(workspace.index / HEAD) if (workspace.index / HEAD).exists() else None
    facts: Json = {
        "workspace": str(workspace.root),
        "documents": head["documents"] if head else manifest["documents"],
        "queries": manifest["queries"],
        "judged queries": judged,
        "runs brought": ", ".join(manifest["runs"]) or "none",
        "encoder": workspace.settings.text("model"),
        "stages done": ", ".join(ran) or "none",
        "candidates": f"{len(candidates)}, {sum(c.kept for c in candidates)} kept",
        "live": f"{now.candidate}, snapshot {now.snapshot}" if now else "nothing yet",
    }
    if url := workspace.settings.text("endpoint_url"):
        facts["encoder"] += f" at {url}"
    if workspace.settings.text("precision") == "int8" and (refused := workspace.recorded("int8 refused")):
        facts["encoder"] += f", in float32: int8 was refused ({refused[-1]['why']})"
    if graphs := _graphs(workspace):
        facts["vector search"] = graphs
    if (found := Cache(workspace.root / "state.db").hit_rate()) is not None:
        facts["language model"] = f"{100 * found:.0f} % of its answers were there from before"
    gate = workspace.root / "gate.json"
    if gate.exists() and now and (verdict := read_json(gate))["live"] == now.candidate:
        facts["verdict"] = verdict["sentence"]
    following = next((stage for stage, found in done.items() if not found), None)
    step = (
        f"resurvey run {workspace.root}"
        if following
        else f'open {workspace.reports / "report.html"}, or resurvey search {workspace.root} "…"'
    )
    return {"facts": facts, "next": step}


def _graphs(workspace: Workspace) -> str:
    """What the notes of vector graphs say; nothing where all vectors are searched exactly, as small corpora are."""
    notes = {
        path.stem.rpartition("-")[0]: read_json(path) for path in sorted((workspace.index / "derived").glob("*.json"))
    }
    told = {
        name: f"exact, since {note['refused']}" if note["refused"] else f"a graph, recall@100 {note['recall']:.3f}"
        for name, note in notes.items()
    }
    return "; ".join(f"{name}: {what}" for name, what in told.items())
