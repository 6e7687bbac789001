"""Readers take the formats people bring, name every problem with its line, and never half import."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.data import collection, records, tables
from resurvey.data.columns import assign
from resurvey.data.lines import Problems, read_lines
from resurvey.data.read import (
    NO_SPLIT,
    Brought,
    Sources,
    beir,
    named_runs,
    read,
    read_queries,
)
from resurvey.errors import SHOWN, ResurveyError
from resurvey.types import Document, Judgment, Query

Write = Callable[[str, str], Path]
CORPUS = '{"_id": "d1", "title": "Pump", "text": "seal and valve"}\n{"_id": "d2", "text": "rotor"}\n'
QUERIES = '{"_id": "q1", "text": "leak"}\n{"_id": "q2", "text": "noise"}\n'
KNOWN = {"q1": Query("q1", "leak"), "q2": Query("q2", "noise")}
FEW = tried(max_examples=60, deadline=None, derandomize=True, database=None)


def read_documents(path: Path, problems: Problems) -> dict[str, Document]:
    assigned = assign(tables.read_tables(path, problems, tables.text_lines)[""], "corpus", {}, problems)
    return records.documents(*assigned, problems)[0] if assigned else {}


def refused(sources: Sources) -> list[str]:
    """The problems, as lines without the folder, and the next command as the last."""
    with pytest.raises(ResurveyError) as caught:
        read(sources)
    folder = f"{sources.corpus.parent}/"
    return [*(str(p).replace(folder, "") for p in caught.value.problems), caught.value.next]


def outcome(sources: Sources) -> Brought | ResurveyError:
    try:
        return read(sources)
    except ResurveyError as error:
        return error


def test_a_beir_folder_reads_as_it_was_written(
    beir_folder: Path, documents: tuple[Document, ...], queries: tuple[Query, ...], qrels: dict[str, dict[str, int]]
) -> None:
    brought = read(beir(beir_folder))
    assert brought.documents == documents
    assert brought.queries == queries
    assert list(brought.judgments) == ["train", "dev"]
    given = {(row.query, row.document, row.grade) for rows in brought.judgments.values() for row in rows}
    assert given == {(q, d, g) for q, grades in qrels.items() for d, g in grades.items()}
    assert [len(rows) for rows in brought.judgments.values()] == [42, 18]


def test_of_a_beir_folder_only_the_corpus_must_be_there(write: Write, tmp_path: Path) -> None:
    corpus = write("corpus.jsonl", CORPUS)
    assert beir(tmp_path) == Sources(corpus)
    odd = write("qrels/validation.tsv", "")
    test = write("qrels/test.tsv", "")
    assert beir(tmp_path) == Sources(corpus, None, {"test": test}, {}, (odd,))


def test_a_folder_without_corpus_is_refused_with_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(ResurveyError) as caught:
        beir(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: holds no corpus.jsonl, so it is not a BEIR folder\n"
        f"Next: --corpus {tmp_path}, if it holds Markdown or text; --corpus FILE, for a single file"
    )


def test_sources_list_every_file_that_is_read(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("c", "q", "train", "dev", "run")]
    corpus, queries, train, dev, run = names
    assert Sources(corpus, queries, {"train": train, "dev": dev}, {"old": run}).files() == names
    assert Sources(corpus).files() == [corpus]


@pytest.mark.parametrize(
    ("line", "document"),
    [
        ('{"_id": "a", "text": "x"}', Document("a", "x")),
        ('{"id": 7, "contents": "x"}', Document("7", "x")),
        ('{"id": "a", "title": "T", "body": " x "}', Document("a", "x", "T")),
        ('{"_id": "a", "title": "only"}', Document("a", "", "only")),
        ('{"_id": "a", "text": "x\\u0000y"}', Document("a", "x y")),
        ('{"_id": "a", "text": "x", "url": "u", "n": 2, "f": 0.5, "b": true}',
         Document("a", "x", "", {"url": "u", "n": 2, "f": 0.5, "b": True})),
        ('{"_id": "a", "text": "x", "n": 1, "metadata": {"n": 2, "m": "k"}}', Document("a", "x", "", {"n": 2, "m": "k"})),
        ('{"_id": "a", "text": "x", "tags": ["t"], "none": null, "nan": NaN}', Document("a", "x")),
        ('{"_id": "a", "text": "x", "metadata": null}', Document("a", "x")),
    ],
)  # fmt: skip
def test_a_document_is_read_from_the_usual_fields(write: Write, line: str, document: Document) -> None:
    problems = Problems()
    assert read_documents(write("c.jsonl", line), problems) == {document.id: document}
    assert not problems.found


def test_byte_order_mark_any_line_end_and_blank_lines_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"_id":"a","text":"x"}\r\n\r\n  \n{"_id":"b","text":"y"}\r{"_id":"c","text":"z"}')
    problems = Problems()
    assert list(read_documents(path, problems)) == ["a", "b", "c"]
    assert not problems.found
    assert [number for number, _ in read_lines(path, problems)] == [1, 4, 5]


def test_every_bad_document_line_is_named_with_its_rule(write: Write, tmp_path: Path) -> None:
    bad = [
        "{not json",
        "[1]",
        '{"text": "no id"}',
        '{"_id": true, "text": "x"}',
        '{"_id": "", "text": "x"}',
        '{"_id": "a b", "text": "x"}',
        '{"_id": "nul\\u0000", "text": "x"}',
        '{"_id": "\\ud800", "text": "x"}',
        '{"_id": "n", "text": 5}',
        '{"_id": "e", "text": " "}',
        '{"_id": "d1", "text": "again"}',
        '{"_id": "s", "text": "\\udc00 x"}',
        '{"_id": "m", "text": "x", "metadata": 3}',
        '{"_id": "k", "text": "x", "field": "\\ud800"}',
        '{"_id": ' + "1" * 5000 + ', "text": "x"}',
        "[" * 100_000,
    ]
    path = write("c.jsonl", '{"_id": "d1", "text": "first"}\n' + "\n".join(bad) + "\n")
    character = "holds half of a surrogate pair, which is no character"
    unnameable = "must not hold white space, NUL or half of a surrogate pair (TREC files could not name it)"
    assert refused(Sources(path)) == [
        "c.jsonl:2: is not JSON: Expecting property name enclosed in double quotes",
        "c.jsonl:3: must be a JSON object, is [1]",
        "c.jsonl:4: has no id (`_id` or `id`); its fields are ['text']",
        "c.jsonl:5: `_id` is True, must be a text or a whole number",
        "c.jsonl:6: `_id` is '', must be a text or a whole number",
        f"c.jsonl:7: `_id` is 'a b', {unnameable}",
        f"c.jsonl:8: `_id` is 'nul\\x00', {unnameable}",
        f"c.jsonl:9: `_id` is '\\ud800', {unnameable}",
        "c.jsonl:10: `text` is 5, must be a text",
        "c.jsonl:10: document 'n' has neither title nor text",
        "c.jsonl:11: document 'e' has neither title nor text",
        "c.jsonl:12: document id 'd1' is that of line 1 already",
        f"c.jsonl:13: `text` {character}",
        "c.jsonl:13: document 's' has neither title nor text",
        "c.jsonl:14: `metadata` is 3, must be an object",
        f"c.jsonl:15: field 'field' {character}",
        "c.jsonl:16: is not JSON: holds a number of too many digits",
        "c.jsonl:17: is not JSON: nested too deeply",
        "mend the files, then the same command again; nothing was imported",
    ]


def test_bad_bytes_are_named_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"_id":"a","text":"x"}\n{"_id":"b","text":"\xff"}\n{"_id":"\0"}\n')
    assert refused(Sources(path))[:-1] == [
        "c.jsonl:2: is not UTF-8: byte 0xff at column 20",
        "c.jsonl:3: holds a NUL byte",
    ]
    path.write_text('{"_id":"a"}', encoding="utf-16")
    assert refused(Sources(path))[:-1] == ["c.jsonl: is UTF-16, must be UTF-8"]


def test_files_that_cannot_be_read_or_hold_nothing_are_named(tmp_path: Path, write: Write) -> None:
    absent = Sources(tmp_path / "none.jsonl", tmp_path, {NO_SPLIT: tmp_path / "j"}, {"old": tmp_path / "r"})
    assert refused(absent)[:-1] == [
        "none.jsonl: cannot be read: No such file or directory",
        f"{tmp_path}: is a folder without dataset_dict.json or state.json, so it is no dataset; name a file",
        "j: cannot be read: No such file or directory",
        "r: cannot be read: No such file or directory",
    ]
    assert refused(Sources(write("c.jsonl", "\n")))[:-1] == ["c.jsonl: holds no document"]


def test_problems_of_all_files_come_together(write: Write) -> None:
    sources = Sources(
        write("c.jsonl", CORPUS + '{"text": "x"}\n'),
        write("q.jsonl", QUERIES + '{"_id": "q3", "text": ""}\n{"_id": "q1", "text": "twice"}\n'),
        {"dev": write("dev.tsv", "query-id\tcorpus-id\tscore\nq1\td9\t1\nq9\td1\t1\n")},
        {"old": write("old.trec", "q1 Q0 d1 1 high x\nq1 Q0 d1 2 0.5 x\nq1 Q0 d8 3 0.4 x\nq1 d1 1\n")},
    )
    assert refused(sources) == [
        "c.jsonl:3: has no id (`_id` or `id`); its fields are ['text']",
        "q.jsonl:3: query 'q3' has no text",
        "q.jsonl:4: query id 'q1' is that of line 1 already",
        "dev.tsv:2: document 'd9' is not in the corpus",
        "dev.tsv:3: query 'q9' is not among the queries",
        "old.trec:1: score is 'high', must be a number",
        "old.trec:2: ranks 'd1' twice for 'q1'",
        "old.trec:3: document 'd8' is not in the corpus",
        "old.trec:4: has 3 columns, a TREC run has 6 (query Q0 document rank score tag)",
        "mend the files, then the same command again; nothing was imported",
    ]


def test_a_long_list_of_problems_is_kept_whole_and_shown_in_part(write: Write) -> None:
    with pytest.raises(ResurveyError) as caught:
        read(Sources(write("c.jsonl", "{\n" * (SHOWN + 5))))
    assert len(caught.value.problems) == SHOWN + 5
    lines = str(caught.value).splitlines()
    assert len(lines) == SHOWN + 1
    assert lines[SHOWN - 1].endswith("double quotes (and 5 more like this)")


def test_a_query_judged_in_two_splits_is_refused(write: Write) -> None:
    splits = {
        "train": write("train.tsv", "q1\td1\t1\nq2\td1\t1\n"),
        "dev": write("dev.tsv", "q2\td2\t1\n"),
        "test": write("test.tsv", "q1\td2\t1\nq2\td2\t1\n"),
    }
    assert refused(Sources(write("c.jsonl", CORPUS), write("q.jsonl", QUERIES), splits))[:-1] == [
        "dev.tsv: 1 queries are judged in train too (first: 'q2'); a split must have its own",
        "test.tsv: 2 queries are judged in dev, train too (first: 'q1'); a split must have its own",
    ]


def test_query_text_may_stand_under_query(write: Write) -> None:
    problems = Problems()
    assert read_queries(write("q.jsonl", '{"id": 1, "query": " leak "}\n'), problems) == {"1": Query("1", "leak")}


FILES = {
    "c.jsonl": b'{"_id":"d1","text":"x"}\n',
    "q.jsonl": b'{"_id":"q1","query":"y"}\n',
    "j.tsv": b"q1\td1\t1\n",
    "j.txt": b"q1 0 d1 1\n",
    "j.jsonl": b'{"qid":"q1","docid":"d1"}\n',
    "r.trec": b"q1 Q0 d1 1 0.5 t\n",
}
PIECES = st.sampled_from([*FILES.values(), b"\n", b" ", b"\t", b"\x1c", b"\xef\xbb\xbf", b'"', b"{}", b"1"])
JUNK = st.binary(max_size=60) | st.lists(PIECES | st.binary(max_size=4), max_size=6).map(b"".join)


@tried(FEW, max_examples=150)
@given(st.sampled_from(sorted(FILES)), JUNK, st.sampled_from(["j.tsv", "j.txt", "j.jsonl"]))
@example("j.txt", "\u3000".encode(), "j.txt")
@example("r.trec", b"\x1c", "j.tsv")
def test_a_file_of_arbitrary_bytes_is_read_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: bytes, judgments: str
) -> None:
    folder = tmp_path_factory.mktemp("junk")
    for file, good in FILES.items():
        (folder / file).write_bytes(data if file == name else good)
    sources = Sources(
        folder / "c.jsonl", folder / "q.jsonl", {NO_SPLIT: folder / judgments}, {"old": folder / "r.trec"}
    )
    brought = outcome(sources)
    if isinstance(brought, ResurveyError):
        assert all(problem.where.startswith(str(folder)) for problem in brought.problems)
        assert brought.next.endswith("nothing was imported")
        return
    rows = [line for line in (folder / "c.jsonl").read_text("utf-8-sig").split("\n") if line.strip()]
    assert len(brought.documents) == len(rows)
    assert len(brought.queries) == 1
    blank = not data.decode("utf-8-sig", errors="replace").strip()
    assert brought.judgments[NO_SPLIT] == (() if name == judgments and blank else (Judgment("q1", "d1", 1),))
    assert brought.runs["old"].get("q1", {}) == ({} if name == "r.trec" and blank else {"d1": 0.5})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
SURROGATES = st.sampled_from(["\ud800", "a\udfff", "\0", " "])
KEYS = st.sampled_from(["_id", "id", "title", "text", "contents", "metadata", "year"])
GOOD = st.fixed_dictionaries(
    {"_id": st.integers(), "text": st.text("ab é\U0001f600", min_size=1).map("x".__add__)},
    optional={"title": st.text(max_size=3), "year": VALUES, "metadata": st.dictionaries(st.text(max_size=3), VALUES)},
)
ANY = st.dictionaries(KEYS, VALUES | SURROGATES, max_size=6)


@FEW
@given(st.lists(GOOD, min_size=1, max_size=4, unique_by=lambda row: row["_id"]) | st.lists(ANY, min_size=1, max_size=4))
def test_any_json_objects_are_refused_or_come_back_from_disk(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("objects")
    path = folder / "c.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sources = Sources(path, path)
    brought = outcome(sources)
    if isinstance(brought, ResurveyError):
        assert all(problem.where.startswith(str(path)) for problem in brought.problems)
        return
    assert len(brought.documents) == len(brought.queries) == len(rows)
    made = collection.collect(brought, 1)
    collection.save(made, folder / "data", sources)
    assert collection.load(folder / "data") == made


def test_names_of_runs_that_are_malformed_taken_or_given_twice_are_all_refused() -> None:
    assert named_runs(["mine=a.trec", "old=b.trec"]) == {"mine": Path("a.trec"), "old": Path("b.trec")}
    with pytest.raises(ResurveyError) as refused:
        named_runs(["base=a", "x", "=y", "mine=a", "mine=b", "3=c"])
    text = str(refused.value)
    for part in ("'base' is taken", "'x' must be NAME=FILE", "'=y' must be", "'mine' is given twice", "'3' is taken"):
        assert part in text
    assert "--run mine=results.trec" in text
