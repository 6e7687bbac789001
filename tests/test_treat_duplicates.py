"""Near-duplicates collapsed: gained where twins take places, never where anything tells documents apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bag import builder as built
from bag import settings as plain
from hypothesis import given, settings
from hypothesis import strategies as st
from test_treat import collected, flat, start, turned

from resurvey.data.duplicates import duplicates
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.treat import ladder
from resurvey.treat.attempt import Attempt, Nothing
from resurvey.treat.catalog import row
from resurvey.treat.duplicates import duplicate_documents, told_apart
from resurvey.treat.trial import Trial, judged_trial
from resurvey.types import Document, Qrels, Query
from resurvey.workspace import Artefacts

TOPICS = ("valve pump", "rotor seal", "bearing flange", "gasket torque", "weld alloy", "relay fuse")
FILLER = "please inspect the machine and record what you have seen before anybody starts it again tomorrow morning here"


def told(one: str, other: str, titles: tuple[str, str] = ("", "")) -> bool:
    pair = (Document("a", one, titles[0]), Document("b", other, titles[1]))
    return not duplicates(pair, lambda d: told_apart(d, "english"), like=0.5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5/16-18", "5/16-24"), ("5/16-18", "5-16/18"), ("F33.1", "F33.2"), ("type I", "type II"), ("stage 1", "stage 2"),
        ("category 1", "category 2"), ("hepatitis A", "hepatitis B"), ("vitamin D", "vitamin E"), ("C++", "C#"),
        ("chapter iv", "chapter vi"), ("10 to 20", "20 to 10"), ("np.linalg", "np.random"), ("AR-B", "AR-C"),
        ("28 USC 1331", "28 USC 1332"), ("-40", "40 below"), ("10mg", "10 g"), ("v2", "v3"), ("$5", "€5"),
    ],
)  # fmt: skip
def test_look_alikes_stay_apart_whatever_they_share(one: str, other: str) -> None:
    assert told(f"hex cap screw {one} zinc. {FILLER}", f"hex cap screw {other} zinc. {FILLER}")
    assert not told(f"hex cap screw {one} zinc. {FILLER}", f"Hex cap screw {one} zinc. {FILLER}!")
    assert told(FILLER, FILLER, (f"screw {one}", f"screw {other}"))


def test_another_title_is_another_document_and_case_is_not() -> None:
    assert told(FILLER, FILLER, ("Flip case", "Folio case"))
    assert not told(FILLER, FILLER, ("Flip case", "FLIP case."))


CODES = st.from_regex(r"[A-Z]{0,2}[0-9]{1,3}([-/.][0-9]{1,2})?", fullmatch=True)


@settings(max_examples=80, deadline=None)
@given(CODES, CODES, st.integers(0, 17))
def test_documents_whose_codes_differ_are_never_merged(one: str, other: str, at: int) -> None:
    words = FILLER.split()
    texts = [" ".join([*words[:at], code, *words[at:]]) for code in (one, other)]
    assert told(*texts) == (one.casefold() != other.casefold())


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Of each topic four pages that say the same and, ranked below them, the page that is wanted."""
    made = []
    for place, topic in enumerate(TOPICS):
        made += [Document(f"t{place}-{copy}", f"{topic} {topic}. {FILLER}" + "!" * copy) for copy in range(4)]
        made.append(Document(f"w{place}", f"{topic} and how it is mended by those who know. {FILLER} {FILLER}"))
    return built(tmp_path_factory.mktemp("duplicates"), made, depth=10)


def trial_of(builder: Builder, qrels: Qrels | None = None) -> Trial:
    queries = tuple(
        Query(f"q{place}", f"{TOPICS[place % 6]} {'mend' if place % 4 else 'service'}") for place in range(60)
    )
    wanted = qrels or {query.id: {f"w{place % 6}": 1} for place, query in enumerate(queries)}
    return judged_trial(collected(builder.index.documents, queries, wanted), builder, plain(depth=10))


def test_twins_that_take_the_places_of_what_is_wanted_are_collapsed(builder: Builder) -> None:
    trial = trial_of(builder)
    state = start(trial)
    answer = duplicate_documents(trial, state)
    assert isinstance(answer, Attempt)
    assert answer.state.root["stage"] == "collapsed"
    assert answer.detail["clusters"] == 6
    assert answer.detail["documents in clusters"] == 24
    assert trial.scores(answer.state.run, "").mean > trial.scores(state.run, "").mean + 0.1
    again = Builder(trial.index, Artefacts(trial.artefacts.folder)).node(answer.state.root).search(trial.queries)
    assert {q: list(r.documents) for q, r in again.rankings.items()} == {
        q: list(r.documents) for q, r in answer.state.run.rankings.items()
    }
    rungs = list(ladder.climb(trial, [row("duplicates")]))
    assert rungs[0].kept


def test_judgments_that_name_a_lower_twin_refuse_and_the_best_member_is_said_beside(builder: Builder) -> None:
    trial = trial_of(builder, {f"q{place}": {f"t{place % 6}-3": 1} for place in range(60)})
    answer = duplicate_documents(trial, start(trial))
    assert isinstance(answer, Attempt)
    assert not next(iter(ladder.climb(trial, [row("duplicates")]))).kept
    assert answer.detail["after, judged by the best member"] >= answer.detail["before, judged by the best member"]
    assert answer.detail["after, judged by the best member"] == 1.0


def test_the_collapse_is_chosen_out_of_fold(builder: Builder) -> None:
    first = duplicate_documents(trial_of(builder), start(trial_of(builder)))
    qrels = {f"q{place}": {f"w{place % 6}": 1} for place in range(60)}
    dev = trial_of(builder, turned(qrels, lambda number: number % 10 >= 7))
    dev.qrels = {q: {d.replace("d", "w"): g for d, g in grades.items()} for q, grades in dev.qrels.items()}
    second = duplicate_documents(dev, start(dev))
    assert isinstance(first, Attempt)
    assert isinstance(second, Attempt)
    assert flat(first.state.run) == flat(second.state.run)


def test_there_is_nothing_to_collapse_without_twins_or_without_judgments(builder: Builder, tmp_path: Path) -> None:
    trial = trial_of(builder)
    trial.groups = ("title",) * 60
    assert "stand-in queries want one document each" in nothing(duplicate_documents(trial, start(trial)))
    alone = built(tmp_path, [Document(f"d{place}", f"{FILLER} number {place}") for place in range(20)])
    queries = tuple(Query(f"q{place}", f"number {place}") for place in range(20))
    other = judged_trial(
        collected(alone.index.documents, queries, {f"q{p}": {f"d{p}": 1} for p in range(20)}), alone, plain()
    )
    assert nothing(duplicate_documents(other, start(other))).startswith("no two of 20 documents say the same")
    apart = trial_of(builder)
    state = start(apart)
    shallow = replace(state, run=state.run.top(1))
    assert "no query finds two members" in nothing(duplicate_documents(apart, shallow))


def test_what_is_only_alike_and_wanted_itself_is_left_alone(tmp_path: Path) -> None:
    """Twins that differ in a word and are each judged: none is collapsed, and the verdict says what was tried."""
    texts = [f"{topic} {FILLER} {FILLER} {word}" for topic in TOPICS for word in ("zinc", "brass")]
    two = built(tmp_path, [Document(f"d{place}", text) for place, text in enumerate(texts)])
    queries = tuple(Query(f"q{place}", texts[place % 12]) for place in range(60))
    qrels = {f"q{place}": {f"d{place % 12 // 2 * 2}": 1, f"d{place % 12 // 2 * 2 + 1}": 1} for place in range(60)}
    trial = judged_trial(collected(two.index.documents, queries, qrels), two, plain())
    assert nothing(duplicate_documents(trial, start(trial))).startswith("the queries ask for no collapse; documents as")


def nothing(answer: Attempt | Nothing) -> str:
    assert isinstance(answer, Nothing)
    return answer.reason


def test_a_collapsed_pipeline_can_be_filtered_down_to_a_twin(builder: Builder) -> None:
    trial = trial_of(builder)
    answer = duplicate_documents(trial, start(trial))
    assert isinstance(answer, Attempt)
    shown = set()
    for query in trial.queries[:6]:
        shown |= set(builder.node(recipe.collapsed(recipe.lexical(30), answer.state.root["clusters"])).search([query])[query.id].documents)  # fmt: skip
    assert np.all([f"w{place}" in shown for place in range(6)])
