"""Judgments and runs: tables of known ids, grades on one scale, scores that are numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resurvey.data import grids, tables
from resurvey.data.columns import assign
from resurvey.data.judgments import Grades, judge, read_run
from resurvey.data.lines import Problems
from resurvey.types import Judgment, Query

Write = Callable[[str, str], Path]
KNOWN = {"q1": Query("q1", "leak"), "q2": Query("q2", "noise")}


def read_judgments(
    path: Path, queries: dict[str, Query], documents: set[str], problems: Problems
) -> tuple[Judgment, ...]:
    grades = Grades(problems)
    assigned = assign(tables.read_tables(path, problems, grids.plain_file)[""], "judgments", {}, problems)
    if assigned:
        judge(*assigned, "", queries, documents, grades)
    return grades.judgments().get("", ())


def messages(problems: Problems) -> list[str]:
    return [f"{Path(p.where).name}: {p.what}" for p in problems.found]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("j.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t0\n"),
        ("j.tsv", "q1\td1\t2\nq2\td2\t0\n"),
        ("j.qrels", "q1 0 d1 2\nq2 0 d2 0\n"),
        ("j.qrels", "\u3000\nq1 0 d1 2\nq2 0 d2 0\n"),
        ("j.txt", "q1\t0\td1\t2.0\r\nq2   0 d2 0\r\n\r\n"),
        ("j.jsonl", '{"query-id": "q1", "corpus-id": "d1", "score": 2}\n{"qid": "q2", "docid": "d2", "label": "0"}\n'),
    ],
)
def test_judgments_are_read_from_tsv_trec_and_jsonl(write: Write, name: str, text: str) -> None:
    problems = Problems()
    found = read_judgments(write(name, text), KNOWN, {"d1", "d2"}, problems)
    assert not problems.found
    assert found == (Judgment("q1", "d1", 2), Judgment("q2", "d2", 0))


def test_a_judgment_without_a_grade_is_relevant_and_a_repeated_one_counts_once(write: Write) -> None:
    line = '{"query": "q1", "document": "d1"}\n'
    problems = Problems()
    assert read_judgments(write("j.jsonl", line * 2), KNOWN, {"d1"}, problems) == (Judgment("q1", "d1", 1),)
    assert not problems.found


def test_a_first_row_with_a_grade_is_a_judgment_even_where_a_query_is_called_query(write: Write) -> None:
    problems = Problems()
    found = read_judgments(write("j.tsv", "query\td1\t1\n"), {"query": Query("query", "x")}, {"d1"}, problems)
    assert found == (Judgment("query", "d1", 1),)


@pytest.mark.parametrize("grade", ["5", "-1", "1.5", "yes", "nan", "inf", "1e400"])
def test_a_grade_outside_the_scale_is_refused(write: Write, grade: str) -> None:
    problems = Problems()
    assert read_judgments(write("j.tsv", f"q1\td1\t{grade}\n"), KNOWN, {"d1"}, problems) == ()
    assert messages(problems) == [f"j.tsv:1: grade is '{grade}', must be a whole number from 0 to 4"]


def test_contradictions_and_wrong_columns_of_judgments_are_named(write: Write) -> None:
    problems = Problems()
    text = "q1\td1\t1\nq1\td1\t2\nq1\td1\nq2\t\td2\tx\t1\n"
    read_judgments(write("j.tsv", text), KNOWN, {"d1", "d2"}, problems)
    read_judgments(write("j.jsonl", '{"query": "q1", "score": true}\n'), KNOWN, {"d1"}, problems)
    read_judgments(write("k.jsonl", '{"query": "q1", "document": "d1", "score": true}\n'), KNOWN, {"d1"}, problems)
    assert messages(problems) == [
        "j.tsv:2: grades 'd1' for 'q1' 2, line 1 graded it 1",
        "j.tsv:3: has 2 cells, line 1 has 3",
        "j.tsv:4: has 5 cells, line 1 has 3",
        "j.jsonl: has no column for judgments.document (a document's id); its columns are query, score",
        "k.jsonl:1: grade is True, must be a whole number from 0 to 4",
    ]


def test_a_trec_run_is_read_by_score(write: Write) -> None:
    problems = Problems()
    path = write("r.trec", "q1 Q0 d1 1 2.5 tag\nq1\tQ0\td2\t2\t-1e-3\ttag\nq7 Q0 d1 1 1 tag\n")
    assert read_run(path, {"d1", "d2"}, problems) == {"q1": {"d1": 2.5, "d2": -0.001}, "q7": {"d1": 1.0}}
    assert not problems.found


@pytest.mark.parametrize("score", ["nan", "inf", "one"])
def test_a_run_score_must_be_a_finite_number(write: Write, score: str) -> None:
    problems = Problems()
    read_run(write("r.trec", f"q1 Q0 d1 1 {score} tag\n"), {"d1"}, problems)
    assert messages(problems) == [f"r.trec:1: score is '{score}', must be a number"]
