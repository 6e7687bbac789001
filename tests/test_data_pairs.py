"""Pairs, triplets and answer logs name texts or ids; unknown texts are refused, or become documents on request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resurvey.data.collection import collect, load, save
from resurvey.data.read import Sources, read
from resurvey.errors import ResurveyError
from resurvey.types import Answer, Document, Judgment, Query

Write = Callable[[str, str], Path]


@pytest.fixture
def corpus(write: Write) -> Path:
    return write("c.jsonl", '{"id": "d1", "title": "Pump", "text": "seal  and valve"}\n{"id": "d2", "text": "rotor"}\n')


def test_texts_and_ids_of_known_documents_are_found(corpus: Path, write: Write) -> None:
    pairs = write(
        "p.csv", "anchor,positive,negative_1,negative_2\nleak,seal and valve,rotor,\nleak,Pump seal and valve,,\n"
    )
    brought = read(Sources(corpus, write("q.csv", "id,text\nq1,leak\n"), pairs=pairs))
    assert brought.judgments == {"": (Judgment("q1", "d1", 1), Judgment("q1", "d2", 0))}
    assert brought.queries == (Query("q1", "leak"),)


def test_pairs_alone_make_a_corpus_when_asked(write: Write) -> None:
    pairs = write("p.jsonl", '{"query": "a  b", "pos": ["x", "y"], "neg": "z"}\n{"query": "a b", "pos": "w"}\n')
    with pytest.raises(ResurveyError) as caught:
        read(Sources(pairs=pairs))
    assert caught.value.next == "the same command with --add-texts; nothing was imported"
    brought = read(Sources(pairs=pairs, add_texts=True))
    assert [document.text for document in brought.documents] == ["x", "y", "z", "w"]
    assert len(brought.queries) == 1
    assert [row.grade for row in brought.judgments[""]] == [1, 1, 0, 1]
    again = read(Sources(pairs=write("other.jsonl", '{"query": "new", "pos": "x"}\n'), add_texts=True))
    assert again.documents[0] == brought.documents[0], "an id is of the text, whatever file it came in"


def test_a_grade_column_grades_the_positive(corpus: Path, write: Write) -> None:
    brought = read(Sources(corpus, pairs=write("p.tsv", "query\tdocument\tlabel\nleak\td1\t3\nleak\td2\t0\n")))
    assert [(row.document, row.grade) for row in brought.judgments[""]] == [("d1", 3), ("d2", 0)]


def test_a_pair_agrees_with_a_higher_grade_and_contradicts_none(corpus: Path, write: Write) -> None:
    queries, grades = write("q.csv", "id,text\nq1,leak\n"), write("j.tsv", "q1\td1\t4\nq1\td2\t0\n")
    agreed = read(Sources(corpus, queries, {"": grades}, pairs=write("p.csv", "query,positive\nleak,d1\n")))
    assert agreed.judgments == {"": (Judgment("q1", "d1", 4), Judgment("q1", "d2", 0))}
    with pytest.raises(ResurveyError, match=r"p.csv:2: grades 'd2' for 'q1' 1, .*j.tsv, line 2, graded it 0"):
        read(Sources(corpus, queries, {"": grades}, pairs=write("p.csv", "query,positive\nleak,d2\n")))
    with pytest.raises(ResurveyError, match=r"p.csv:3: grades 'd1' for 'q-\w+' 0, line 2 graded it 1"):
        read(Sources(corpus, pairs=write("p.csv", "query,positive,negative\nnoise,d1,\nnoise,d2,d1\n")))


def test_pairs_beside_a_division_join_its_training_side(corpus: Path, write: Write) -> None:
    queries = write("q.csv", "id,text\nq1,leak\nq2,noise\n")
    splits = {"test": write("test.tsv", "q1\td1\t1\n")}
    brought = read(Sources(corpus, queries, splits, pairs=write("p.csv", "query,positive\nq2,d1\n")))
    assert brought.judgments == {"test": (Judgment("q1", "d1", 1),), "train": (Judgment("q2", "d1", 1),)}
    with pytest.raises(ResurveyError, match=r"p.csv: 1 queries are judged in test too"):
        read(Sources(corpus, queries, splits, pairs=write("p.csv", "query,positive\nleak,d2\n")))


def test_ids_that_were_only_counted_here_are_no_names(write: Write) -> None:
    corpus, pairs = write("c.jsonl", '{"text": "x"}\n'), write("p.csv", "query,positive\nleak,1\n")
    with pytest.raises(ResurveyError, match="'1' is neither the id nor the text of a document"):
        read(Sources(corpus, pairs=pairs))


@pytest.mark.parametrize(
    ("passages", "expected"),
    [
        ('["d1", "rotor"]', ("d1", "d2")),
        ("d1, d2", ("d1", "d2")),
        ("rotor", ("d2",)),
        ("", ()),
        ("d2;d1", ("d2", "d1")),
    ],
)
def test_answers_come_with_their_passages(corpus: Path, write: Write, passages: str, expected: tuple[str, ...]) -> None:
    cell = passages.replace('"', '""')
    log = write("a.csv", f'question,contexts,response,ground_truth\nleak,"{cell}",so,thus\n')
    brought = read(Sources(corpus, write("q.csv", "id,text\nq1,leak\n"), answers=log))
    assert brought.answers == (Answer("q1", expected, "so", "thus"),)


def test_answers_and_columns_come_back_from_disk(corpus: Path, write: Write, tmp_path: Path) -> None:
    log = write("a.jsonl", '{"query": "new one", "passages": ["d1", "a text"], "answer": "so"}\n')
    with pytest.raises(ResurveyError, match=r"a.jsonl:1: 'a text' is neither the id nor the text of a document"):
        read(Sources(corpus, answers=log))
    sources = Sources(corpus, answers=log, add_texts=True)
    made = collect(read(sources), 1)
    manifest = save(made, tmp_path / "data", sources)
    assert manifest["answers"] == 1
    assert manifest["columns"][str(log)] == {"query": "query", "passages": "passages", "answer": "answer"}
    again = load(tmp_path / "data")
    assert again == made
    assert again.documents[-1] == Document(again.answers[0].passages[1], "a text")
    assert again.queries[again.answers[0].query].text == "new one"
