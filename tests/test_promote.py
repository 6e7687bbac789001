"""Promotion: candidates round-trip, the gate refuses what loses, the one switch finds its way back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from resurvey.errors import ResurveyError
from resurvey.evaluate.compare import compare
from resurvey.evaluate.measures import Scores
from resurvey.promote.choose import best_that_passes, gate_one, read_ladder
from resurvey.promote.gate import judge
from resurvey.promote.live import Live, history, live, rollback, switch
from resurvey.promote.registry import Registry
from resurvey.settings import Settings
from resurvey.types import Candidate, Doubles
from resurvey.workspace import Workspace, create, write_json

MEASURE = "nDCG@10"
ASKED = tuple(f"q{place}" for place in range(120))
SLICES = {"short queries": ASKED[:60], "long queries": ASKED[60:], "tiny": ASKED[:10]}


def scores(name: str, values: float | Doubles) -> Scores:
    return Scores(name, MEASURE, ASKED, np.full(len(ASKED), values) if isinstance(values, float) else values)


def noisy(mean: float, seed: int) -> Doubles:
    return np.random.default_rng(seed).normal(mean, 0.1, len(ASKED)).clip(0, 1)


def candidate(id: str, *, kept: bool = True, reason: str = "+3.0 points") -> Candidate:
    comparison = compare(scores("base", noisy(0.4, 1)), scores(id, noisy(0.6, 2))) if kept else None
    recipe = {"format": 1, "encoder": {"name": "tiny", "fingerprint": "ab"}, "root": {"stage": "lexical", "depth": 5}}
    return Candidate(id, id[5:], "base", recipe if kept else {}, kept, reason, comparison, {"chosen": [1, 2.5, "é"]})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = create(tmp_path / "ws")
    (made.root / "resurvey.toml").write_text("gate_slice_queries = 50\ngate_slice_points = 1.0\n")
    return made


@pytest.fixture
def pinned(workspace: Workspace) -> Settings:
    """The gate's settings, pinned: what the defaults are is no matter here."""
    return workspace.settings


@pytest.fixture
def registry(workspace: Workspace) -> Registry:
    return Registry(workspace)


def add(registry: Registry, id: str, values: float | Doubles | None = 0.5, key: str = "k") -> None:
    found = {} if values is None else {MEASURE: scores(id, values)}
    registry.add(candidate(id, kept=values is not None), found, key)


def climbed(
    workspace: Workspace, rungs: dict[str, float | Doubles], baselines: dict[str, float | Doubles], judged_by: str = "judgments"
) -> None:  # fmt: skip
    """Write what a treat stage leaves: every rung accepted, in this order."""
    registry = Registry(workspace)
    for id, values in rungs.items():
        add(registry, id, values)
    registry.keep_baselines({name: scores(name, values) for name, values in baselines.items()})
    ladder = {
        "key": "k", "judged_by": judged_by, "measure": MEASURE, "snapshot": 7, "gate_queries": list(ASKED),
        "gate_apart": True, "slices": {name: list(part) for name, part in SLICES.items()},
        "candidates": list(rungs), "accepted": list(rungs),
    }  # fmt: skip
    write_json(workspace.candidates / "ladder.json", ladder)


# the registry


def test_a_candidate_comes_back_from_the_registry_as_it_went_in(registry: Registry) -> None:
    kept, dropped = candidate("0001-hybrid"), candidate("0002-ranker", kept=False, reason="nothing to gain")
    values = noisy(0.5, 3)
    registry.add(kept, {MEASURE: scores("0001-hybrid", values)}, "k")
    registry.add(dropped, {}, "k")
    assert registry.all() == [kept, dropped]
    assert registry.get("0001-hybrid") == registry.get("1") == registry.get("0001") == kept
    back = registry.scores("0001-hybrid")[MEASURE]
    assert (back.name, back.measure, back.queries) == ("0001-hybrid", MEASURE, ASKED)
    assert back.values.tolist() == values.tolist()
    assert registry.scores("0002-ranker") == {}


def test_an_unknown_candidate_is_answered_with_those_there_are(registry: Registry) -> None:
    with pytest.raises(ResurveyError, match="9: is no candidate; there are: base, bm25, rrf, live, none yet"):
        registry.get("9")
    add(registry, "0001-hybrid")
    with pytest.raises(ResurveyError, match="there are: base, bm25, rrf, live, 0001-hybrid\nNext: resurvey status"):
        registry.get("hybrid")


def test_untouched_pipelines_come_back_by_name(registry: Registry) -> None:
    registry.keep_baselines({"base": scores("base", noisy(0.4, 1)), "my engine": scores("my engine", 0.3)})
    back = registry.baselines(MEASURE)
    assert list(back) == ["base", "my engine"]
    assert back["base"].values.tolist() == noisy(0.4, 1).tolist()
    assert back["my engine"].queries == ASKED


def test_numbers_go_up_and_are_not_given_twice(registry: Registry) -> None:
    assert registry.next_number() == 1
    add(registry, "0001-hybrid")
    add(registry, "0007-ranker")
    assert registry.next_number() == 8


def test_a_candidate_without_its_manifest_is_not_there(registry: Registry) -> None:
    add(registry, "0001-hybrid")
    add(registry, "0002-ranker")
    (registry.folder / "0002-ranker" / "manifest.json").unlink()
    assert [found.id for found in registry.all()] == ["0001-hybrid"]
    with pytest.raises(ResurveyError, match="2: is no candidate"):
        registry.get("2")


def test_clearing_removes_half_candidates_and_those_of_the_same_key_only(registry: Registry) -> None:
    add(registry, "0001-hybrid", key="before")
    add(registry, "0002-center", key="now")
    add(registry, "0003-ranker", key="now")
    add(registry, "0004-memory", key="before")
    (registry.folder / "0004-memory" / "manifest.json").unlink()
    registry.keep_baselines({"base": scores("base", 0.4)})
    registry.clear_unfinished("now")
    assert sorted(path.name for path in registry.folder.iterdir()) == ["0001-hybrid", "baselines.parquet"]


def test_clearing_never_removes_what_is_or_was_live(workspace: Workspace, registry: Registry) -> None:
    for id in ("0001-hybrid", "0002-ranker", "0003-memory"):
        add(registry, id)
    switch(workspace, Live("0001-hybrid", 1), "run")
    switch(workspace, Live("0002-ranker", 1), "run")
    registry.clear_unfinished("k")
    assert [found.id for found in registry.all()] == ["0001-hybrid", "0002-ranker"]
    rollback(workspace)
    assert registry.get("0001").recipe


# the gate


def gated(baseline: Scores, challenger: Scores, settings: Settings) -> tuple[str, ...]:
    return judge(baseline, challenger, SLICES, settings).refusals


def test_the_gate_passes_a_winner(pinned: Settings) -> None:
    outcome = judge(scores("rrf", 0.5), scores("0001-hybrid", 0.6), SLICES, pinned)
    assert outcome.passed
    assert outcome.comparison.difference == pytest.approx(0.1)
    assert outcome.slices["short queries"] == (60, pytest.approx(0.1))


def test_the_gate_refuses_what_is_not_better_overall(pinned: Settings) -> None:
    assert gated(scores("rrf", 0.5), scores("x", 0.5), pinned) == (
        "it is not better than rrf overall (+0.0 points on 120 queries)",
    )
    assert "not better than rrf overall (-0.5 points" in gated(scores("rrf", 0.5), scores("x", 0.495), pinned)[0]


def two_sides(first: float, second: float) -> Scores:
    return scores("x", np.array([first] * 60 + [second] * 60))


def test_the_gate_refuses_a_losing_slice_although_the_whole_is_better(pinned: Settings) -> None:
    outcome = judge(scores("rrf", 0.5), two_sides(0.8, 0.48), SLICES, pinned)
    assert outcome.comparison.difference > 0
    assert not outcome.passed
    assert outcome.refusals == ("the slice 'long queries' (60 queries) loses 2.0 points, more than the 1 allowed",)


def test_the_gate_lets_a_slice_lose_what_the_settings_allow(pinned: Settings) -> None:
    assert gated(scores("rrf", 0.5), two_sides(0.8, 0.492), pinned) == ()
    allowing = Settings({**pinned.values, "gate_slice_points": 3.0})
    assert gated(scores("rrf", 0.5), two_sides(0.8, 0.48), allowing) == ()


def test_a_slice_too_small_to_tell_refuses_nothing(pinned: Settings) -> None:
    values = np.full(len(ASKED), 0.6)
    values[:10] = 0.3  # the slice `tiny`
    assert gated(scores("rrf", 0.5), scores("x", values), pinned) == ()
    strict = Settings({**pinned.values, "gate_slice_queries": 10})
    assert gated(scores("rrf", 0.5), scores("x", values), strict) == (
        "the slice 'tiny' (10 queries) loses 20.0 points, more than the 1 allowed",
    )


# choosing


def test_the_highest_rung_goes_live_when_it_passes(workspace: Workspace) -> None:
    climbed(workspace, {"0001-hybrid": 0.6, "0002-ranker": 0.7}, {"base": 0.4, "bm25": 0.3, "rrf": 0.5})
    choice = best_that_passes(workspace)
    assert choice.live == Live("0002-ranker", 7)
    assert choice.facts["best_untouched"] == "rrf"
    assert choice.facts["sentence"].startswith(
        "0002-ranker is live: nDCG@10 0.700 against 0.500 for rrf, +20.0 points (+20.0 to +20.0) on 120 queries, more than chance"
    )


def test_a_refused_rung_falls_back_to_its_parent(workspace: Workspace) -> None:
    losing = np.array([1.0] * 60 + [0.4] * 60)  # better overall, yet long queries lose
    climbed(workspace, {"0001-hybrid": 0.6, "0002-ranker": losing}, {"base": 0.4, "bm25": 0.3, "rrf": 0.5})
    choice = best_that_passes(workspace)
    assert choice.live == Live("0001-hybrid", 7)
    assert [(o["candidate"], o["passed"]) for o in choice.facts["outcomes"]] == [
        ("0002-ranker", False),
        ("0001-hybrid", True),
    ]


def test_where_nothing_passes_the_best_untouched_pipeline_is_live_with_the_reason(workspace: Workspace) -> None:
    climbed(workspace, {"0001-hybrid": 0.45}, {"base": 0.4, "bm25": 0.5, "rrf": 0.48})
    choice = best_that_passes(workspace)
    assert choice.live == Live("bm25", 7)
    assert choice.facts["sentence"].startswith(
        "Nothing helped beyond bm25, untouched (nDCG@10 0.500); bm25 is live. The best attempt, 0001-hybrid, was refused: "
        "it is not better than bm25 overall (-5.0 points on 120 queries); the slice 'short queries' (60 queries) loses 5.0"
    )


def test_the_users_own_engine_is_a_baseline_to_beat_and_is_kept_outside(workspace: Workspace) -> None:
    climbed(workspace, {"0001-hybrid": 0.6}, {"base": 0.4, "bm25": 0.5, "rrf": 0.5, "mine": 0.8})
    choice = best_that_passes(workspace)
    assert choice.live is None
    assert choice.facts["live"] == ""
    assert "Nothing helped beyond mine, your own engine (nDCG@10 0.800); keep it." in choice.facts["sentence"]


def test_stand_ins_choose_the_top_of_the_ladder_and_prove_nothing(workspace: Workspace) -> None:
    baselines: dict[str, float | Doubles] = {"base": 0.2, "bm25": 0.9, "rrf": 0.7}
    climbed(workspace, {"0001-hybrid": 0.6}, baselines, judged_by="stand-in queries")
    choice = best_that_passes(workspace)
    assert choice.live == Live("0001-hybrid", 7)
    assert (
        "0001-hybrid is live, its weight chosen without judgments: nothing here proves a gain."
        in choice.facts["sentence"]
    )
    assert "Judged by stand-in queries made from the corpus" in choice.facts["sentence"]


def test_a_chance_win_is_called_one(workspace: Workspace) -> None:
    up_and_down = 0.51 + 0.3 * (-1.0) ** np.arange(len(ASKED))
    climbed(workspace, {"0001-hybrid": up_and_down}, {"base": 0.1, "bm25": 0.1, "rrf": 0.5})
    facts = best_that_passes(workspace).facts
    assert facts["live"] == "0001-hybrid"
    assert facts["outcomes"][0]["comparison"]["p_corrected"] > 0.05
    assert "on 120 queries, not beyond chance (these queries show differences from 7.7 points)." in facts["sentence"]


def test_one_candidate_by_hand_meets_the_same_gate(workspace: Workspace) -> None:
    climbed(workspace, {"0001-hybrid": 0.6, "0002-ranker": 0.4}, {"base": 0.4, "bm25": 0.3, "rrf": 0.5})
    assert gate_one(workspace, "1") == ("0001-hybrid", ())
    id, refusals = gate_one(workspace, "0002-ranker")
    assert id == "0002-ranker"
    assert refusals[0] == "it is not better than rrf overall (-10.0 points on 120 queries)"
    assert gate_one(workspace, "base") == ("base", ())


def test_what_was_never_scored_cannot_be_promoted(workspace: Workspace) -> None:
    climbed(workspace, {}, {"base": 0.4, "bm25": 0.3, "rrf": 0.5})
    add(Registry(workspace), "0003-memory", None)
    with pytest.raises(ResurveyError, match="0003-memory: was not scored: the treatment found nothing to gain"):
        gate_one(workspace, "3")


def test_without_candidates_the_next_command_is_named(workspace: Workspace) -> None:
    with pytest.raises(ResurveyError, match="has no candidates yet\nNext: resurvey run"):
        read_ladder(workspace)


# the switch


A, B, C = Live("0001-a", 1), Live("0002-b", 1), Live("bm25", 2)


def test_nothing_is_live_before_the_first_promotion(workspace: Workspace) -> None:
    assert live(workspace) is None
    assert history(workspace) == []
    with pytest.raises(ResurveyError, match="nothing to roll back to: at most one candidate has been live"):
        rollback(workspace)
    switch(workspace, A, "run")
    with pytest.raises(ResurveyError, match="nothing to roll back to"):
        rollback(workspace)
    assert live(workspace) == A


def test_the_switch_remembers_what_was_live_before(workspace: Workspace) -> None:
    switch(workspace, A, "run")
    switch(workspace, B, "promote")
    assert live(workspace) == B
    last = workspace.recorded("promoted")[-1]
    assert (last["candidate"], last["before"], last["why"], last["snapshot"]) == ("0002-b", "0001-a", "promote", 1)


def test_switching_to_what_is_live_records_nothing(workspace: Workspace) -> None:
    switch(workspace, A, "run")
    switch(workspace, A, "run")
    assert len(workspace.recorded("promoted")) == 1


def test_repeated_rollbacks_walk_back_one_at_a_time(workspace: Workspace) -> None:
    for step in (A, B, C):
        switch(workspace, step, "run")
    assert rollback(workspace) == (C, B)
    assert rollback(workspace) == (B, A)
    assert live(workspace) == A
    with pytest.raises(ResurveyError, match="nothing to roll back to"):
        rollback(workspace)


def test_a_promotion_after_a_rollback_goes_back_to_what_was_live_then(workspace: Workspace) -> None:
    switch(workspace, A, "run")
    switch(workspace, B, "run")
    rollback(workspace)
    switch(workspace, C, "promote")
    assert history(workspace) == [A, C]
    assert rollback(workspace) == (C, A)


def test_the_same_candidate_may_be_live_twice(workspace: Workspace) -> None:
    for step in (A, B, A):
        switch(workspace, step, "run")
    assert rollback(workspace) == (A, B)
    assert rollback(workspace) == (B, A)
    assert live(workspace) == A


def test_a_torn_last_line_of_the_lineage_is_passed_over(workspace: Workspace) -> None:
    switch(workspace, A, "run")
    switch(workspace, B, "run")
    with workspace.lineage.open("a", encoding="utf-8") as file:
        file.write('{"at": "2026-01-01T00:00:00Z", "what": "promo')
    assert history(workspace) == [A, B]
    assert rollback(workspace) == (B, A)


def test_what_is_recorded_after_a_torn_line_is_not_lost(workspace: Workspace) -> None:
    switch(workspace, A, "run")
    with workspace.lineage.open("a", encoding="utf-8") as file:
        file.write('{"at": "2026-01-01T00:00:00Z", "what": "promo')
    switch(workspace, B, "run")
    assert history(workspace) == [A, B]
    assert [entry["candidate"] for entry in workspace.recorded("promoted")] == [A.candidate, B.candidate]


def test_a_promotion_killed_before_the_switch_was_none(workspace: Workspace) -> None:
    for step in (A, B):
        switch(workspace, step, "run")
    before = workspace.live.read_bytes()
    switch(workspace, C, "run")
    workspace.live.write_bytes(before)  # the lineage has C, the switch never happened
    assert history(workspace) == [A, B]
    assert rollback(workspace) == (B, A)


def test_a_rollback_killed_before_the_switch_can_be_repeated(workspace: Workspace) -> None:
    for step in (A, B):
        switch(workspace, step, "run")
    before = workspace.live.read_bytes()
    rollback(workspace)
    workspace.live.write_bytes(before)  # the lineage has the rollback, the switch never happened
    assert rollback(workspace) == (B, A)
    assert live(workspace) == A
    with pytest.raises(ResurveyError, match="nothing to roll back to"):
        rollback(workspace)


def test_a_copied_workspace_is_live_like_the_first(workspace: Workspace, tmp_path: Path) -> None:
    switch(workspace, A, "run")
    switch(workspace, B, "run")
    shutil.copytree(workspace.root, tmp_path / "copy")
    copy = Workspace.open(tmp_path / "copy")
    assert rollback(copy) == (B, A)
    assert json.loads(workspace.live.read_text()) == {"candidate": "0002-b", "snapshot": 1}
