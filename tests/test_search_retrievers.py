"""One conformance suite: every stage a recipe can name keeps the same promises."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from resurvey.protocols import Retriever
from resurvey.search import recipe
from resurvey.search.analyse import identifiers, words
from resurvey.search.builder import Builder
from resurvey.search.compose import Then, best
from resurvey.search.dense import Dense
from resurvey.search.encode import SentenceEncoder
from resurvey.search.fuse import ReciprocalRank, fuse
from resurvey.search.index import TRANSFORMS, VIEWS, Index, open_index
from resurvey.search.lexical import Lexical
from resurvey.search.memory import judged
from resurvey.search.postings import RULES, Rule
from resurvey.search.ranker import FeatureRanker, Lessons
from resurvey.settings import Settings
from resurvey.types import Document, Floats, Json, Qrels, Query, Ranking, Run
from resurvey.workspace import Artefacts

DEPTH = 7
WEIGHTS = {"lexical": 0.4, "dense": 0.6}
Node = Callable[[str, str, str], Json]
"""From a depth's worth of references (judged queries, trees, trees with memory) to a recipe's node."""

SINGLE: dict[str, Node] = {
    "lexical": lambda judged, *_: recipe.lexical(DEPTH),
    "lexical with identifiers": lambda judged, *_: recipe.lexical(DEPTH, 0.5),
    "characters": lambda judged, *_: recipe.characters(DEPTH),
    "memory": lambda judged, *_: recipe.memory(DEPTH, judged),
    **{
        f"dense {view} {transform}": lambda judged, *_, view=view, transform=transform: recipe.dense(
            DEPTH, view=view, transform=transform
        )
        for view in VIEWS
        for transform in TRANSFORMS
    },
}
PAIR = (recipe.lexical(DEPTH), recipe.dense(DEPTH))
COMPOSED: dict[str, Node] = {
    "fused by ranks": lambda judged, *_: recipe.fused(PAIR, DEPTH),
    "fused by weights": lambda judged, *_: recipe.fused(PAIR, DEPTH, WEIGHTS),
    "ranked": lambda judged, trees, _: recipe.ranked(recipe.fused(PAIR, DEPTH), trees),
    "ranked with memory": lambda judged, _, trees: recipe.ranked(
        recipe.fused([*PAIR, recipe.memory(DEPTH, judged)], DEPTH), trees, judged
    ),
}
STAGES = {**SINGLE, **COMPOSED}


@pytest.fixture(scope="module")
def opened(
    tmp_path_factory: pytest.TempPathFactory,
    documents: tuple[Document, ...],
    encoder: SentenceEncoder,
    plain_settings: Settings,
) -> Index:
    return open_index(tmp_path_factory.mktemp("conformance"), documents, encoder, plain_settings)


@pytest.fixture(scope="module")
def building(opened: Index, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(opened, Artefacts(tmp_path_factory.mktemp("artefacts")))


@pytest.fixture(scope="module")
def nodes(building: Builder, queries: tuple[Query, ...], qrels: Qrels) -> dict[str, Json]:
    """Every stage's node, its artefacts learned from the first forty queries."""
    taught = queries[:40]
    remembered = building.artefacts.put(judged(taught, qrels).dump())
    pool = fuse([building.node(node).search(taught) for node in PAIR], ReciprocalRank(), 20)
    grades = np.array([qrels[q.id].get(d, 0) for q in taught for d in pool[q.id].documents], dtype=np.int64)
    references = [remembered]
    for known in ("", remembered):
        evidence = building.evidence(known)
        trees = Lessons(evidence.pairs(taught, pool), grades, evidence.names).train()
        references.append(building.artefacts.put(trees.dump()))
    return {name: node(*references) for name, node in STAGES.items()}


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def retriever(stage: str, nodes: dict[str, Json], building: Builder) -> Retriever:
    return building.node(nodes[stage])


def same(one: Run, other: Run) -> bool:
    """Whether two runs are identical, stages included."""
    return list(one.rankings) == list(other.rankings) and all(
        list(one[q]) == list(other[q]) and list(one[q].documents) == list(other[q].documents) for q in one.rankings
    )


def agree(one: Ranking, other: Ranking, tolerance: float = 1e-4) -> bool:
    """Whether two rankings are the same but for documents whose scores float32 cannot tell apart."""
    if len(one) != len(other) or not np.allclose(one.scores, other.scores, atol=tolerance):
        return False
    first, second = (dict(zip(r.documents, r.scores.tolist(), strict=True)) for r in (one, other))
    last = min(first.values(), default=0.0)
    return all(abs(first.get(d, last) - second.get(d, last)) <= tolerance for d in {*first, *second})


def test_every_query_is_answered_once_in_the_order_asked(retriever: Retriever, queries: tuple[Query, ...]) -> None:
    asked = list(reversed(queries))[::7]
    found = retriever.search(asked)
    assert list(found.rankings) == [query.id for query in asked]
    assert any(len(found[query.id]) for query in asked)


def test_scores_never_increase_and_are_numbers(retriever: Retriever, queries: tuple[Query, ...]) -> None:
    for ranking in retriever.search(queries).rankings.values():
        assert np.isfinite(ranking.scores).all()
        assert np.all(np.diff(ranking.scores) <= 0)


def test_no_document_comes_twice_and_all_are_known(
    retriever: Retriever, queries: tuple[Query, ...], opened: Index
) -> None:
    for ranking in retriever.search(queries).rankings.values():
        assert len(set(ranking.documents)) == len(ranking.documents) == len(ranking.scores)
        assert set(ranking.documents) <= set(opened.rows)
        assert all(type(document) is str for document in ranking.documents)


def test_ranks_count_from_one(retriever: Retriever, queries: tuple[Query, ...]) -> None:
    for ranking in retriever.search(queries).rankings.values():
        assert [hit.rank for hit in ranking] == list(range(1, len(ranking) + 1))


def test_depth_is_respected_and_reached(stage: str, retriever: Retriever, queries: tuple[Query, ...]) -> None:
    lengths = [len(ranking) for ranking in retriever.search(queries).rankings.values()]
    assert max(lengths) == DEPTH
    if "lexical" not in stage:
        assert min(lengths) == DEPTH, "only words can match fewer documents than were asked for"


def test_the_stage_itself_is_remembered(retriever: Retriever, queries: tuple[Query, ...]) -> None:
    own = retriever.name.split(" >> ")[-1]
    for ranking in retriever.search(queries).rankings.values():
        assert all(hit.stages[own] == (hit.rank, hit.score) for hit in ranking)


@pytest.mark.parametrize("text", ["", "   ", "the of", "qqqq zzzzxx", "?!", "\x00", "valve " * 300])
def test_odd_queries_are_answered_or_left_empty(retriever: Retriever, text: str) -> None:
    found = retriever.search([Query("odd", text), Query("plain", "valve pump")])
    assert list(found.rankings) == ["odd", "plain"]
    assert len(found["plain"])
    assert np.isfinite(found["odd"].scores).all()


@pytest.mark.parametrize("name", ["lexical", "lexical with identifiers", "characters"])
@pytest.mark.parametrize("text", ["", "?!", "qqqq zzzzxx"])
def test_what_has_no_term_in_common_is_not_found(
    name: str, text: str, nodes: dict[str, Json], building: Builder
) -> None:
    assert len(building.node(nodes[name]).search([Query("q", text)])["q"]) == 0


def test_no_queries_give_an_empty_run(retriever: Retriever) -> None:
    assert len(retriever.search([])) == 0


def test_two_runs_are_identical(retriever: Retriever, queries: tuple[Query, ...]) -> None:
    assert same(retriever.search(queries), retriever.search(queries))


def test_a_retriever_built_anew_finds_the_same(
    stage: str, nodes: dict[str, Json], building: Builder, opened: Index, queries: tuple[Query, ...]
) -> None:
    anew = Builder(opened, building.artefacts).node(nodes[stage])
    assert same(anew.search(queries), building.node(nodes[stage]).search(queries))


def test_a_batch_equals_its_queries_one_by_one(retriever: Retriever, queries: tuple[Query, ...]) -> None:
    together = retriever.search(queries)
    for query in queries[::4]:
        assert agree(together[query.id], retriever.search([query])[query.id]), query


def test_a_query_does_not_depend_on_its_company(
    monkeypatch: pytest.MonkeyPatch, retriever: Retriever, queries: tuple[Query, ...]
) -> None:
    together = retriever.search(queries)
    for module in ("dense", "terms", "memory", "features"):
        monkeypatch.setattr(f"resurvey.search.{module}.BLOCK", 7)
    apart = retriever.search(queries)
    assert list(apart.rankings) == list(together.rankings)
    assert all(agree(together[query.id], apart[query.id]) for query in queries)


def test_equal_texts_get_equal_rankings(retriever: Retriever) -> None:
    found = retriever.search([Query("a", "valve leak"), Query("b", "bolt"), Query("c", "valve leak")])
    assert agree(found["a"], found["c"])


@pytest.mark.parametrize("name", SINGLE)
def test_a_deeper_search_begins_with_the_shallower_one(
    name: str, nodes: dict[str, Json], building: Builder, queries: tuple[Query, ...]
) -> None:
    shallow = building.node(nodes[name]).search(queries)
    deep = building.node({**nodes[name], "depth": 15}).search(queries)
    assert max(len(ranking) for ranking in deep.rankings.values()) > DEPTH
    for query in queries:
        assert list(deep[query.id].top(DEPTH)) == list(shallow[query.id])


@pytest.mark.parametrize("name", ["fused by ranks", "fused by weights"])
def test_fusion_remembers_what_every_branch_thought(
    name: str, nodes: dict[str, Json], building: Builder, queries: tuple[Query, ...]
) -> None:
    branches = {node["stage"]: building.node(node).search(queries) for node in PAIR}
    found = building.node(nodes[name]).search(queries)
    for query in queries:
        for hit in found[query.id]:
            for branch, run in branches.items():
                thought = {h.document: (h.rank, h.score) for h in run[query.id]}
                assert hit.stages.get(branch) == thought.get(hit.document)


@pytest.mark.parametrize("name", ["ranked", "ranked with memory"])
def test_a_ranker_reorders_what_came_before_and_remembers_it(
    name: str, nodes: dict[str, Json], building: Builder, queries: tuple[Query, ...]
) -> None:
    before = building.node(nodes[name]["input"]).search(queries)
    after = building.node(nodes[name]).search(queries)
    moved = 0
    for query in queries:
        assert sorted(before[query.id].documents) == sorted(after[query.id].documents)
        moved += list(before[query.id].documents) != list(after[query.id].documents)
        earlier = {hit.document: hit.stages for hit in before[query.id]}
        for hit in after[query.id]:
            assert {name: thought for name, thought in hit.stages.items() if name != "ranker"} == earlier[hit.document]
    assert moved


def unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("view", VIEWS)
def test_dense_scores_are_cosines_and_a_document_scores_as_its_best_passage(
    view: str, transform: str, opened: Index, building: Builder, queries: tuple[Query, ...]
) -> None:
    parts, documents, encoder = opened.cut, opened.documents, opened.encoder
    passages = encoder.encode(parts.texts, "passage")
    texts, owners = {
        "passages": (list(parts.texts), [passage.document for passage in parts.passages]),
        "truncated": ([d.full_text for d in documents], [d.id for d in documents]),
        "titles": ([d.title for d in documents], [d.id for d in documents]),
    }[view]
    there, asked = encoder.encode(texts, "passage"), encoder.encode([q.text for q in queries], "query")
    if transform != "none":
        spread = passages.std(axis=0) if transform == "standardise" else np.float32(1)
        there, asked = (unit((rows - passages.mean(axis=0)) / spread) for rows in (there, asked))
    cosines = asked @ there.T
    run = building.node(recipe.dense(len(documents), view=view, transform=transform)).search(queries)
    for row, query in enumerate(queries[:20]):
        wanted = {d.id: max(c for c, o in zip(cosines[row], owners, strict=True) if o == d.id) for d in documents}
        for hit in run[query.id]:
            assert hit.score == pytest.approx(wanted[hit.document], abs=2e-4)
        assert len(run[query.id]) == len(documents)


def bm25(asked: Sequence[str], corpus: Sequence[Sequence[str]], rule: Rule) -> list[float]:
    average = sum(map(len, corpus)) / len(corpus)
    held = Counter(term for document in corpus for term in set(document))
    scores = []
    for document in corpus:
        counts, room = Counter(document), rule.k1 * (1 - rule.b + rule.b * len(document) / average)
        idf = {term: math.log(1 + (len(corpus) - held[term] + 0.5) / (held[term] + 0.5)) for term in asked}
        scores.append(sum(idf[term] * counts[term] * (rule.k1 + 1) / (counts[term] + room) for term in asked))
    return scores


@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
def test_lexical_scores_are_those_of_the_best_passage_words_and_weighted_identifiers(
    opened: Index, queries: tuple[Query, ...], weight: float
) -> None:
    corpus = [words(text, "english") for text in opened.cut.texts]
    codes = [identifiers(text, "english") for text in opened.cut.texts]
    asked = (*queries[:15], Query("code", "p3 103"), Query("only in words", "valve 3"))
    run = Lexical(opened, 20, weight).search(asked)
    for query in asked:
        wanted: dict[str, float] = {}
        one = bm25(words(query.text, "english"), corpus, RULES["words"])
        other = bm25(identifiers(query.text, "english"), codes, RULES["identifiers"])
        for passage, score, more in zip(opened.cut.passages, one, other, strict=True):
            score += weight * more  # noqa: PLW2901
            if score > 0:
                wanted[passage.document] = max(wanted.get(passage.document, 0.0), score)
        found = {hit.document: hit.score for hit in run[query.id]}
        assert found == pytest.approx(wanted, rel=1e-3)


def test_one_document_of_many_passages_does_not_crowd_out_the_others(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings
) -> None:
    crowd = Document("long", " ".join(["valve pump seal."] * 400))
    others = [Document(f"d{place}", "valve " + "inspect the bolt " * 8) for place in range(29)]
    crowded = open_index(tmp_path, [crowd, *others], encoder, plain_settings)
    assert len(crowded.owners) > 40
    found = Lexical(crowded, 10).search([Query("q", "valve")])["q"]
    assert found.documents[0] == "long"
    assert len(found) == 10


def test_dense_ties_are_broken_by_the_order_of_documents(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings
) -> None:
    corpus = [Document(f"d{place:02d}", "valve pump" if place % 2 else "seal") for place in range(30)]
    tied = open_index(tmp_path, corpus, encoder, plain_settings)
    for retriever in (Lexical(tied, 5), Dense(tied, depth=5)):
        found = retriever.search([Query("q", "valve pump")])["q"]
        assert list(found.documents) == ["d01", "d03", "d05", "d07", "d09"]


@pytest.mark.parametrize("seed", range(20))
def test_best_is_the_head_of_the_whole_order_ties_by_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 3, int(rng.integers(1, 50))).astype(np.float32)
    whole = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    for k in (0, 1, len(scores) // 2, len(scores), len(scores) + 5):
        rows, kept = best(scores, k)
        assert rows.tolist() == whole[:k]
        assert kept.tolist() == scores[rows].tolist()


def test_composition_is_a_retriever_and_refuses_misfits_when_built(
    opened: Index, nodes: dict[str, Json], building: Builder
) -> None:
    ranked = building.node(nodes["ranked"])
    assert isinstance(ranked, Then)
    assert isinstance(ranked.second, FeatureRanker)
    dense = Dense(opened)
    assert (dense >> ranked.second).name == "dense >> ranker"
    assert ((dense >> ranked.second) >> ranked.second).name == "dense >> ranker >> ranker"
    for misfit in (Lexical(opened), None, "ranker", len):
        with pytest.raises(TypeError, match=r"cannot stand after >>: it has no rerank\(\)"):
            dense >> misfit
    with pytest.raises(TypeError):
        ranked.second >> dense  # type: ignore[operator]
