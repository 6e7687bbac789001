"""Evidence, memory and trees: honest readings, checked against memories rebuilt and sums done by hand."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import WORDS

from resurvey import settings
from resurvey.errors import ResurveyError
from resurvey.protocols import Kind
from resurvey.search import features, terms
from resurvey.search.analyse import words
from resurvey.search.compose import first_stage
from resurvey.search.features import Evidence, Pairs
from resurvey.search.index import Index, open_index
from resurvey.search.memory import SOURCES, Judged, Memory, judged, load_judged
from resurvey.search.ranker import FeatureRanker, Lessons, Trees, load_trees, rescored
from resurvey.search.terms import KINDS, TermMatrix
from resurvey.types import Document, Floats, Ints, Query, Ranking, Run

NAMES = ("good", "noise", "other")


class Bag:
    """An encoder whose vectors count words: texts without a common word are at right angles."""

    name = "bag"
    fingerprint = "ba6" * 20
    dimensions = 256
    max_tokens = 64

    def prompt(self, kind: Kind) -> str:
        return ""

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        return [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        found[:, 0] = 1e-3
        for row, text in enumerate(texts):
            for word in text.lower().split():
                found[row, 1 + int(hashlib.md5(word.encode()).hexdigest(), 16) % (self.dimensions - 1)] += 1
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def corpus() -> list[Document]:
    """Twelve documents, one of them in two passages, some with titles, some with identifiers."""
    rng = np.random.default_rng(3)
    made = [
        Document(
            f"d{place}",
            f"part T1003.{place:03d} " + " ".join(rng.choice(WORDS[:45], 8 + 5 * (place % 3))),
            " ".join(rng.choice(WORDS[:45], 2)) if place % 4 else "",
        )
        for place in range(11)
    ]
    return [*made, Document("long", " ".join(rng.choice(WORDS[:45], 60)) + " T1003.099", "long one")]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, corpus: list[Document]) -> Index:
    chosen = settings.Settings({**settings.defaults(), "passage_tokens": 40})
    return open_index(tmp_path_factory.mktemp("bag"), corpus, Bag(), chosen)


@pytest.fixture(scope="module")
def entries() -> Judged:
    """Sixteen judged queries over eight documents; the last two are each other's twins."""
    rng = np.random.default_rng(4)
    texts = [" ".join(rng.choice(WORDS[:12], 3, replace=False)) for _ in range(14)]
    rows: list[tuple[str, ...]] = [tuple(sorted({f"d{place % 7}", f"d{place % 5}"})) for place in range(14)]
    rows[3] = ("d7",)
    return Judged((*texts, "cable motor belt", "belts of the motor cable"), (*rows, ("d1",), ("d2",)))


def as_queries(texts: Sequence[str]) -> list[Query]:
    return [Query(f"q{place}", text) for place, text in enumerate(texts)]


# Memory


def readings(memory: Memory, asked: Sequence[Query]) -> dict[str, Floats]:
    """All documents as every query's candidates: (queries, documents)."""
    everything = [np.arange(len(memory.index.documents)) for _ in asked]
    return {name: np.stack(rows) for name, rows in memory.evidence(asked, everything).items()}


def hidden_with(opened: Index, entries: Judged, place: int) -> set[int]:
    """The entries that leave_out must hide from a judged query: itself, the same words, almost the same vector."""
    vectors = opened.encoder.encode(entries.texts, "query")
    stems = [sorted(words(text, "english")) for text in entries.texts]
    return {
        other
        for other in range(len(entries.texts))
        if stems[other] == stems[place] or float(vectors[other] @ vectors[place]) >= 0.95
    }


def without(entries: Judged, hidden: set[int]) -> Judged:
    kept = [place for place in range(len(entries.texts)) if place not in hidden]
    return Judged(tuple(entries.texts[p] for p in kept), tuple(entries.documents[p] for p in kept))


def test_a_querys_only_answer_is_first_and_under_leave_out_gone(opened: Index) -> None:
    known = Judged(("valve pump", "rotor seal", "gear shaft"), (("d9",), ("d3",), ("d4",)))
    asked = [Query("q", "valve pump")]
    seen = Memory(opened, known).search(asked)["q"]
    assert seen.documents[0] == "d9"
    honest = Memory(opened, known, leave_out=True).search(asked)["q"]
    assert "d9" not in honest.documents
    assert set(honest.documents) == {"d3", "d4"}


@pytest.mark.parametrize("twin", ["pump valve", "the valves of a pump", "valve pump pump valve"])
def test_leave_out_also_hides_the_same_words_and_almost_the_same_vector(opened: Index, twin: str) -> None:
    known = Judged((twin, "rotor seal"), (("d9",), ("d3",)))
    found = Memory(opened, known, leave_out=True).search([Query("q", "valve pump")])["q"]
    assert list(found.documents) == ["d3"]


@pytest.mark.parametrize("name", [*SOURCES[:3], "count"])
def test_readings_under_leave_out_equal_a_memory_rebuilt_without_the_entry(
    opened: Index, entries: Judged, name: str
) -> None:
    asked = as_queries(entries.texts)
    honest = readings(Memory(opened, entries, leave_out=True), asked)[name]
    for place, query in enumerate(asked):
        hidden = hidden_with(opened, entries, place)
        assert place in hidden
        rebuilt = readings(Memory(opened, without(entries, hidden)), [query])[name][0]
        np.testing.assert_allclose(honest[place], rebuilt, atol=1e-5)


@pytest.mark.parametrize("leave_out", [True, False])
def test_asked_words_are_bm25_over_the_queries_a_document_answered_less_those_left_out(
    opened: Index, entries: Judged, leave_out: bool
) -> None:
    asked = as_queries(entries.texts)
    found = readings(Memory(opened, entries, leave_out=leave_out), asked)["asked words"]
    stems = [words(text, "english") for text in entries.texts]

    def document_words(id: str, hidden: set[int]) -> Counter[str]:
        return Counter(
            stem
            for place, row in enumerate(entries.documents)
            if id in row and place not in hidden
            for stem in stems[place]
        )

    everything = {id: document_words(id, set()) for row in entries.documents for id in row}
    average = sum(sum(held.values()) for held in everything.values()) / len(everything)
    for place in range(len(asked)):
        hidden = hidden_with(opened, entries, place) if leave_out else set()
        for id in everything:
            held, score = document_words(id, hidden), 0.0
            for stem in set(stems[place]):
                frequency = sum(stem in other for other in everything.values())
                idf = math.log(1 + (len(everything) - frequency + 0.5) / (frequency + 0.5))
                room = 1.5 * (0.25 + 0.75 * sum(held.values()) / average)
                score += idf * held[stem] / (held[stem] + room) if held[stem] else 0.0
            wanted = score if held else math.nan
            assert found[place, opened.rows[id]] == pytest.approx(wanted, abs=1e-5, nan_ok=True)


def test_readings_by_hand(opened: Index) -> None:
    known = Judged(("valve pump", "rotor seal"), (("d9", "d3"), ("d3",)))
    found = readings(Memory(opened, known), [Query("q", "valve leak")])
    cosines = opened.encoder.encode(known.texts, "query") @ opened.encoder.encode(["valve leak"], "query")[0]
    first, second = (float(cosine) for cosine in cosines)
    shares = [math.exp(20 * (first - 1)), math.exp(20 * (second - 1))]
    nine, three = opened.rows["d9"], opened.rows["d3"]
    assert found["nearest query"][0, nine] == pytest.approx(first, abs=1e-5)
    assert found["nearest query"][0, three] == pytest.approx(max(first, second), abs=1e-5)
    assert found["votes"][0, nine] == pytest.approx(shares[0] / sum(shares), abs=1e-5)
    assert found["votes"][0, three] == pytest.approx(1.0, abs=1e-5)
    assert found["count"][0, [nine, three]].tolist() == [1, 2]


@pytest.mark.parametrize("leave_out", [True, False])
def test_documents_that_no_judged_query_names_have_no_reading(opened: Index, entries: Judged, leave_out: bool) -> None:
    found = readings(Memory(opened, entries, leave_out=leave_out), as_queries(entries.texts))
    unknown = [opened.rows[id] for id in ("d8", "d9", "d10", "long")]
    for name in SOURCES:
        assert np.isnan(found[name][:, unknown]).all()
        assert np.array_equal(np.isnan(found[name]), found["count"] == 0)
    assert (found["count"][:, unknown] == 0).all()
    alone = opened.rows["d7"]
    assert np.isnan(found["votes"][3, alone]) == leave_out, "the only entry of d7 is the query's own"


def test_a_memory_of_nothing_is_silent(opened: Index) -> None:
    for empty in (Judged((), ()), Judged(("valve",), (("not in the corpus",),))):
        memory = Memory(opened, empty)
        assert len(memory.search([Query("q", "valve")])["q"]) == 0
        found = readings(memory, [Query("q", "valve")])
        assert all(np.isnan(found[name]).all() for name in SOURCES)
        assert not found["count"].any()


def test_only_relevant_documents_are_remembered_and_the_artefact_round_trips() -> None:
    asked = [Query("a", "valve ü"), Query("b", "pump"), Query("c", "seal")]
    known = judged(asked, {"a": {"d2": 1, "d1": 3, "d0": 0}, "b": {"d1": 0}})
    assert known == Judged(("valve ü",), (("d1", "d2"),))
    assert load_judged(known.dump()) == known


# Evidence


def run_over(documents: Sequence[str], *queries: Query) -> Run:
    scores = np.arange(len(documents), 0, -1, dtype=np.float32)
    return Run("pool", {query.id: first_stage("pool", documents, scores) for query in queries})


def columns(evidence: Evidence, pairs: Pairs) -> dict[str, Floats]:
    assert pairs.rows.shape[1] == len(evidence.names)
    return {name: pairs.rows[:, place] for place, name in enumerate(evidence.names)}


def by_hand(kind: str, text: str, corpus: Sequence[Document]) -> list[float]:
    """BM25 over one field of the documents with k1 = 1.5 and b = 0.75."""
    chosen = next(row for row in KINDS if row.name == kind)
    assert chosen.analyser is not None
    held = [Counter(chosen.analyser(chosen.field(d), "english")) for d in corpus]
    average, scores = sum(sum(c.values()) for c in held) / len(held), [0.0] * len(held)
    for term in set(chosen.analyser(text, "english")):
        frequency = sum(term in counts for counts in held)
        idf = math.log(1 + (len(held) - frequency + 0.5) / (frequency + 0.5))
        for row, counts in enumerate(held):
            room = 1.5 * (0.25 + 0.75 * sum(counts.values()) / average)
            scores[row] += idf * counts[term] * 2.5 / (counts[term] + room)
    return scores


@pytest.mark.parametrize("kind", ["stems", "title", "tokens"])
@pytest.mark.parametrize("text", ["valve pump", "Leaking seals of T1003.004, bearing", "T1003.099", "neverseen", ""])
def test_term_matrices_are_bm25_by_hand(opened: Index, corpus: list[Document], kind: str, text: str) -> None:
    matrix = TermMatrix(next(row for row in KINDS if row.name == kind), opened)
    np.testing.assert_allclose(matrix.scores([text])[0], by_hand(kind, text, corpus), atol=1e-4)


def test_character_scores_are_cosines_and_forgive_spelling(opened: Index, corpus: list[Document]) -> None:
    matrix = TermMatrix(KINDS[-1], opened)
    own = matrix.scores([d.full_text for d in corpus])
    np.testing.assert_allclose(np.diag(own), 1, atol=1e-4)
    assert own.max() <= 1 + 1e-4
    assert matrix.scores(["T1003.0044"])[0].argmax() == opened.rows["d4"]


def test_title_cover_is_the_share_of_the_title_that_the_query_holds(opened: Index, corpus: list[Document]) -> None:
    matrix = TermMatrix(next(row for row in KINDS if row.name == "title cover"), opened)
    titled = [row for row, document in enumerate(corpus) if document.title]
    found = matrix.scores([" ".join(d.title for d in corpus), "neverseen", corpus[1].title])
    np.testing.assert_allclose(found[0, titled], 1, atol=1e-5)
    assert not found[1].any()
    assert found[2, 1] == pytest.approx(1, abs=1e-5)
    assert found[:, 0].tolist() == [0, 0, 0], "a document without a title covers nothing"


def test_a_term_matrix_is_kept_beside_the_snapshot_and_read_back_the_same(
    opened: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = TermMatrix(KINDS[0], opened).scores(["valve pump"])
    monkeypatch.setattr(terms.TermMatrix, "_build", lambda *_: pytest.fail("it was built again"))
    assert np.array_equal(TermMatrix(KINDS[0], opened).scores(["valve pump"]), fresh)


def test_every_candidate_has_a_row_queries_in_the_order_given(opened: Index) -> None:
    asked = [Query("a", "valve"), Query("b", "pump T1003.003"), Query("none", "x"), Query("c", "seal")]
    empty = Ranking([], np.zeros(0, dtype=np.float32))
    pool = Run("pool", {**run_over(["d1", "d2", "long"], asked[0], asked[1], asked[3]).rankings, "none": empty})
    evidence = Evidence(opened)
    pairs = evidence.pairs(asked, pool)
    assert pairs.starts.tolist() == [0, 3, 6, 6, 9]
    alone = evidence.pairs([asked[1]], pool)
    np.testing.assert_allclose(pairs.rows[3:6], alone.rows, atol=1e-4)
    assert evidence.pairs([], pool).rows.shape == (0, len(evidence.names))
    assert len(set(evidence.names)) == len(evidence.names)


def test_each_source_gives_score_share_standard_score_and_rank(opened: Index, corpus: list[Document]) -> None:
    chosen, query = ["d4", "long", "d0", "d7"], Query("q", "valve pump T1003.004")
    evidence = Evidence(opened)
    found = columns(evidence, evidence.pairs([query], run_over(chosen, query)))
    rows = [opened.rows[id] for id in chosen]
    asked = opened.encoder.encode([query.text], "query")[0]
    wanted = {
        "stems": np.array(by_hand("stems", query.text, corpus))[rows],
        "tokens": np.array(by_hand("tokens", query.text, corpus))[rows],
        "truncated": (opened.truncated @ asked)[rows],
        "titles": (opened.titles @ asked)[rows],
        "passages": np.array([(opened.passages[opened.owners == row] @ asked).max() for row in rows]),
    }
    for name, scores in wanted.items():
        np.testing.assert_allclose(found[f"{name} score"], scores, atol=1e-4)
        np.testing.assert_allclose(found[f"{name} share"], scores / scores.max(), atol=1e-3)
        np.testing.assert_allclose(found[f"{name} z"], (scores - scores.mean()) / scores.std(), atol=1e-2)
        ranks = [1 + sum(other > score + 1e-5 for other in scores) for score in scores]
        assert found[f"{name} rank"].tolist() == ranks


def test_facts_of_query_and_document_by_hand(opened: Index, corpus: list[Document]) -> None:
    chosen, query = ["d4", "long", "d5"], Query("q", "the valve, pump and T1003.004")
    evidence = Evidence(opened)
    found = columns(evidence, evidence.pairs([query], run_over(chosen, query)))
    np.testing.assert_allclose(found["convex fusion"], found["stems z"] + found["passages z"], atol=1e-4)
    reciprocal = 1 / (60 + found["stems rank"]) + 1 / (60 + found["passages rank"])
    np.testing.assert_allclose(found["reciprocal ranks"], reciprocal, atol=1e-6)
    lengths = [math.log1p(len(corpus[opened.rows[id]].full_text.split())) for id in chosen]
    np.testing.assert_allclose(found["document length"], lengths, atol=1e-5)
    assert found["query length"].tolist() == [5, 5, 5]
    assert found["query literals"].tolist() == [1, 1, 1]
    stems = by_hand("stems", query.text, corpus)
    np.testing.assert_allclose(found["best stems"], max(stems), atol=1e-4)
    cosines = opened.encoder.encode([query.text], "query")[0] @ opened.passages.T
    best = sorted((cosines[opened.owners == row].max() for row in range(len(corpus))), reverse=True)
    np.testing.assert_allclose(found["best passage"], best[0], atol=1e-5)
    np.testing.assert_allclose(found["passage gap"], best[0] - best[9], atol=1e-5)
    held = [set(words(d.full_text, "english")) for d in corpus]
    weights = [
        math.log(1 + (len(held) - n + 0.5) / (n + 0.5))
        for term in set(words(query.text, "english"))
        for n in [sum(term in document for document in held)]
    ]
    np.testing.assert_allclose(found["matched idf"], found["stems score"] / sum(weights), atol=1e-4)


def test_a_literal_matches_only_the_document_that_holds_it_whole(opened: Index) -> None:
    query, plain = Query("q", "error (T1003.004)"), Query("plain", "valve pump")
    evidence = Evidence(opened)
    found = columns(evidence, evidence.pairs([query, plain], run_over(["d3", "d4", "d5"], query, plain)))
    assert (found["literal match"] > 0).tolist() == [False, True, False, False, False, False]


def test_memory_adds_its_readings_and_is_silent_as_about_documents_never_asked_for(
    opened: Index, entries: Judged
) -> None:
    query = Query("q", entries.texts[0])
    chosen = ["d0", "d1", "d2", "long"]
    evidence, plain = Evidence(opened, Memory(opened, entries)), Evidence(opened)
    pairs = evidence.pairs([query], run_over(chosen, query))
    found, fewer = columns(evidence, pairs), columns(plain, plain.pairs([query], run_over(chosen, query)))
    for name, column in fewer.items():
        assert np.array_equal(found[name], column), name
    added = [name for name in evidence.names if name not in fewer]
    assert added == [*(f"{source} {shape}" for source in SOURCES for shape in features.SHAPES), "judged queries"]
    told = readings(Memory(opened, entries), [query])
    rows = [opened.rows[id] for id in chosen]
    for source in SOURCES:
        np.testing.assert_allclose(found[f"{source} score"], told[source][0, rows], atol=1e-4)
        assert np.isnan(found[f"{source} rank"]).tolist() == [False, False, False, True]
    np.testing.assert_allclose(found["judged queries"], np.log1p(told["count"][0, rows]), atol=1e-5)
    quiet = evidence.silenced(pairs.rows, np.array([True, False, False, False]))
    silent = dict(zip(evidence.names, quiet.T, strict=True))
    for name in evidence.names:
        never = found[name][3] if name in added else found[name][0]
        assert np.array_equal(silent[name][0], never, equal_nan=True), name
        assert np.array_equal(silent[name][1:], found[name][1:], equal_nan=True), name
    assert not np.isnan(found["votes score"][0]), "the rows given are not changed"


# Ranker


def made_pairs(queries: int, seed: int) -> tuple[Pairs, Ints]:
    """Ten candidates a query, one of them right: the one whose `good` is highest; `other` may be missing."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(queries * 10, 3)).astype(np.float32)
    grades = np.zeros(queries * 10, dtype=np.int64)
    for query in range(queries):
        right = query * 10 + int(rng.integers(10))
        rows[right, 0] += 6
        grades[right] = 1
    rows[rng.random(len(rows)) < 0.3, 2] = np.nan
    return Pairs(np.arange(0, queries * 10 + 1, 10, dtype=np.int64), rows), grades


@pytest.fixture(scope="module")
def trees() -> Trees:
    return Lessons(*made_pairs(60, 1), NAMES).train()


def test_trees_put_right_above_wrong_on_queries_they_never_saw(trees: Trees) -> None:
    pairs, grades = made_pairs(40, 2)
    scores = trees.scores(pairs.rows).reshape(40, 10)
    right = grades.reshape(40, 10).argmax(axis=1)
    assert (scores.argmax(axis=1) == right).mean() > 0.9
    wrong = np.where(grades.reshape(40, 10) == 0, scores, np.nan)
    assert (scores[np.arange(40), right] > np.nanmean(wrong, axis=1)).mean() > 0.9


def test_the_same_pairs_give_the_same_trees_and_another_seed_others(trees: Trees) -> None:
    assert Lessons(*made_pairs(60, 1), NAMES).train().dump() == trees.dump()
    assert Lessons(*made_pairs(60, 1), NAMES).train(seed=14).dump() != trees.dump()


def test_a_fit_on_some_queries_is_a_fit_without_the_others() -> None:
    pairs, grades = made_pairs(80, 5)
    some = [place for place in range(80) if place % 4]
    found = Lessons(pairs, grades, NAMES).train(some)
    changed = grades.copy()
    changed.reshape(80, 10)[::4] = changed.reshape(80, 10)[::4, ::-1]
    assert Lessons(pairs, changed, NAMES).train(some).dump() == found.dump(), "grades of the others have no say"
    assert Lessons(pairs, grades, NAMES).train().dump() != found.dump()


def test_trees_round_trip(trees: Trees) -> None:
    read = load_trees(trees.dump())
    pairs, _ = made_pairs(20, 3)
    assert read.names == NAMES
    assert np.array_equal(read.scores(pairs.rows), trees.scores(pairs.rows))
    assert load_trees(read.dump()).dump() == read.dump()


def test_queries_that_teach_nothing_say_nothing_but_where_the_bins_lie() -> None:
    pairs, grades = made_pairs(60, 1)
    idle = made_pairs(3, 9)[0].rows
    none, all_right = np.zeros(15, dtype=np.int64), np.ones(15, dtype=np.int64)
    starts = np.concatenate([[0, 15, 30, 30], 30 + pairs.starts[1:]])
    more = Pairs(starts, np.concatenate([idle, pairs.rows]))
    found = Lessons(more, np.concatenate([none, all_right, grades]), NAMES)
    assert Lessons(more, np.concatenate([all_right, none, grades]), NAMES).train().dump() == found.train().dump()
    assert found.train(range(3, 63)).dump() == found.train().dump()


def test_gains_are_shares_and_name_what_mattered(trees: Trees) -> None:
    gains = trees.gains()
    assert next(iter(gains)) == "good"
    assert gains["good"] > 0.5
    assert sum(gains.values()) == pytest.approx(1)
    assert list(gains.values()) == sorted(gains.values(), reverse=True)


@pytest.mark.parametrize("names", [("good",), ("other", "noise", "good")])
def test_trees_of_other_features_are_refused(opened: Index, names: tuple[str, ...]) -> None:
    pairs, grades = made_pairs(60, 1)
    trees = Lessons(Pairs(pairs.starts, pairs.rows[:, : len(names)]), grades, names).train()
    with pytest.raises(ResurveyError, match="fitted on other features") as caught:
        FeatureRanker(Evidence(opened), trees)
    assert caught.value.next == "resurvey treat DIR ranker"


def test_the_order_of_the_feature_names_counts(opened: Index) -> None:
    evidence = Evidence(opened)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, len(evidence.names))).astype(np.float32)
    pairs, grades = Pairs(np.arange(0, 601, 10, dtype=np.int64), rows), made_pairs(60, 1)[1]
    FeatureRanker(evidence, Lessons(pairs, grades, evidence.names).train())
    with pytest.raises(ResurveyError, match="other features"):
        FeatureRanker(evidence, Lessons(pairs, grades, evidence.names[::-1]).train())


def test_rescored_orders_each_query_by_its_own_scores() -> None:
    asked = [Query("a", ""), Query("b", "")]
    pool = run_over(["x", "y", "z"], *asked)
    scores = np.array([1, 3, 2, 5, 4, 5], dtype=np.float64)
    found = rescored(pool, asked, np.array([0, 3, 6]), scores)
    assert list(found["a"].documents) == ["y", "z", "x"]
    assert list(found["b"].documents) == ["x", "z", "y"], "equal scores keep their order"
    assert [hit.stages["pool"][0] for hit in found["a"]] == [2, 3, 1]
    assert [hit.stages["ranker"] for hit in found["a"]] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_nothing_is_embedded_again_for_evidence(opened: Index, entries: Judged, tmp_path: Path) -> None:
    query = Query("q", entries.texts[0])
    evidence = Evidence(opened, Memory(opened, entries))
    evidence.pairs([query], run_over(["d0"], query))
    before = sorted(path.name for path in opened.vectors.folder.iterdir())
    evidence.pairs([query], run_over(["d1", "long"], query))
    assert sorted(path.name for path in opened.vectors.folder.iterdir()) == before
