"""What people see besides the page: answers, snippets, examples, advice, tables and progress."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from resurvey import settings
from resurvey.diagnose.answer import READINGS, bottleneck
from resurvey.promote.registry import Ranked
from resurvey.show.advice import following, limits
from resurvey.show.console import standing_table
from resurvey.show.examples import examples
from resurvey.show.progress import Bars
from resurvey.show.snippet import WORDS, snippet
from resurvey.types import Comparison, Diagnosis, Document, Finding, Interval, Json

SETTINGS = settings.Settings(settings.defaults())


def diagnosis(
    dense: float, lexical: float, fused: float, recall: float, near: float, by: str = "judgments"
) -> Diagnosis:
    def found(id: str, value: float, **evidence: object) -> Finding:
        return Finding(id, id, value, "", None, "unknown", "", evidence=dict(evidence))

    means = {"dense": dense, "lexical": lexical, "fused": fused}
    return Diagnosis(
        (found("R19-quality", dense, means=means), found("R18-recall", recall), found("R18-ranking", near)), by
    )


@pytest.mark.parametrize(
    ("measured", "short", "word"),
    [
        ((0.4, 0.5, 0.5, 0.9, 10), "yes", "word search"),
        ((0.4, 0.3, 0.4, 0.7, 10), "yes", "70 %"),
        ((0.6, 0.5, 0.66, 0.95, 40), "partly", "adds 6.0 points"),
        ((0.6, 0.5, 0.5, 0.95, 40), "partly", "the order is the bottleneck"),
        ((0.9, 0.5, 0.5, 0.99, 5), "no", "Look elsewhere"),
        ((0.5, 0.4, 0.4, 0.9, 5), "partly", "does not do better"),
    ],
)
def test_the_bottleneck_is_answered_from_what_was_measured(
    measured: tuple[float, float, float, float, float], short: str, word: str
) -> None:
    answer = bottleneck(diagnosis(*measured))
    assert answer.short == short
    assert word in answer.sentence


def test_every_reading_answers_for_some_measurement() -> None:
    assert len({row.sentence for row in READINGS}) == 6


def test_without_judgments_or_measurements_the_bottleneck_is_unknown() -> None:
    assert bottleneck(diagnosis(0.4, 0.5, 0.5, 0.9, 10, by="stand-in queries")).short == "unknown"
    assert bottleneck(Diagnosis((), "judgments")).short == "unknown"


def test_a_snippet_shows_the_window_with_the_words_asked_for() -> None:
    document = Document("d", " ".join(["filler"] * 200 + ["the", "pumps", "leak", "oil"] + ["filler"] * 200))
    found = snippet(document, "leaking pump", "english")
    assert [text for text, hit in found if hit] == ["pumps", "leak"]
    assert found[0][0].startswith("…")
    assert found[-1][0].endswith("…")
    assert len("".join(text for text, _ in found).split()) <= WORDS + 2


def test_a_snippet_of_a_short_text_is_the_text_and_of_none_the_title() -> None:
    assert "".join(text for text, _ in snippet(Document("d", "one  two\nthree"), "x", "english")) == "one two three "
    assert snippet(Document("d", "", "Title"), "x", "english") == [("Title", False)]


def test_examples_show_those_that_won_lost_and_still_fail() -> None:
    queries = tuple(f"q{place}" for place in range(12))
    top = dict.fromkeys(queries, ("d0", "d1"))
    was = Ranked(top, dict(zip(queries, [8] * 6 + [1] * 3 + [0] * 3, strict=True)))
    now = Ranked(top, dict(zip(queries, [1] * 6 + [7] * 3 + [40] * 3, strict=True)))
    documents = {"d0": Document("d0", "text", "Right"), "d1": Document("d1", "long text " * 20)}
    qrels = {query: {"d0": 1} for query in queries}
    found = examples(was, now, qrels, {q: f"ask {q}" for q in queries}, documents, "english")
    assert [e["kind"] for e in found] == ["won"] * 5 + ["lost"] * 2 + ["still failing"] * 3
    assert found[0]["before"]["rank"] == 8
    assert [hit["right"] for hit in found[0]["after"]["top"]] == [True, False]
    assert found[0]["right"][0]["title"] == "Right"
    assert found[0]["before"]["top"][1]["title"].endswith("…")


def comparison(difference: float, p: float) -> Comparison:
    around = Interval(difference - 0.02, difference + 0.02)
    return Comparison("rrf", "0001-x", "nDCG@10", 100, 0.5, 0.5 + difference, difference, 0.01, around, p, p, 0.03)


def facts(**changed: object) -> Json:
    value: Json = {
        "judged_by": "judgments",
        "proof": None,
        "data": {"judged": {"train": 9, "test": 9}},
        "live": "0001-x",
    }
    return value | changed


def test_what_comes_next_follows_from_what_is_missing() -> None:
    sure = [step["command"] for step in following("work", facts(), comparison(0.05, 0.001))]
    assert sure[0] == "resurvey evaluate work --split test"
    assert "resurvey rollback work" in sure
    unsure = following("work", facts(), comparison(0.01, 0.4))
    assert "about 900 judged queries" in unsure[0]["why"]
    proved = [step["command"] for step in following("work", facts(proof={}), None)]
    assert not any("--split test" in command for command in proved)
    blind = following("work", facts(judged_by="stand-in queries", live="base"), None)
    assert "--judgments" in blind[0]["command"]
    assert not any("rollback" in step["command"] for step in blind)


def test_limits_name_small_slices_and_queries_that_chose_and_judged() -> None:
    ladder = {"judged_by": "judgments", "gate_apart": False}
    rows = [{"name": "short queries", "queries": 30}, {"name": "long queries", "queries": 300}]
    said = " ".join(limits(ladder, 0.031, 330, rows, SETTINGS))
    assert "3.1 points" in said
    assert "short queries (30)" in said
    assert "long queries (" not in said
    assert "expect a little less" in said
    assert "documents that training never named" in said
    assert "proves a gain" in limits({"judged_by": "stand-in queries"}, 0, 0, [], SETTINGS)[0]


def test_the_table_of_pipelines_fits_80_columns_and_marks_what_is_live() -> None:
    row = {"says": "both, equal weights", "mean": 0.7, "gain": None, "live": False}
    rows = [
        row | {"name": "rrf", "kind": "untouched"},
        row
        | {"name": "0004-ranker", "kind": "kept", "gain": {"points": 3.6, "low": -11.5, "high": 15.8}, "live": True},
        row | {"name": "0005-memory", "kind": "nothing to gain", "mean": None, "says": "why " * 30},
    ]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(standing_table({"ladder": rows, "measure": "nDCG@10", "best_untouched": "rrf", "gated_on": 1234}))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[1] for line in lines if line.startswith("▶")] == ["0004-ranker"]
    assert "1,234 held-out queries" in lines[-1]


def test_progress_shows_the_chapter_above_what_is_being_done_in_it() -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=True)
    with Bars(False, console) as bars:
        bars("Trying ranker", 1, 5)
        bars("gathering evidence", 3, 10)
        assert [task.description for task in bars._drawn.tasks] == ["Trying ranker", "gathering evidence"]
        bars("comparing", 0, 1)
        assert [task.description for task in bars._drawn.tasks] == ["Trying ranker", "comparing"]
        assert bars._drawn.tasks[-1].total is None
        bars("Reporting", 0, 1)
        assert [task.description for task in bars._drawn.tasks] == ["Reporting"]


def test_progress_is_silent_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(False) as bars:
        bars("embedding passages", 1, 10)
    assert capsys.readouterr() == ("", "")
