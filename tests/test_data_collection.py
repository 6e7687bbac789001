"""A collection comes back from disk as it was, or says which file is not what was imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.data.collection import Collection, collect, load, save
from resurvey.data.read import NO_SPLIT, Brought, Sources, beir, read
from resurvey.errors import ResurveyError
from resurvey.types import Document, Judgment, Query
from resurvey.workspace import file_digest, read_json, write_json

Write = Callable[[str, str], Path]
FILES = ["documents.parquet", "queries.parquet", "judgments.parquet", "runs.parquet", "answers.parquet"]


@pytest.fixture
def sources(beir_folder: Path, write: Write) -> Sources:
    """The BEIR folder with a run, and a file beside its judgments that nobody reads."""
    (beir_folder / "qrels" / "extra.tsv").write_text("", encoding="utf-8")
    return beir(beir_folder, {"old": write("old.trec", "q1 Q0 d3 1 2.5 t\nq1 Q0 d1 2 -1 t\nq99 Q0 d0 1 0 t\n")})


def brought(judgments: dict[str, tuple[Judgment, ...]]) -> Brought:
    documents = tuple(Document(f"d{n}", f"text {n}", "", {"year": n}) for n in range(12))
    return Brought(documents, tuple(Query(f"q{n}", f"topic{n}") for n in range(12)), judgments, {})


def judged(*places: int) -> tuple[Judgment, ...]:
    return tuple(Judgment(f"q{n}", f"d{n}", 1) for n in places)


def test_a_division_that_was_brought_is_kept(sources: Sources) -> None:
    made = collect(read(sources), 13)
    assert {name: len(part) for name, part in made.qrels.items()} == {"train": 42, "dev": 18}
    assert made.statement == "Split as you brought it: 42 train, 18 dev."
    assert made.runs == {"old": {"q1": {"d3": 2.5, "d1": -1.0}, "q99": {"d0": 0.0}}}


@pytest.mark.parametrize("name", [NO_SPLIT, "train"])
def test_judgments_without_a_test_side_are_divided(name: str) -> None:
    made = collect(brought({name: judged(*range(12))}), 13)
    assert {name: len(part) for name, part in made.qrels.items()} == {"train": 6, "test": 6}
    assert made.statement.startswith("Split here by query")
    assert len(made.merged("train", "dev", "test")) == 12


def test_judgments_are_divided_by_a_field_of_the_documents() -> None:
    made = collect(brought({NO_SPLIT: judged(*range(12))}), 13, "year")
    assert set(made.qrels["test"]) == {f"q{n}" for n in range(6, 12)}
    assert made.statement.startswith("Split here by the field you named")


def test_a_field_that_no_document_has_is_refused() -> None:
    with pytest.raises(ResurveyError) as caught:
        collect(brought({NO_SPLIT: judged(*range(12))}), 13, "month")
    assert str(caught.value) == (
        "--split-by: no document has a field `month`\nNext: name a metadata field of the corpus"
    )


@pytest.mark.parametrize("judgments", [{}, {NO_SPLIT: ()}])
def test_no_judgments_are_said_to_be_none(judgments: dict[str, tuple[Judgment, ...]]) -> None:
    made = collect(brought(judgments), 13)
    assert made.qrels == {}
    assert made.statement == "No judgments were brought."


def test_judged_queries_have_a_relevant_document_and_a_stable_order() -> None:
    rows = (*judged(3, 1), Judgment("q5", "d5", 0), Judgment("q5", "d6", 0))
    made = collect(brought({"train": rows, "dev": judged(2)}), 13)
    assert [query.id for query in made.judged("train")] == ["q3", "q1"]
    assert [query.id for query in made.judged("dev", "train", "test")] == ["q2", "q3", "q1"]
    assert made.judged("dev")[0] == Query("q2", "topic2")
    assert list(made.merged("train", "dev")) == ["q3", "q1", "q5", "q2"]


def test_a_collection_comes_back_from_disk_as_it_was(sources: Sources, tmp_path: Path) -> None:
    made = collect(read(sources), 13)
    save(made, tmp_path / "data", sources)
    again = load(tmp_path / "data")
    assert again == made
    assert list(again.queries) == list(made.queries)
    assert [list(part) for part in again.qrels.values()] == [list(part) for part in made.qrels.values()]


def test_the_manifest_carries_the_hash_of_every_file_and_source(sources: Sources, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    manifest = save(collect(read(sources), 13), folder, sources)
    assert read_json(folder / "manifest.json") == manifest
    assert manifest["files"] == {name: file_digest(folder / name) for name in FILES}
    assert manifest["sources"] == {str(path): file_digest(path) for path in sources.files()}
    assert len(manifest["sources"]) == 5
    assert manifest["ignored"] == [str(sources.corpus.parent / "qrels" / "extra.tsv")]
    assert (manifest["documents"], manifest["queries"], manifest["runs"]) == (20, 60, ["old"])
    assert manifest["judged"] == {"train": 42, "dev": 18}


def test_a_save_that_fails_leaves_no_manifest(sources: Sources, tmp_path: Path) -> None:
    made = collect(read(sources), 13)
    runs: Any = {"old": {"q1": {"d1": "no number"}}}
    broken = replace(made, runs=runs)
    with pytest.raises(Exception, match="no number"):
        save(broken, tmp_path / "data", sources)
    assert not (tmp_path / "data" / "manifest.json").exists()
    with pytest.raises(ResurveyError, match=r"manifest\.json: is missing"):
        load(tmp_path / "data")


def test_all_changed_and_missing_files_are_named_at_once(sources: Sources, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    save(collect(read(sources), 13), folder, sources)
    (folder / FILES[0]).unlink()
    (folder / FILES[3]).write_bytes((folder / FILES[3]).read_bytes() + b" ")
    with pytest.raises(ResurveyError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"{folder}/{FILES[0]}: is missing or was changed since it was imported\n"
        f"{folder}/{FILES[3]}: is missing or was changed since it was imported\n"
        "Next: resurvey init NEW_DIR with the sources, then run there"
    )


@pytest.mark.parametrize("content", ["{", "[1]", "\udcff"])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ResurveyError, match=r"manifest\.json: is damaged: ") as caught:
        load(tmp_path)
    assert caught.value.next == f"remove {path} and run again"


def test_the_same_input_makes_the_same_files(sources: Sources, tmp_path: Path) -> None:
    first, second = (save(collect(read(sources), 13), tmp_path / name, sources) for name in "ab")
    assert first == second


NAMES = st.text("abé😀-/.", min_size=1, max_size=4)
TEXTS = st.text(max_size=12)
SCALARS = TEXTS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    ids = draw(st.lists(NAMES, unique=True, max_size=4))
    queries = draw(st.lists(NAMES, unique=True, max_size=4))
    fields = st.dictionaries(TEXTS, SCALARS, max_size=3)
    documents = tuple(Document(id, draw(TEXTS), draw(TEXTS), draw(fields)) for id in ids)
    graded = st.dictionaries(st.sampled_from(ids or ["d"]), st.integers(0, 4), min_size=1)
    scored = st.dictionaries(NAMES, st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=2)
    split = {query: draw(st.sampled_from(["train", "dev", "test", "none"])) for query in queries}
    qrels = {
        name: {query: draw(graded) for query in queries if split[query] == name}
        for name in draw(st.permutations(["train", "dev", "test"]))
    }
    runs = draw(st.dictionaries(TEXTS, st.dictionaries(NAMES, scored, max_size=2), max_size=2))
    asked = {query: Query(query, draw(TEXTS)) for query in queries}
    return Collection(documents, asked, {n: part for n, part in qrels.items() if part}, runs, draw(TEXTS))


@tried(max_examples=25, deadline=None, derandomize=True, database=None)
@given(collections())
def test_any_collection_comes_back_from_disk(tmp_path_factory: pytest.TempPathFactory, made: Collection) -> None:
    folder = tmp_path_factory.mktemp("collection")
    corpus = folder / "corpus"
    write_json(corpus, {})
    save(made, folder / "data", Sources(corpus))
    again = load(folder / "data")
    assert again == made
    for old, new in zip(made.documents, again.documents, strict=True):
        assert [type(v) for v in new.metadata.values()] == [type(v) for v in old.metadata.values()]
