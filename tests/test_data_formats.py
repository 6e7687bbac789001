"""One tiny collection, written in every format, reads as the same records."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resurvey.data.columns import ROLES
from resurvey.data.read import Brought, Sources, read
from resurvey.data.tables import FORMATS
from resurvey.types import Answer, Document, Judgment, Query

Row = Mapping[str, Any]
DOCUMENTS = [
    {"id": "d1", "title": "Pump", "text": "seal, and valve", "year": 2001, "brand": "Acme"},
    {"id": "d2", "title": "Rotor", "text": 'he said "turn it"', "year": 1999, "brand": "Ünit"},
    {"id": "d3", "title": "Belt", "text": "belt; gear | chain", "year": 2003, "brand": "Acme"},
]
QUERIES = [{"id": "q1", "text": "leaking seal, now"}, {"id": "q2", "text": "noise of the rotor"}]
GRADES = [{"query": "q1", "document": "d1", "grade": 2}, {"query": "q2", "document": "d2", "grade": 0}]
PAIRS = [{"query": "leaking seal, now", "positive": "seal, and valve", "negative": "d3"}]
ANSWERS = [{"query": "q2", "passages": '["d2", "belt; gear | chain"]', "answer": "turn it", "reference": "turn"}]
WHOLE = (
    tuple(Document(str(d["id"]), str(d["text"]), str(d["title"]), {"year": d["year"], "brand": d["brand"]})
          for d in DOCUMENTS),
    tuple(Query(q["id"], q["text"]) for q in QUERIES),
)  # fmt: skip
JUDGED = (Judgment("q1", "d1", 2), Judgment("q2", "d2", 0))


def jsonl(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def array(rows: list[Row]) -> bytes:
    return json.dumps(rows, indent=2).encode()


def separated(rows: list[Row], separator: str, quote: str = '"') -> bytes:
    def cell(value: object) -> str:
        return quote + str(value).replace('"', '""' if quote else '"') + quote

    lines = [separator.join(rows[0]), *(separator.join(cell(value) for value in row.values()) for row in rows)]
    return ("\ufeff" + "\r\n".join(lines)).encode()


def parquet(rows: list[Row]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


def saved(rows: list[Row], folder: Path) -> None:
    import datasets

    datasets.Dataset.from_list([dict(row) for row in rows]).save_to_disk(str(folder))


WRITERS: dict[str, Callable[[list[Row]], bytes] | None] = {
    "jsonl": jsonl,
    "ndjson": jsonl,
    "json": array,
    "csv": lambda rows: separated(rows, ","),
    "semicolon.csv": lambda rows: separated(rows, ";"),
    "bar.csv": lambda rows: separated(rows, "|"),
    "tsv": lambda rows: separated(rows, "\t", ""),
    "quoted.tsv": lambda rows: separated(rows, "\t"),
    "parquet": parquet,
    "jsonl.gz": lambda rows: gzip.compress(jsonl(rows)),
    "csv.gz": lambda rows: gzip.compress(separated(rows, ",")),
    "parquet.gz": lambda rows: gzip.compress(parquet(rows)),
    "unknown": lambda rows: separated(rows, ";"),
    "strange-jsonl": jsonl,
    "strange-json": array,
    "strange-parquet": parquet,
    "saved": None,
}


def written(folder: Path, kind: str, format: str, rows: list[Row]) -> Path:
    path = folder / f"{kind}.{format}"
    writer = WRITERS[format]
    if writer is None:
        saved(rows, path)
    else:
        path.write_bytes(writer(rows))
    return path


@pytest.mark.parametrize("format", WRITERS)
def test_the_same_collection_in_every_format_is_the_same_records(tmp_path: Path, format: str) -> None:
    rows = {"corpus": DOCUMENTS, "queries": QUERIES, "judgments": GRADES, "pairs": PAIRS, "answers": ANSWERS}
    at = {kind: written(tmp_path, kind, format, list(part)) for kind, part in rows.items()}
    sources = Sources(at["corpus"], at["queries"], {"": at["judgments"]}, answers=at["answers"])
    brought = read(sources)
    assert (brought.documents, brought.queries) == WHOLE
    assert brought.judgments == {"": JUDGED}
    assert brought.answers == (Answer("q2", ("d2", "d3"), "turn it", "turn"),)
    assert brought.columns[str(at["corpus"])] == {
        "id": "id",
        "title": "title",
        "text": "text",
        "metadata": "year, brand",
    }
    by_pairs = read(Sources(at["corpus"], at["queries"], pairs=at["pairs"]))
    assert by_pairs.judgments == {"": (Judgment("q1", "d1", 1), Judgment("q1", "d3", 0))}
    files = sources.files()
    assert all(path.is_file() for path in files)
    assert len(files) == len(set(files)) >= 4


def test_splits_of_a_saved_dataset_divide_the_judgments(tmp_path: Path) -> None:
    import datasets

    whole = datasets.DatasetDict({
        name: datasets.Dataset.from_list([row]) for name, row in zip(("train", "validation"), GRADES, strict=True)
    })  # fmt: skip
    whole.save_to_disk(str(tmp_path / "grades"))
    corpus, queries = (written(tmp_path, k, "jsonl", list(r)) for k, r in (("corpus", DOCUMENTS), ("queries", QUERIES)))
    brought = read(Sources(corpus, queries, {"": tmp_path / "grades"}))
    assert brought.judgments == {"train": JUDGED[:1], "dev": JUDGED[1:]}


TOPICS = {
    "sgml": "<top>\n<num> Number: q1\n<title> leaking seal,\n now\n\n<desc> Description:\nlong\n</top>\n"
            "<top>\n<num> Number: q2\n<title> Topic: noise of the rotor\n</top>\n",
    "xml": '<?xml version="1.0"?>\n<topics><topic number="q1"><query>leaking seal, now</query><question>x?</question>'
           "</topic>\n<topic number='q2'>noise of the rotor</topic></topics>",
    "tagged": "<topics><top><num>q1</num><title>leaking seal, now</title></top>"
              "<top><num>q2</num><title>noise of the rotor</title></top></topics>",
}  # fmt: skip


@pytest.mark.parametrize("name", ["queries.topics", "queries.xml", "queries.txt", "topics"])
@pytest.mark.parametrize("style", TOPICS)
def test_trec_topics_are_queries(tmp_path: Path, style: str, name: str) -> None:
    corpus, topics = written(tmp_path, "corpus", "csv", list(DOCUMENTS)), tmp_path / name
    topics.write_text(TOPICS[style], encoding="utf-8")
    assert read(Sources(corpus, topics)).queries == WHOLE[1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("j.csv", "q1,d1,2\nq2,d2,0\n"),
        ("j.csv", "document;query;rating\nd1;q1;2\nd2;q2;0\n"),
        ("j.txt", "q1,d1,2\nq2,d2,0\n"),
        ("qrels", "q1\tQ0\td1\t2\nq2\tQ0\td2\t0\n"),
        ("j.json", '[{"qid": "q1", "docid": "d1", "label": 2.0},\n {"qid": "q2", "docid": "d2", "label": "0"}]'),
        ("j.json", '{"qid": "q1", "docid": "d1", "label": 2}\n{"qid": "q2", "docid": "d2", "label": 0}\n'),
    ],
)
def test_judgments_with_or_without_a_header_are_the_same(tmp_path: Path, name: str, content: str) -> None:
    corpus, queries = (written(tmp_path, k, "jsonl", list(r)) for k, r in (("corpus", DOCUMENTS), ("queries", QUERIES)))
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read(Sources(corpus, queries, {"": tmp_path / name})).judgments == {"": JUDGED}


def test_a_text_file_is_one_query_a_line(tmp_path: Path) -> None:
    corpus, queries = written(tmp_path, "corpus", "csv", list(DOCUMENTS)), tmp_path / "q.txt"
    queries.write_text("first one\n\nsecond\n", encoding="utf-8")
    grades = tmp_path / "j.tsv"
    grades.write_text("2\td1\t1\n", encoding="utf-8")
    brought = read(Sources(corpus, queries, {"": grades}))
    assert brought.queries == (Query("1", "first one"), Query("2", "second"))
    assert brought.judgments == {"": (Judgment("2", "d1", 1),)}


def test_columns_without_a_header_are_taken_by_place_and_that_is_said(tmp_path: Path) -> None:
    corpus = tmp_path / "collection.tsv"
    corpus.write_text('0\tthe "first" text\n1\t"second"\n', encoding="utf-8")
    brought = read(Sources(corpus))
    assert brought.documents == (Document("0", 'the "first" text'), Document("1", "second"))
    assert brought.columns[str(corpus)] == {"header": "none, so columns are numbered", "id": "1", "text": "2"}


def test_cells_of_a_csv_hold_line_ends_and_lines_count_them(tmp_path: Path) -> None:
    corpus = tmp_path / "c.csv"
    corpus.write_text('id,text,price,code\na,"one\ntwo, three",1.5,007\nb,"x ""y""",,8\n', encoding="utf-8")
    assert read(Sources(corpus)).documents == (
        Document("a", "one\ntwo, three", "", {"price": 1.5, "code": "007"}),
        Document("b", 'x "y"', "", {"code": "8"}),
    )


def brought_by(corpus: Path, columns: Mapping[str, str]) -> Brought:
    return read(Sources(corpus, columns=columns))


def test_map_corrects_a_guess_by_name_or_by_number(tmp_path: Path) -> None:
    corpus = tmp_path / "c.csv"
    corpus.write_text("ref,prose,Text\nr1,long words,note\n", encoding="utf-8")
    found = brought_by(corpus, {"corpus.id": "ref", "corpus.text": "prose"})
    assert found.documents == (Document("r1", "long words", "", {"Text": "note"}),)
    by_place = brought_by(corpus, {"corpus.id": "1", "corpus.text": "2"})
    assert [document.id for document in by_place.documents] == ["ref", "r1"]


def test_rows_without_ids_are_numbered_where_nothing_names_them(tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"text": "a"}\n{"text": "b"}\n', encoding="utf-8")
    brought = read(Sources(corpus))
    assert [document.id for document in brought.documents] == ["1", "2"]
    assert brought.columns[str(corpus)]["id"] == "the row's number"


def test_titles_may_be_all_the_text_there_is(tmp_path: Path) -> None:
    corpus = tmp_path / "c.csv"
    corpus.write_text("id,title,brand\na,Blue pump,Acme\n", encoding="utf-8")
    assert read(Sources(corpus)).documents == (Document("a", "", "Blue pump", {"brand": "Acme"}),)


def test_the_page_of_init_lists_every_format_and_role() -> None:
    page = (Path(__file__).parent.parent / "docs" / "commands" / "init.md").read_text(encoding="utf-8")
    for row in FORMATS:
        files = " ".join(f"`{suffix}`" for suffix in row.suffixes)
        assert f"| {row.name} | {files} | {row.sentence} |" in page
    for role in ROLES:
        assert role.name == "metadata" or f"`{role.key}`" in page or f"`.{role.name}`" in page, role.key
