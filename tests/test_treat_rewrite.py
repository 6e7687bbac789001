"""The rewriting rung: shorthand where it tells, a model where one is set, nobody where every rewrite loses."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from test_llm import Model, model  # noqa: F401  # a fixture
from test_treat import collected, start

from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import open_index
from resurvey.settings import Settings
from resurvey.treat import ladder
from resurvey.treat.attempt import Attempt, Nothing, State
from resurvey.treat.catalog import row
from resurvey.treat.rewrite import BLIND, rewrite
from resurvey.treat.trial import Trial, judged_trial
from resurvey.treat.wordings import branch, ways
from resurvey.types import Document, Query
from resurvey.workspace import Artefacts

PARTS = ("pressure valve", "thermal sensor", "copper relay", "motor drive", "oil filter", "steel belt")
SIDES = ("upper", "lower")
LONG = [f"{side} {part}" for side, part in itertools.product(SIDES, PARTS)]
SHORT = ["".join(word[0] for word in long.split()).upper() + str(place) for place, long in enumerate(LONG)]
Make = Callable[..., Trial]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder, plain_settings: Settings) -> Make:
    """A trial of 60 queries over twelve documents that never use their short forms, and a glossary that explains them."""
    wanted = [Document(f"d{place}", f"inspect the {long} and record") for place, long in enumerate(LONG)]
    glossary = [
        Document(f"g{place}", f"{long} {place} ({short}) is a name")
        for place, (long, short) in enumerate(zip(LONG, SHORT, strict=True))
    ]
    documents = (*wanted, *glossary)
    folder = tmp_path_factory.mktemp("rewrite")
    builder = Builder(open_index(folder / "index", documents, encoder, plain_settings), Artefacts(folder / "artefacts"))

    def made(texts: list[str], **given: str | float) -> Trial:
        queries = tuple(Query(f"q{place}", text) for place, text in enumerate(texts))
        qrels = {query.id: {f"d{place % 12}": 1} for place, query in enumerate(queries)}
        settings = Settings({**plain_settings.values, **given})
        return judged_trial(collected(documents, queries, qrels), builder, settings)

    return made


def words_alone(trial: Trial) -> State:
    lexical = recipe.lexical(trial.depth)
    return replace(start(trial), root=lexical, run=trial.run(lexical))


ACRONYMS = [f"record {SHORT[place % 12]}" for place in range(60)]
PLAIN = [f"record {LONG[place % 12]}" for place in range(60)]


def test_shorthand_is_written_out_where_documents_use_the_long_form(make: Make) -> None:
    trial = make(ACRONYMS)
    state = words_alone(trial)
    answer = rewrite(trial, state)
    assert isinstance(answer, Attempt)
    assert answer.detail["chosen"] == "shorthand"
    assert answer.detail["queries rewritten"]["shorthand"] == 60
    assert trial.scores(answer.state.run, "").mean > trial.scores(state.run, "").mean + 0.1
    assert answer.state.root["input"] == state.root
    assert answer.state.lexical == state.lexical


def test_no_rewrite_is_kept_where_queries_are_worded_as_the_documents_are(make: Make) -> None:
    trial = make(PLAIN)
    rungs = {rung.row.name: rung for rung in ladder.climb(trial, [row("hybrid"), row("rewrite")])}
    assert rungs["rewrite"].comparison is not None
    assert not rungs["rewrite"].kept


def test_without_judgments_shorthand_alone_is_tried_at_a_small_share(make: Make) -> None:
    trial = make(ACRONYMS)
    trial.groups = ("title",) * 60
    answer = rewrite(trial, words_alone(trial))
    assert isinstance(answer, Attempt)
    assert (answer.detail["chosen"], answer.detail["share"]) == BLIND
    trial = make(["tighten the bolt"] * 60)
    trial.groups = ("title",) * 60
    answer = rewrite(trial, words_alone(trial))
    assert answer == Nothing("fewer than 5 of 60 queries hold an acronym of the corpus or its long form")


def test_queries_are_not_rewritten_after_an_order_was_learned(make: Make) -> None:
    trial = make(ACRONYMS)
    state = words_alone(trial)
    for stage in ("ranked", "rewritten"):
        answer = rewrite(trial, replace(state, root={**state.root, "stage": stage}))
        assert answer == Nothing("queries are rewritten once, and before an order is learned on top")


def test_a_language_model_is_one_more_way(make: Make, model: Model) -> None:  # noqa: F811
    trial = make(ACRONYMS, llm_url=model.endpoint.url, llm_model="tiny", llm_seconds=5.0)
    assert ways(trial)["model"]["model"] == "tiny"
    answer = rewrite(trial, words_alone(trial))
    assert isinstance(answer, Attempt)
    assert answer.detail["queries rewritten"]["model"] == 60
    assert len(model.asked) == 12  # equal texts are asked once
    assert answer.detail["trouble"] == {}


def test_a_model_that_is_down_is_named_and_the_others_are_tried(make: Make) -> None:
    trial = make(ACRONYMS, llm_url="http://127.0.0.1:9/v1", llm_model="tiny")
    answer = rewrite(trial, words_alone(trial))
    assert isinstance(answer, Attempt)
    assert answer.detail["chosen"] == "shorthand"
    assert answer.detail["queries rewritten"]["model"] == 0
    assert "127.0.0.1:9" in answer.detail["trouble"]["model"]


def test_the_ranker_can_have_the_rewritten_branch(make: Make) -> None:
    trial = make(ACRONYMS)
    node = branch(trial, recipe.lexical(trial.depth))
    assert node is not None
    assert {"d3", "g3"} <= set(trial.run(node)["q3"].documents)
    assert branch(make(["tighten the bolt"] * 60), recipe.lexical(20)) is None
