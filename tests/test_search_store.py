"""The store: snapshots are reused exactly when nothing changed, documents round-trip, BM25 is BM25."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import WORDS

from resurvey.data.chunk import Cut, cut
from resurvey.errors import ResurveyError
from resurvey.search import store as store_module
from resurvey.search.analyse import analysed, words
from resurvey.search.encode import SentenceEncoder
from resurvey.search.store import Store, build
from resurvey.types import Document

K1, B = 1.2, 0.75


@pytest.fixture(scope="module")
def parts(documents: tuple[Document, ...], encoder: SentenceEncoder) -> Cut:
    return cut(documents, encoder, 32)


def snapshots(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "snapshots").glob("*.json"))


def test_a_snapshot_is_reused_when_nothing_changed(tmp_path: Path, documents: tuple[Document, ...], parts: Cut) -> None:
    first = build(tmp_path, documents, parts, "english")
    assert build(tmp_path, documents, parts, "english") == first
    assert snapshots(tmp_path) == ["1.json"]
    same = [replace(d, metadata=dict(reversed(list(d.metadata.items())))) for d in documents]
    assert build(tmp_path, same, parts, "english") == first


CHANGES = {
    "text": {"text": "valve"},
    "title": {"title": "pump"},
    "metadata": {"metadata": {"line": 9}},
    "id": {"id": "renamed"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_one_document_makes_a_new_snapshot(
    tmp_path: Path, encoder: SentenceEncoder, documents: tuple[Document, ...], change: dict[str, str]
) -> None:
    few = documents[:3]
    first = build(tmp_path, few, cut(few, encoder, 32), "english")
    changed = (replace(few[0], **change), *few[1:])  # type: ignore[arg-type]
    second = build(tmp_path, changed, cut(changed, encoder, 32), "english")
    assert (first.number, second.number) == (1, 2)
    assert first.key != second.key
    assert Store(tmp_path, second).documents() == list(changed)


def test_another_cut_or_language_makes_a_new_snapshot(
    tmp_path: Path, encoder: SentenceEncoder, documents: tuple[Document, ...], parts: Cut
) -> None:
    first = build(tmp_path, documents, parts, "english")
    finer = build(tmp_path, documents, cut(documents, encoder, 20), "english")
    german = build(tmp_path, documents, parts, "german")
    assert len({first.key, finer.key, german.key}) == 3
    assert [first.number, finer.number, german.number] == [1, 2, 3]


def test_a_snapshot_of_another_analyser_is_not_used(
    tmp_path: Path, documents: tuple[Document, ...], parts: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(tmp_path, documents, parts, "english")
    monkeypatch.setattr(store_module, "fingerprint", lambda: "another")
    second = build(tmp_path, documents, parts, "english")
    assert (first.number, second.number) == (1, 2)


def test_both_columns_are_kept_in_row_order_and_searched_apart(
    tmp_path: Path, documents: tuple[Document, ...], encoder: SentenceEncoder, parts: Cut
) -> None:
    store = build_store(tmp_path, documents, encoder)
    stems, codes = analysed(parts.texts, "english")
    assert store.column("words").to_pylist() == stems
    assert store.column("identifiers").to_pylist() == codes
    assert set(store.owners()[store.match("p7107", 100, "identifiers")[0]]) == {7}
    assert len(store.match("p7107", 100)[0]) == 0
    assert len(store.match("valv", 100, "identifiers")[0]) == 0


def test_going_back_finds_the_older_snapshot_whole(
    tmp_path: Path, encoder: SentenceEncoder, documents: tuple[Document, ...]
) -> None:
    one, other = documents[:4], documents[4:]
    first = build(tmp_path, one, cut(one, encoder, 32), "english")
    build(tmp_path, other, cut(other, encoder, 32), "english")
    again = build(tmp_path, one, cut(one, encoder, 32), "english")
    assert again == first
    opened = Store(tmp_path, again)
    assert opened.documents() == list(one)
    rows, _ = opened.match("p0", 100)
    assert set(opened.owners()[rows]) == {0}
    assert len(opened.match("p7", 100)[0]) == 0


def test_a_build_that_was_killed_before_its_snapshot_is_done_again(
    tmp_path: Path, documents: tuple[Document, ...], parts: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, value: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, documents, parts, "english")
    monkeypatch.undo()
    assert snapshots(tmp_path) == []
    made = build(tmp_path, documents, parts, "english")
    assert made.number == 1
    assert Store(tmp_path, made).documents() == list(documents)


def test_documents_round_trip(tmp_path: Path, encoder: SentenceEncoder) -> None:
    metadata = {"s": "Straße “x”", "i": 3, "f": 0.25, "b": True, "none": ""}
    brought = [
        Document("ü/1", "valve\n\npump\tseal", "A title", metadata),
        Document("2", "", "only a title"),
        Document("3", "text"),
        Document("10", "same text", "", {"year": 2000}),
    ]
    made = build(tmp_path, brought, cut(brought, encoder, 32), "english")
    found = Store(tmp_path, made).documents()
    assert found == brought
    assert [type(value) for value in found[0].metadata.values()] == [str, int, float, bool, str]


def test_owners_name_the_document_of_every_passage(tmp_path: Path, documents: tuple[Document, ...], parts: Cut) -> None:
    owners = Store(tmp_path, build(tmp_path, documents, parts, "english")).owners()
    assert len(parts.passages) > len(documents), "some documents must have several passages"
    assert [documents[row].id for row in owners] == [p.document for p in parts.passages]


def test_a_lost_table_is_told_with_the_next_command(
    tmp_path: Path, documents: tuple[Document, ...], parts: Cut
) -> None:
    made = build(tmp_path, documents, parts, "english")
    shutil.rmtree(tmp_path / "lance")
    with pytest.raises(ResurveyError, match="cannot be opened") as caught:
        Store(tmp_path, made)
    assert f"remove {tmp_path}" in caught.value.next


def bm25(asked: list[str], corpus: list[list[str]]) -> list[float]:
    """BM25 as Lucene computes it, by hand."""
    average = sum(map(len, corpus)) / len(corpus)
    held = Counter(term for document in corpus for term in set(document))
    scores = []
    for document in corpus:
        counts = Counter(document)
        room = K1 * (1 - B + B * len(document) / average)
        scores.append(
            sum(
                math.log(1 + (len(corpus) - held[t] + 0.5) / (held[t] + 0.5))
                * counts[t]
                * (K1 + 1)
                / (counts[t] + room)
                for t in asked
            )
        )
    return scores


def build_store(folder: Path, documents: Sequence[Document], encoder: SentenceEncoder) -> Store:
    return Store(folder, build(folder, documents, cut(documents, encoder, 32), "english"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder) -> tuple[Store, list[list[str]]]:
    """Sixty single-passage documents of drawn words, and their stems."""
    rng = np.random.default_rng(5)
    weights = 1 / np.arange(1, 41)
    texts = [
        " ".join(rng.choice(WORDS[:40], size=int(rng.integers(3, 25)), p=weights / weights.sum())) for _ in range(60)
    ]
    corpus = [Document(f"d{place}", text) for place, text in enumerate(texts)]
    parts = cut(corpus, encoder)
    assert len(parts.passages) == len(corpus)
    folder = tmp_path_factory.mktemp("drawn")
    stems = [words(text, "english") for text in texts]
    return Store(folder, build(folder, corpus, parts, "english")), stems


@pytest.mark.parametrize("asked", ["valve", "pump leak", "corrosion of the weld", "rotors sealing bearings torque"])
def test_scores_are_bm25_by_hand(drawn: tuple[Store, list[list[str]]], asked: str) -> None:
    store, corpus = drawn
    terms = words(asked, "english")
    wanted = bm25(terms, corpus)
    rows, scores = store.match(" ".join(terms), 60)
    assert sorted(rows) == [row for row, score in enumerate(wanted) if score > 0]
    np.testing.assert_allclose(scores, [wanted[row] for row in rows], rtol=1e-4)
    assert np.all(np.diff(scores) <= 0)


def test_the_order_is_that_of_bm25s(drawn: tuple[Store, list[list[str]]]) -> None:
    bm25s = pytest.importorskip("bm25s")
    store, corpus = drawn
    judge = bm25s.BM25(method="lucene", k1=K1, b=B)
    judge.index(corpus, show_progress=False)
    for asked in (["pump", "leak"], ["crack", "weld", "valv"], ["pressur", "nois", "seal", "flang"]):
        wanted = judge.get_scores(asked)
        rows, _ = store.match(" ".join(asked), 60)
        ranked = wanted[rows]
        assert np.all(ranked[:-1] >= ranked[1:] - 1e-4)
        assert len(rows) == int((wanted > 0).sum())


def test_match_returns_the_best_when_it_may_not_return_all(drawn: tuple[Store, list[list[str]]]) -> None:
    store, _ = drawn
    rows, scores = store.match("valv pump", 60)
    few, best = store.match("valv pump", 5)
    assert len(few) == 5
    np.testing.assert_allclose(best, scores[:5])
    assert set(few) <= set(rows)


def test_no_terms_and_unknown_terms_match_nothing(drawn: tuple[Store, list[list[str]]]) -> None:
    store, _ = drawn
    for terms in ("", "neverseen"):
        rows, scores = store.match(terms, 10)
        assert (len(rows), len(scores)) == (0, 0)


def test_a_term_of_any_length_is_indexed_as_it_is(tmp_path: Path, encoder: SentenceEncoder) -> None:
    long = "x" * 120
    corpus = [Document("d0", "valve"), Document("d1", long)]
    store = Store(tmp_path, build(tmp_path, corpus, cut(corpus, encoder), "english"))
    assert store.match(long, 10)[0].tolist() == [1]
    assert store.match("x" * 40, 10)[0].tolist() == []
