"""Identifiers beside words: a weight where they tell documents apart, none where they mislead, and who uses it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_treat import collected, start

from resurvey.decide.plan import decide
from resurvey.decide.rules import Facts
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import open_index
from resurvey.settings import Settings
from resurvey.treat import ladder
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.catalog import row
from resurvey.treat.identifiers import BLIND, GRID, identifiers
from resurvey.treat.ranker import ranker
from resurvey.treat.trial import Trial, judged_trial
from resurvey.types import Diagnosis, Document, Finding, Query
from resurvey.workspace import Artefacts

SIZES = [f"{a}/{b}-{c}" for triple in ((11, 22, 33), (44, 55, 66)) for a, b, c in itertools.permutations(triple)]
MATERIALS = ("steel", "brass", "copper", "nylon", "rubber", "ceramic", "bronze", "carbon", "cotton", "leather", "glass", "oak")  # fmt: skip
Make = Callable[[list[str]], Trial]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder, plain_settings: Settings) -> Make:
    """A trial of 120 queries over twelve parts: sizes of the same three numbers, each in a material of its own."""
    documents = tuple(
        Document(f"d{place}", f"bolt of {material} size {size}")
        for place, (size, material) in enumerate(zip(SIZES, MATERIALS, strict=True))
    )
    folder = tmp_path_factory.mktemp("identifiers")
    builder = Builder(open_index(folder / "index", documents, encoder, plain_settings), Artefacts(folder / "artefacts"))

    def made(texts: list[str]) -> Trial:
        queries = tuple(Query(f"q{place}", text) for place, text in enumerate(texts))
        qrels = {query.id: {f"d{place % 12}": 1} for place, query in enumerate(queries)}
        return judged_trial(collected(documents, queries, qrels), builder, plain_settings)

    return made


def words_alone(trial: Trial) -> State:
    """A ladder that stands at word search."""
    lexical = recipe.lexical(trial.depth)
    return replace(start(trial), root=lexical, run=trial.run(lexical))


TOLD = [f"bolt {SIZES[place % 12]}" for place in range(120)]
MISLED = [f"bolt {MATERIALS[place % 12]} not {SIZES[(place + 1) % 12]}" for place in range(120)]


def test_identifiers_get_weight_where_they_alone_tell_documents_apart(make: Make) -> None:
    trial = make(TOLD)
    state = words_alone(trial)
    answer = identifiers(trial, state)
    assert isinstance(answer, Attempt)
    assert answer.detail["queries with identifiers"] == 120
    assert answer.detail["words alone"] < 0.6
    assert answer.detail["words and identifiers"] == 1.0
    assert trial.scores(answer.state.run, "").mean > trial.scores(state.run, "").mean + 0.3
    weight = answer.detail["identifier weight"]
    assert answer.state.lexical == recipe.lexical(trial.depth, weight)
    assert f"identifiers {weight:.2f}" in recipe.describe(answer.state.root)


def test_identifiers_that_mislead_get_none(make: Make) -> None:
    trial = make(MISLED)
    assert identifiers(trial, words_alone(trial)) == Nothing("the queries give identifiers no weight beside words")


def test_queries_without_identifiers_have_nothing_to_say(make: Make) -> None:
    trial = make([f"bolt of {MATERIALS[place % 12]}" for place in range(116)] + TOLD[:4])
    assert identifiers(trial, words_alone(trial)) == Nothing("4 of 120 queries hold a code, a number or a dotted name")


def test_identifiers_join_no_ladder_that_searches_no_words(make: Make) -> None:
    trial = make(TOLD)
    assert isinstance(identifiers(trial, start(trial)), Nothing)
    once = identifiers(trial, words_alone(trial))
    assert isinstance(once, Attempt)
    assert isinstance(identifiers(trial, once.state), Nothing)


def test_without_judgments_the_weight_is_the_one_that_harms_nowhere(make: Make) -> None:
    trial = make(MISLED)
    trial.groups = ("title",) * 120
    answer = identifiers(trial, words_alone(trial))
    assert isinstance(answer, Attempt)
    assert answer.detail["identifier weight"] == BLIND
    assert BLIND in GRID


def test_the_ladder_hands_identifiers_on_to_the_trees(make: Make) -> None:
    trial = make(TOLD)
    rungs = {rung.row.name: rung for rung in ladder.climb(trial, [row(n) for n in ("hybrid", "identifiers", "ranker")])}
    assert rungs["identifiers"].kept
    kept = rungs["identifiers"].detail["identifier weight"]
    assert rungs["ranker"].root is not None
    branch = rungs["ranker"].root["input"]["inputs"][0]
    assert branch == recipe.lexical(branch["depth"], kept)
    plain = ranker(trial, start(trial))
    assert isinstance(plain, Attempt)
    assert "identifiers" not in plain.state.root["input"]["inputs"][0]


@pytest.mark.parametrize(("share", "planned"), [(0.0, False), (0.4, True)])
def test_identifiers_are_planned_where_queries_hold_codes(share: float, planned: bool) -> None:
    found = Finding("R14-queries", "", share, "% of tokens", None, "healthy", "")
    facts = Facts(Diagnosis((found,), "judgments"), 100, 100, 0, 50)
    steps = {step.treatment: step for step in decide(facts, "small", ["hybrid", "identifiers", "ranker"]).steps}
    assert ("identifiers" in steps) == planned
    if planned:
        assert list(steps) == ["hybrid", "identifiers", "ranker"]
        assert steps["identifiers"].reason.startswith("0.40 % of the tokens mix letters and digits")


def test_a_recipe_of_an_older_workspace_searches_words_alone(make: Make) -> None:
    trial = make(TOLD)
    assert recipe.lexical(20) == {"stage": "lexical", "depth": 20} == recipe.lexical(20, 0.0)
    old = trial.builder.node({"stage": "lexical", "depth": 20}).search(trial.queries[:3])
    new = trial.builder.node(recipe.lexical(20, 0.5)).search(trial.queries[:3])
    assert [list(old[q]) for q in old.rankings] != [list(new[q]) for q in new.rankings]
    assert Path(trial.index.folder / "derived").exists()
