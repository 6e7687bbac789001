"""The plan: rules fire on what was measured, in the ladder's order, and only for treatments there are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from resurvey.decide.plan import decide
from resurvey.decide.rules import AVOID, OPEN_BASES, RULES, Facts, Rule
from resurvey.diagnose.levels import BANDS
from resurvey.treat.catalog import CATALOG, EFFORTS, available
from resurvey.types import Diagnosis, Finding, plan_from_json, to_json

EVERYTHING = [row.name for row in CATALOG]


def facts(
    values: dict[str, float | None], *, documents: int = 100, passages: int = 100, judged: int = 60, long: int = 0
) -> Facts:
    findings = [Finding(id, "", value, "", None, "healthy", "") for id, value in values.items()]
    by = "judgments" if judged else "stand-in queries"
    return Facts(Diagnosis(tuple(findings), by), documents, passages, long, judged)


def planned(found: Facts, names: list[str] = EVERYTHING) -> list[str]:
    return [step.treatment for step in decide(found, "small", names).steps]


def avoided(found: Facts) -> dict[str, str]:
    return {step.treatment: step.reason for step in decide(found, "small", EVERYTHING).avoid}


HEALTHY: dict[str, float | None] = {"R10-spread": 0.3, "R12-hubs": 0, "R16-lift": 2, "R18-recall": 0.99, "R19-quality": 0.8}  # fmt: skip


def test_every_rule_names_a_treatment_there_is_and_every_treatment_has_a_rule() -> None:
    assert {rule.treatment for rule in RULES} == set(EVERYTHING)


def test_what_findings_suggest_can_be_done() -> None:
    assert {band.suggests for band in BANDS} <= set(EVERYTHING)


def test_rules_look_only_at_findings_that_are_taken() -> None:
    asked: set[str] = set()

    class Listening(Facts):
        def value(self, id: str, default: float = 0.0) -> float:
            asked.add(id)
            return default

    for judged in (0, 500):
        found = Listening(Diagnosis((), "judgments"), 10, 20, 3, judged)
        for rule in (*RULES, *AVOID):
            rule.when(found)
            rule.reason(found)
    assert asked
    assert asked <= {band.id for band in BANDS}


def test_the_dense_branch_is_settled_before_others_join_and_candidates_before_their_order() -> None:
    ill = facts({**HEALTHY, "R10-spread": 0.05, "R12-hubs": 6}, passages=250)
    assert planned(ill) == ["passages", "center", "adapter", "hybrid", "rewrite", "ranker", "memory", "duplicates"]


def test_the_order_is_the_rules_own_and_not_that_of_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resurvey.decide.plan.RULES", RULES[::-1])
    assert planned(facts(HEALTHY, passages=250)) == [
        "passages",
        "adapter",
        "hybrid",
        "rewrite",
        "ranker",
        "memory",
        "duplicates",
    ]
    same = [replace(rule, phase=1) for rule in RULES]
    monkeypatch.setattr("resurvey.decide.plan.RULES", same)
    assert planned(facts(HEALTHY, passages=250)) == [
        "adapter",
        "memory",
        "hybrid",
        "ranker",
        "passages",
        "rewrite",
        "duplicates",
    ]  # larger gain first


def test_nothing_is_planned_that_is_not_available() -> None:
    assert planned(facts(HEALTHY, passages=250), ["hybrid", "ranker"]) == ["hybrid", "ranker"]
    assert planned(facts(HEALTHY), []) == []


@pytest.mark.parametrize("effort", EFFORTS)
def test_every_effort_includes_the_smaller_ones(effort: str) -> None:
    names = {row.name for row in available(effort)}
    smaller = EFFORTS[: EFFORTS.index(effort) + 1]
    assert names == {row.name for row in CATALOG if row.effort in smaller}


def test_passages_are_planned_only_where_documents_make_more_than_one() -> None:
    assert "passages" not in planned(facts(HEALTHY, passages=100))
    plan = decide(facts(HEALTHY, passages=101), "small", EVERYTHING)
    assert plan.steps[0].treatment == "passages"
    assert plan.steps[0].reason == "100 documents make 101 passages; what one vector cannot hold, it cannot find"


@pytest.mark.parametrize(
    ("values", "fires"),
    [
        ({"R10-spread": 0.19, "R12-hubs": 0}, True),
        ({"R10-spread": 0.2, "R12-hubs": 0}, False),
        ({"R10-spread": 0.5, "R12-hubs": 1}, True),
        ({"R10-spread": None, "R12-hubs": None}, False),
        ({}, False),
    ],
)
def test_centring_is_planned_for_a_narrow_spread_or_hubs(values: dict[str, float | None], fires: bool) -> None:
    assert ("center" in planned(facts(values))) == fires


@pytest.mark.parametrize(("judged", "fires"), [(0, False), (39, False), (40, True)])
def test_what_is_trained_needs_forty_judged_queries(judged: int, fires: bool) -> None:
    steps = planned(facts(HEALTHY, judged=judged))
    assert ("ranker" in steps) == fires
    assert ("memory" in steps) == fires
    assert "hybrid" in steps


def test_the_reason_tells_the_numbers_that_fired_the_rule() -> None:
    plan = decide(facts({"R10-spread": 0.07, "R12-hubs": 3, "R16-lift": -4.25, "R18-ranking": 37.6}), "small", EVERYTHING)  # fmt: skip
    reasons = {step.treatment: step.reason for step in plan.steps}
    assert reasons["center"] == "random pairs spread by 0.07, 3 hubs"
    assert reasons["hybrid"] == "RRF changes dense by -4.2 points; a learned weight can also refuse to fuse"
    assert reasons["ranker"] == "for 38 % of the queries the right document is in the top 20 but not first"


def test_expected_gains_are_shown_with_their_signs() -> None:
    expected = {step.treatment: step.expected for step in decide(facts({"R10-spread": 0.1}), "small", EVERYTHING).steps}
    assert expected["center"] == "-4 to +1 points"
    assert expected["hybrid"] == "+0 to +12 points"


@pytest.mark.parametrize(("lift", "judged", "warned"), [(-3.0, 60, True), (3.0, 60, False), (-3.0, 0, False)])
def test_equal_weight_fusion_is_advised_against_where_it_measurably_harms(
    lift: float, judged: int, warned: bool
) -> None:
    found = avoided(facts({"R16-lift": lift}, judged=judged))
    assert ("equal-weight fusion" in found) == warned
    if warned:
        assert found["equal-weight fusion"] == "RRF costs 3.0 points here"


@pytest.mark.parametrize(("recall", "warned"), [(0.7, True), (0.95, False), (None, False)])
def test_the_vector_index_is_not_tuned_where_exact_search_already_misses(recall: float | None, warned: bool) -> None:
    assert ("tuning the vector index" in avoided(facts({"R18-recall": recall}))) == warned


@pytest.mark.parametrize(("quality", "warned"), [(0.59, True), (0.6, False), (None, False)])
def test_prompts_are_not_tuned_before_retrieval_is_good(quality: float | None, warned: bool) -> None:
    assert ("prompt tuning" in avoided(facts({"R19-quality": quality}))) == warned


def test_without_judgments_the_plan_warns_of_stand_ins_and_says_who_judged() -> None:
    plan = decide(facts({}, judged=0), "medium", EVERYTHING)
    assert [step.treatment for step in plan.avoid] == ["a ranker trained on stand-in queries"]
    assert "judge some of your 100 documents" in plan.avoid[0].reason
    assert (plan.judged_by, plan.effort) == ("stand-in queries", "medium")


def test_a_plan_survives_json() -> None:
    plan = decide(facts({"R10-spread": 0.1, "R19-quality": 0.1}, passages=200), "small", EVERYTHING)
    assert plan.steps
    assert plan.avoid
    assert plan_from_json(to_json(plan)) == plan


@pytest.mark.parametrize("rule", [*RULES, *AVOID], ids=lambda rule: rule.treatment)
def test_every_rule_says_where_it_comes_from(rule: Rule) -> None:
    assert rule.source
    assert rule.expected[0] <= rule.expected[1]


def test_memory_is_planned_where_judged_queries_share_documents_and_advised_against_elsewhere() -> None:
    shared, alone = replace(facts(HEALTHY), asked_again=0.5), replace(facts(HEALTHY), asked_again=0.49)
    assert "memory" in planned(shared)
    assert "memory of judged queries" not in avoided(shared)
    assert "memory" not in planned(alone)
    assert "only 49 %" in avoided(alone)["memory of judged queries"]


def test_nothing_is_expected_to_bring_more_than_is_missing() -> None:
    means = Finding("R19-quality", "", 0.9, "", None, "healthy", "", evidence={"means": {"dense": 0.9, "fused": 0.97}})
    found = replace(facts(HEALTHY), diagnosis=Diagnosis((means,), "judgments"))
    expected = {step.treatment: step.expected for step in decide(found, "small", EVERYTHING).steps}
    assert expected["hybrid"] == "+0 to +3 points"


def test_an_encoder_without_weights_is_not_trained_and_an_open_base_is_named() -> None:
    there = facts(HEALTHY)
    assert "training this encoder" not in avoided(there)
    away = replace(there, weights=False)
    assert f"--model {OPEN_BASES[0]}" in avoided(away)["training this encoder"]
    assert planned(away) == planned(there)
