"""The follow-up: findings are taken again on what kept rungs return, and cures are told apart from what stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from classroom import Make

from resurvey.diagnose.cures import cures
from resurvey.followup import followed
from resurvey.search.recipe import BASE, untouched
from resurvey.treat.attempt import Attempt
from resurvey.treat.catalog import row
from resurvey.treat.contrast import contrast
from resurvey.treat.ladder import Rung, climb
from resurvey.types import Diagnosis, Finding, Interval, Json, Level


def finding(level: Level, value: float = 0.5) -> Finding:
    return Finding("R18-ranking", "Order", value, "%", Interval(0.4, 0.6), level, "a reading")


def rung(id: str, level: Level) -> Json:
    kept = {"id": "R18-ranking", "value": 0.1, "interval": None, "level": level}
    return {"id": id, "detail": {"findings": [kept]}}


@pytest.mark.parametrize(
    ("before", "after", "became"),
    [
        ("confirmed", ("suspect", "healthy", "healthy"), "cured by two"),
        ("suspect", ("healthy", "suspect"), "still there"),
        ("suspect", ("unknown",), "no longer certain"),
        ("healthy", ("suspect",), "new"),
        ("unknown", ("healthy",), "healthy"),
        ("unknown", ("suspect",), "uncertain"),
    ],
)
def test_an_illness_is_cured_by_the_first_rung_that_left_it_healthy(
    before: Level, after: tuple[Level, ...], became: str
) -> None:
    names = ("one", "two", "three")
    rungs = [rung(name, level) for name, level in zip(names, after, strict=False)]
    (told,) = cures(Diagnosis((finding(before),), "judgments"), [*rungs, {"id": "refused", "detail": {}}])
    assert told["became"] == became
    assert [found["rung"] for found in told["after"]] == list(names[: len(after)])
    assert cures(Diagnosis((finding(before),), "judgments"), [{"id": "refused", "detail": {}}]) == []


def test_findings_are_those_of_what_the_rung_returns_for_queries_it_never_saw(make: Make) -> None:
    trial, state = make(1500)
    found = contrast(trial, state)
    assert isinstance(found, Attempt)
    kept = Rung(row("contrast"), found.state.root, None, None, True, "", {}, found.state.run)
    refused = replace(kept, kept=False)
    told = followed(trial, [refused, kept])
    assert list(told) == [1]
    values = {f["id"]: f["value"] for f in told[1]}
    assert values["R19-quality"] == pytest.approx(trial.scores(found.state.run, "new").mean)
    assert values["R18-recall"] == pytest.approx(trial.scores(found.state.run, "new", "R@100").mean)
    index = trial.builder.in_space(found.state.dense["model"])
    apart = [q for q, fold in zip(trial.queries, trial.fold, strict=True) if fold < 0]
    assert "R10-spread" in values
    from resurvey.diagnose.scores import separation_finding
    from resurvey.search.dense import similarities

    similar = similarities(index, apart, "passages", "none")
    alone = separation_finding(
        apart, trial.qrels, similar, index.rows, {}, seed=trial.settings.integer("seed"), known=True
    )
    assert values["R10-separation"] == alone.value


def test_a_rung_that_moves_no_map_leaves_geometry_alone(make: Make) -> None:
    trial, _ = make(40)
    (tried,) = climb(trial, [row("hybrid")])
    told = followed(trial, [replace(tried, kept=True)])
    assert {f["id"] for f in told[0]}.isdisjoint({"R10-spread", "R10-separation", "R11-rogue", "R15-vocabulary"})
    assert untouched(trial.depth)[BASE]["stage"] == "dense"
