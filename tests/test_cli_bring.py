"""`init` with every way to bring data: what it prints, what it refuses, that it makes nothing then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli import call

from resurvey.data.collection import load
from resurvey.types import Answer

Write = Callable[[str, str], Path]


@pytest.fixture
def corpus(write: Write) -> Path:
    return write("goods.csv", "sku;name;description;price\nA1;Pump;seal and valve;10\nA2;Rotor;turns;3\n")


def test_init_prints_what_it_guessed_and_map_corrects_it(write: Write, model_folder: Path, tmp_path: Path) -> None:
    corpus = write("goods.csv", "sku;name;prose;price\nA1;Pump;seal and valve;10\nA2;Rotor;turns;3\n")
    guessed = call("init", tmp_path / "ws", "--corpus", corpus, "--model", model_folder)
    assert guessed.code == 1
    assert "Next: the same command with --map corpus.text=prose; nothing was imported" in guessed.err
    assert not (tmp_path / "ws").exists()
    other = tmp_path / "other"
    mapped = call("init", other, "--corpus", corpus, "--map", "corpus.text=prose", "--model", model_folder)
    assert mapped.out.splitlines()[0] == "goods.csv: id = sku, title = name, text = prose, metadata = price"
    assert load(other / "data").documents[0].text == "seal and valve"
    refused = call("init", tmp_path / "no", "--corpus", corpus, "--map", "corpus.text=body", "--map", "x")
    assert refused.code == 1
    assert "--map: 'x' must be KIND.ROLE=COLUMN\nNext: for example --map corpus.text=body" in refused.err


def test_init_takes_pairs_and_answers(corpus: Path, write: Write, model_folder: Path, tmp_path: Path) -> None:
    pairs = write("pairs.tsv", "query\tpositive\tnegative\nleak\tPump seal and valve\tA2\nspin\ta new text\tA1\n")
    log = write("log.jsonl", '{"query": "leak", "passages": ["A1"], "answer": "seal it"}\n')
    given = ("--corpus", corpus, "--pairs", pairs, "--answers", log, "--model", model_folder)
    refused = call("init", tmp_path / "ws", *given)
    assert refused.code == 1
    assert "pairs.tsv:3: 'a new text' is neither the id nor the text of a document" in refused.err
    assert "Next: the same command with --add-texts; nothing was imported" in refused.err
    assert not (tmp_path / "ws").exists()
    made = call("init", tmp_path / "ws", *given, "--add-texts")
    assert "1 answers." in made.out
    collection = load(tmp_path / "ws" / "data")
    assert len(collection.documents) == 3
    assert collection.answers == (Answer(collection.answers[0].query, ("A1",), "seal it"),)
    assert sorted(grade for part in collection.qrels.values() for d in part.values() for grade in d.values()) == [
        0,
        0,
        1,
        1,
    ]


def test_init_takes_pairs_alone_and_folders(write: Write, model_folder: Path, tmp_path: Path) -> None:
    pairs = write("pairs.csv", "query,positive\nleak,seal\n")
    alone = call("init", tmp_path / "ws", "--pairs", pairs, "--add-texts", "--json", "--model", model_folder)
    assert alone.json["documents"] == 1
    write("pages/a.md", "# Pump\n\nseal")
    folder = call("init", tmp_path / "other", "--corpus", tmp_path / "pages", "--model", model_folder)
    assert folder.out.startswith("pages: id = path, title = front matter, heading or file name, text = the file\n")


def test_a_home_folder_is_found(
    corpus: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    queries = tmp_path / "q.txt"
    queries.write_text("leak\n", encoding="utf-8")
    (tmp_path / "j.csv").write_text("query,document\n1,A1\n", encoding="utf-8")
    made = call(
        "init",
        "~/ws",
        "--corpus",
        "~/goods.csv",
        "--queries",
        "~/q.txt",
        "--judgments",
        "~/j.csv",
        "--model",
        model_folder,
    )
    assert made.code == 0, made.err
    assert load(tmp_path / "ws" / "data").merged("train", "dev", "test") == {"1": {"A1": 1}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--corpus", "c", "--ir-dataset", "vaswani"), "and not two of them"),
        (("--pairs", "p"), "--pairs FILE --add-texts makes a corpus of the pairs' texts"),
        (("--ir-dataset", "vaswani", "--queries", "q"), "--queries cannot stand beside --beir or --ir-dataset"),
        (("--beir", "b", "--judgments", "j"), "--judgments cannot stand beside --beir or --ir-dataset"),
        (("--corpus", "c", "--judgments", "j"), "--judgments names queries, so it needs --queries"),
        (("--ir-dataset", "no/such"), "'no/such' is no dataset that ir_datasets knows"),
    ],
)
def test_what_could_mean_two_things_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    ended = call("init", tmp_path / "ws", *arguments)
    assert ended.code == 1
    assert said in ended.err
    assert "Next: " in ended.err
    assert not list(tmp_path.iterdir())
