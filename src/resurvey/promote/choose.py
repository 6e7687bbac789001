"""Choosing what goes live: the highest rung of the ladder that passes the gate, else what is untouched.

Reads only what the treat stage wrote. Where stand-in queries judged there is no gate: they choose a
fusion weight well, and cannot tell which pipeline is best (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from resurvey.errors import Problem, ResurveyError
from resurvey.evaluate.measures import Scores
from resurvey.promote.gate import Outcome, judge
from resurvey.promote.live import Live, meant_by
from resurvey.promote.registry import Registry
from resurvey.types import Json, to_json
from resurvey.workspace import Workspace, read_json

UNTOUCHED = ("base", "bm25", "rrf")
BLIND_BASELINE = "rrf"


@dataclass(frozen=True, slots=True)
class Choice:
    """What should be live (None: keep the engine outside), and everything the gate found."""

    live: Live | None
    facts: Json


@dataclass(frozen=True, slots=True)
class Ladder:
    """What the treat stage left, read once."""

    facts: Json
    baselines: dict[str, Scores]
    registry: Registry

    @property
    def best_untouched(self) -> Scores:
        """The untouched pipeline, or the user's run, that a candidate must beat."""
        if self.facts["judged_by"] != "judgments":
            return self.gated(self.baselines[BLIND_BASELINE])
        return max(map(self.gated, self.baselines.values()), key=lambda scores: scores.mean)

    def gated(self, scores: Scores) -> Scores:
        """The scores of the gate's queries."""
        queries = tuple(self.facts["gate_queries"])
        return Scores(scores.name, scores.measure, queries, scores.of(queries))

    def scores(self, id: str) -> Scores:
        """A candidate's or an untouched pipeline's scores on the gate's queries."""
        if id in self.baselines:
            return self.gated(self.baselines[id])
        found = self.registry.scores(id)
        if not found:
            raise ResurveyError(
                [Problem(id, "was not scored: the treatment found nothing to gain")],
                "resurvey status DIR names the candidates",
            )
        return self.gated(next(iter(found.values())))


def read_ladder(workspace: Workspace) -> Ladder:
    """The ladder of a workspace.

    Raises:
        ResurveyError: when nothing was treated yet.
    """
    path = workspace.candidates / "ladder.json"
    if not path.exists():
        raise ResurveyError([Problem(str(workspace.root), "has no candidates yet")], f"resurvey run {workspace.root}")
    facts, registry = read_json(path), Registry(workspace)
    return Ladder(facts, registry.baselines(facts["measure"]), registry)


def best_that_passes(workspace: Workspace) -> Choice:
    """Try the accepted rungs from the top down; each is held against the best untouched pipeline."""
    ladder = read_ladder(workspace)
    best = ladder.best_untouched
    if ladder.facts["judged_by"] != "judgments":
        return _chosen_blind(workspace, ladder)
    tried: list[tuple[str, Outcome]] = []
    for id in reversed(ladder.facts["accepted"]):
        outcome = _gate(workspace, ladder, id)
        tried.append((id, outcome))
        if outcome.passed:
            return _choice(ladder, id, tried, _won(id, outcome))
    return _choice(ladder, best.name if best.name in UNTOUCHED else "", tried, _kept(best, tried))


def _chosen_blind(workspace: Workspace, ladder: Ladder) -> Choice:
    """The top of the ladder without a gate: stand-ins choose a weight well, and judge no pipeline."""
    id = ladder.facts["accepted"][-1] if ladder.facts["accepted"] else "base"
    sentence = f"{id} is live, its weight chosen without judgments: nothing here proves a gain. About 50 judged queries would show whether it helps."
    return _choice(ladder, id, [(id, _gate(workspace, ladder, id))], sentence)


def gate_one(workspace: Workspace, name: str) -> tuple[str, tuple[str, ...]]:
    """The id of one candidate, and the gate's reasons to refuse it."""
    ladder = read_ladder(workspace)
    name = meant_by(workspace, name)
    if name in UNTOUCHED:
        return name, ()
    candidate = ladder.registry.get(name)
    return candidate.id, _gate(workspace, ladder, candidate.id).refusals


def _gate(workspace: Workspace, ladder: Ladder, id: str) -> Outcome:
    return judge(ladder.best_untouched, ladder.scores(id), ladder.facts["slices"], workspace.settings)


def _choice(ladder: Ladder, id: str, tried: list[tuple[str, Outcome]], sentence: str) -> Choice:
    outcomes = [
        {
            "candidate": name,
            "passed": o.passed,
            "refusals": list(o.refusals),
            "comparison": to_json(o.comparison),
            "slices": {k: list(v) for k, v in o.slices.items()},
        }
        for name, o in tried
    ]
    facts: Json = {
        "live": id,
        "sentence": sentence + _caution(ladder),
        "best_untouched": ladder.best_untouched.name,
        "untouched_means": {name: ladder.gated(scores).mean for name, scores in ladder.baselines.items()},
        "outcomes": outcomes,
    }
    return Choice(Live(id, ladder.facts["snapshot"]) if id else None, facts)


def _won(id: str, outcome: Outcome) -> str:
    return f"{id} is live: {outcome.comparison.sentence}"


def _kept(best: Scores, tried: list[tuple[str, Outcome]]) -> str:
    why = f" The best attempt, {tried[0][0]}, was refused: {'; '.join(tried[0][1].refusals)}." if tried else ""
    own = "" if best.name in UNTOUCHED else ", your own engine"
    kept = f"{best.name} is live" if not own else "keep it"
    return f"Nothing helped beyond {best.name}{own or ', untouched'} ({best.measure} {best.mean:.3f}); {kept}.{why}"


def _caution(ladder: Ladder) -> str:
    if ladder.facts["judged_by"] != "judgments":
        return " Judged by stand-in queries made from the corpus; their scores mean nothing by themselves."
    if not ladder.facts["gate_apart"]:
        return " The same queries chose the treatments and judged the result, so expect a little less in use; from 200 dev queries on, they are kept apart."
    return ""
