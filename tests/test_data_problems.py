"""Every kind of spoilage in every format is named with file and line, all at once, and nothing is made."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_data_formats import ANSWERS, DOCUMENTS, GRADES, PAIRS, QUERIES, written

from resurvey import loop
from resurvey.data.columns import mapped
from resurvey.data.read import Sources
from resurvey.errors import SHOWN, Problem, ResurveyError

ROWS = {"corpus": DOCUMENTS, "queries": QUERIES, "judgments": GRADES, "pairs": PAIRS, "answers": ANSWERS}
FORMATS = ("jsonl", "json", "csv", "tsv", "parquet", "saved")
LINES = {"jsonl": (1, 1), "json": (2, 0), "csv": (2, 1), "tsv": (2, 1), "parquet": (1, 1), "saved": (1, 1)}
"""Where the first row stands in each format, and how many lines one more row takes; JSON's depends on its keys."""


def refused(sources: Sources, folder: Path) -> list[str]:
    """All problems and the next command of an `init` that must leave nothing behind."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(ResurveyError) as caught:
        loop.init(folder / "made", sources, {"model": "bundled"})
    assert sorted(folder.rglob("*")) == before
    return [*(str(p).replace(f"{folder}/", "") for p in caught.value.problems), caught.value.next]


def line_of(format: str, rows: list[dict[str, object]], place: int) -> int:
    first, step = LINES[format]
    return first + place * step if step else first + sum(len(row) + 2 for row in rows[:place])


SPOILED = [
    ("corpus", {"id": "d1"}, "document id 'd1' is that of line {first} already"),
    ("corpus", {"title": "", "text": " "}, "document 'new' has neither title nor text"),
    ("corpus", {"id": "a b"}, "`id` is 'a b', must not hold white space"),
    ("corpus", {"id": " "}, "must be a text or a whole number"),
    ("queries", {"id": "q1"}, "query id 'q1' is that of line {first} already"),
    ("queries", {"text": ""}, "query 'new' has no text"),
    ("judgments", {"query": "q9"}, "query 'q9' is not among the queries"),
    ("judgments", {"document": "d9"}, "document 'd9' is not in the corpus"),
    ("judgments", {"grade": 7}, "must be a whole number from 0 to 4"),
    ("judgments", {"grade": -1}, "must be a whole number from 0 to 4"),
    ("judgments", {"grade": 1}, "grades 'd1' for 'q1' 1, line {first} graded it 2"),
    ("pairs", {"query": ""}, "names a query as '', must be a text or an id"),
    ("pairs", {"positive": ""}, "names nothing that is relevant"),
    ("pairs", {"positive": "unknown"}, "'unknown' is neither the id nor the text of a document"),
    ("pairs", {"negative": "unknown"}, "'unknown' is neither the id nor the text of a document"),
    ("pairs", {"negative": "d1"}, "graded it 2"),
    ("answers", {"query": ""}, "names a query as '', must be a text or an id"),
    ("answers", {"passages": "unknown"}, "'unknown' is neither the id nor the text of a document"),
    ("answers", {"answer": ""}, "has no answer"),
]
BLANK = {"corpus": {"id": "new"}, "queries": {"id": "new"}, "judgments": {}, "pairs": {}, "answers": {}}


@pytest.mark.parametrize("format", FORMATS)
def test_every_bad_row_is_named_with_its_line(tmp_path: Path, format: str) -> None:
    rows = {kind: [dict(row) for row in part] for kind, part in ROWS.items()}
    expected = []
    for kind, change, what in SPOILED:
        rows[kind].append({**rows[kind][0], **BLANK[kind], **change})
        place, first = (line_of(format, rows[kind], at) for at in (len(rows[kind]) - 1, 0))
        expected.append((f"{kind}.{format}:{place}", what.format(first=first)))
    at = {kind: written(tmp_path, kind, format, part) for kind, part in rows.items()}
    sources = Sources(at["corpus"], at["queries"], {"": at["judgments"]}, pairs=at["pairs"], answers=at["answers"])
    found = refused(sources, tmp_path)
    assert found[-1].startswith("mend the files, then the same command")
    for where, what in expected:
        assert any(said.startswith(f"{where}: ") and what in said for said in found), (where, what, found)
    assert len(found) - 1 == len(expected)


BYTES = [
    ("c.csv", b"id,text\na,x\xff\n", "c.csv:2: is not UTF-8: byte 0xff at column 4"),
    ("c.csv", b"id,text\na,x\0\n", "c.csv:2: holds a NUL byte"),
    ("c.csv", b'id,text\na,"open\nnever\n', "c.csv:2: is not CSV: a quoted cell that begins here is never closed"),
    ("c.csv", b'id,text\na,"x"y\n', "c.csv:2: is not CSV: ',' expected after '\"'"),
    ("c.csv", b"id,text\na,b,c\n", "c.csv:2: has 3 cells, line 1 has 2"),
    ("c.tsv", b"id\ttext\na\n", "c.tsv:2: has 1 cells, line 1 has 2"),
    ("c.tsv", b"\xff\xfei\0d\0", "c.tsv: is UTF-16, must be UTF-8"),
    ("c.json", b'[{"id": "a", "text": "x"},\n {"id": }]', "c.json:2: is not JSON: Expecting value; what follows"),
    ("c.json", b'[{"id": "a", "text": "x"}\n {}]', "c.json:2: is not JSON: a comma or the array's end must follow"),
    ("c.json", b'[{"id": "a", "text": "x"}]\nx', "c.json:1: is not JSON: something follows the array's end"),
    ("c.json", b'[{"id": "a", "text": "x"}, 5]', "c.json:1: must be a JSON object, is 5"),
    ("c.json", b'{"a":\n1}', "c.json: must be a JSON array of objects, or one object a line; it begins with '{\"a\":'"),
    ("c.json", b"[" * 100_000, "c.json:1: is not JSON: nested too deeply"),
    ("c.parquet", b"PAR1 no", "c.parquet: is no whole Parquet file: "),
    ("c.csv.gz", gzip.compress(b"id,text\na,x\n")[:-9], "c.csv.gz: is a broken gzip file: "),
    ("c.xml", b"<doc>x</doc>", "c.xml: holds no <top> or <topic>, so these are no TREC topics"),
    ("c.jsonl", b"", "c.jsonl: holds no document"),
    ("c.csv", b"id,text\n", "c.csv: holds no document"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "said"), BYTES, ids=[f"{n} {said[:40]}" for n, _, said in BYTES])
def test_broken_files_are_named_with_their_line(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    found = refused(Sources(tmp_path / name), tmp_path)
    assert found[0].startswith(said), found
    assert len(found) == 2


def test_a_column_that_is_not_text_where_text_must_be_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "corpus", "parquet", [{"id": 1.5, "text": 7}, {"id": None, "text": None}])
    assert refused(Sources(path), tmp_path)[:-1] == [
        "corpus.parquet:1: `id` is 1.5, must be a text or a whole number",
        "corpus.parquet:1: `text` is 7, must be a text",
        "corpus.parquet:2: `id` is None, must be a text or a whole number",
    ]
    sink = pa.OSFile(str(tmp_path / "twice.parquet"), "wb")
    with sink:
        pq.write_table(pa.table([["a"], ["x"]], names=["id", "id"]), sink)
    assert refused(Sources(tmp_path / "twice.parquet"), tmp_path)[0].startswith("twice.parquet: has several columns of")


def test_a_missing_column_is_told_with_the_map_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("ref,long prose,price\nA1,some long text,3\n", encoding="utf-8")
    assert refused(Sources(path), tmp_path) == [
        "c.csv: has no column for corpus.text (what is searched); its first line names ref, long prose, price "
        "(no header? give numbers)",
        "the same command with --map 'corpus.text=long prose'; nothing was imported",
    ]
    path.write_text('{"ref": "A1", "text": "x"}', encoding="utf-8")
    queries, grades = (written(tmp_path, kind, "csv", list(ROWS[kind])) for kind in ("queries", "judgments"))
    path = path.rename(tmp_path / "c.jsonl")
    found = refused(Sources(path, queries, {"": grades}), tmp_path)
    assert found == [
        "c.jsonl: has no column for corpus.id (what judgments call the document); its columns are ref, text",
        "the same command with --map corpus.id=ref; nothing was imported",
    ]


def test_a_map_to_what_is_not_there_is_refused(tmp_path: Path) -> None:
    corpus = written(tmp_path, "corpus", "csv", list(DOCUMENTS))
    found = refused(Sources(corpus, columns={"corpus.text": "body", "pairs.query": "q"}), tmp_path)
    assert found[0] == (
        "corpus.csv: has no column 'body' for --map corpus.text; its first line names id, title, text, year, brand "
        "(no header? give numbers)"
    )
    assert found[1] == "--map: names a column of pairs, but no such file was brought"
    with pytest.raises(ResurveyError) as caught:
        mapped(["corpus.txt=a", "x", "corpus.id=a", "corpus.id=b"])
    said = [problem.what for problem in caught.value.problems]
    assert said[0].startswith("'corpus.txt' is not a role; did you mean corpus.text?")
    assert said[1:] == ["'x' must be KIND.ROLE=COLUMN", "'corpus.id' is given twice"]
    assert mapped(["corpus.text=a=b"]) == {"corpus.text": "a=b"}


def test_datasets_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    def put(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    put("state/state.json", '{"_data_files": [{"filename": "../x"}]}')
    put("index/state.json", '{"_data_files": [], "_indices_files": [{"filename": "i"}]}')
    put("broken/state.json", '{"_data_files": [{"filename": "x.arrow"}]}')
    put("broken/x.arrow", "no")
    put("names/dataset_dict.json", '{"splits": []}')
    put("two/dataset_dict.json", '{"splits": ["a", "b"]}')
    for split in ("a", "b"):
        (tmp_path / "two" / split).mkdir()
        put(f"two/{split}/state.json", '{"_data_files": []}')
    said = {
        "state": "state/state.json: names no data files",
        "index": "index: has rows picked by an index; save dataset.flatten_indices() instead",
        "broken": "broken/x.arrow: is no whole Arrow file: ",
        "names": "names/dataset_dict.json: names no splits",
        "two": "two: has the splits a, b; corpus are one table: name one split's folder",
    }
    for name, what in said.items():
        assert refused(Sources(tmp_path / name), tmp_path)[0].startswith(what)
    corpus, queries = (written(tmp_path, kind, "csv", list(ROWS[kind])) for kind in ("corpus", "queries"))
    found = refused(Sources(corpus, queries, {"": tmp_path / "two"}), tmp_path)
    assert found[0] == "two: has the split 'a', which is none of train, dev and test"


def test_a_message_shows_every_kind_of_problem_in_twenty_lines() -> None:
    many = [Problem(f"c.csv:{n}", f"grade is '{n}', must be 0 to 4") for n in range(500)]
    other = [Problem(f"c.csv:{n}", f"query 'q{n}' is unknown") for n in range(30)]
    lines = str(ResurveyError([*many, Problem("x", "is missing"), *other], "go on")).splitlines()
    assert len(lines) <= SHOWN + 1
    assert lines[5] == "c.csv:5: grade is '5', must be 0 to 4 (and 494 more like this)"
    assert "x: is missing" in lines
    assert lines[-2] == "c.csv:5: query 'q5' is unknown (and 24 more like this)"
    kinds = [Problem(f"{name}{n}:1", "is bad") for name in "abc" for n in range(10)]
    lines = str(ResurveyError(kinds)).splitlines()
    assert len(lines) == SHOWN
    assert lines[-1] == "… and 11 problems of 11 other kinds"
