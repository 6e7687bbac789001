"""The report: one self-contained page and the same as JSON, from what the stages wrote.

No request leaves the page. Knows the workspace's files; measures nothing.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from resurvey import __version__
from resurvey.promote.choose import read_ladder
from resurvey.promote.live import live
from resurvey.types import Json, to_json
from resurvey.workspace import Workspace, read_json

TEMPLATE = "report.html"


def gather(workspace: Workspace) -> Json:
    """Everything the report shows, as plain values.

    Raises:
        ResurveyError: when nothing was treated yet.
    """
    ladder = read_ladder(workspace)
    manifest = read_json(workspace.data / "manifest.json")
    gate_file = workspace.root / "gate.json"
    gate = read_json(gate_file) if gate_file.exists() else None
    now = live(workspace)
    measure = ladder.facts["measure"]
    return {
        "version": __version__,
        "workspace": workspace.root.resolve().name,
        "data": {key: manifest[key] for key in ("documents", "queries", "judged", "runs", "statement")},
        "encoder": workspace.settings.text("model"),
        "judged_by": ladder.facts["judged_by"],
        "measure": measure,
        "live": now.candidate if now else None,
        "verdict": gate["sentence"] if gate else "Not promoted yet: resurvey run DIR.",
        "gate": gate,
        "baselines": {name: scores.mean for name, scores in ladder.baselines.items()},
        "rungs": [to_json(ladder.registry.get(id)) for id in ladder.facts["candidates"]],
        "findings": read_json(workspace.diagnosis)["findings"] if workspace.diagnosis.exists() else [],
        "plan": read_json(workspace.plan) if workspace.plan.exists() else None,
        "test_reads": len(workspace.recorded("test read")),
    }


def render(facts: Json) -> str:
    """The page for what `gather` found."""
    environment = Environment(
        loader=PackageLoader("resurvey.show"), autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"points": _points, "number": _number}
    return environment.get_template(TEMPLATE).render(**facts, scale=_scale(facts))


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"


def _scale(facts: Json) -> Json:
    """The span of the ladder's picture, in points of gain."""
    ends = [0.0, 0.01]
    for rung in facts["rungs"]:
        if rung["comparison"]:
            ends += [rung["comparison"]["interval"]["low"], rung["comparison"]["interval"]["high"]]
    low, high = min(ends), max(ends)
    return {"low": low, "span": max(high - low, 0.01)}
