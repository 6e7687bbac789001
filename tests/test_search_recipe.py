"""Recipes: JSON that rebuilds the very same retriever, or is refused in plain words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from resurvey.errors import ResurveyError
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.fuse import ReciprocalRank, fuse
from resurvey.search.index import Index
from resurvey.search.memory import judged
from resurvey.search.ranker import Lessons
from resurvey.types import Json, Qrels, Query, Run
from resurvey.workspace import Artefacts

PAIR = (recipe.lexical(12), recipe.dense(12, transform="center"))


@pytest.fixture
def references(builder: Builder, queries: tuple[Query, ...], qrels: Qrels) -> tuple[str, str]:
    """Judged queries, and trees fitted with them."""
    remembered = builder.artefacts.put(judged(queries, qrels).dump())
    pool = fuse([builder.node(node).search(queries) for node in PAIR], ReciprocalRank(), 15)
    evidence = builder.evidence(remembered)
    grades = np.array([qrels[q.id].get(d, 0) for q in queries for d in pool[q.id].documents], dtype=np.int64)
    trees = builder.artefacts.put(Lessons(evidence.pairs(queries, pool), grades, evidence.names).train().dump())
    return remembered, trees


def whole(references: tuple[str, str], index: Index) -> Json:
    """The largest recipe there is: three branches fused, ranked by trees with memory."""
    remembered, trees = references
    inputs = [*PAIR, recipe.characters(12), recipe.memory(12, remembered)]
    return recipe.recipe(recipe.ranked(recipe.fused(inputs, 15), trees, remembered), index.encoder)


def hits(run: Run) -> list[object]:
    return [(query, list(ranking)) for query, ranking in run.rankings.items()]


def test_a_recipe_read_back_from_json_rebuilds_identical_results(
    builder: Builder, index: Index, references: tuple[str, str], queries: tuple[Query, ...]
) -> None:
    made = whole(references, index)
    read = json.loads(json.dumps(made, allow_nan=False))
    assert read == made
    anew = Builder(index, Artefacts(builder.artefacts.folder))
    assert hits(anew.recipe(read).search(queries)) == hits(builder.recipe(made).search(queries))


def test_a_recipe_names_its_encoder_and_format(index: Index) -> None:
    made = recipe.recipe(recipe.lexical(5), index.encoder)
    assert made["encoder"] == {"name": index.encoder.name, "fingerprint": index.encoder.fingerprint}
    assert made["format"] == recipe.FORMAT


def test_a_recipe_of_another_encoder_is_refused(builder: Builder, index: Index) -> None:
    made = recipe.recipe(recipe.dense(5), index.encoder)
    made["encoder"]["fingerprint"] = "0123456789abcdef" * 4
    with pytest.raises(ResurveyError, match="was made with encoder 0123456789ab, the index holds vectors of") as caught:
        builder.recipe(made)
    assert index.encoder.fingerprint[:12] in str(caught.value)
    assert caught.value.next == "resurvey run DIR"


def test_a_recipe_of_another_format_is_refused(builder: Builder, index: Index) -> None:
    made = {**recipe.recipe(recipe.lexical(5), index.encoder), "format": 99}
    with pytest.raises(ResurveyError, match="has format 99, this resurvey reads format 1"):
        builder.recipe(made)


@pytest.mark.parametrize("which", [0, 1], ids=["judged queries", "trees"])
def test_a_missing_artefact_is_refused(builder: Builder, index: Index, references: tuple[str, str], which: int) -> None:
    made = whole(references, index)
    (builder.artefacts.folder / references[which].removeprefix("sha256:")).unlink()
    with pytest.raises(ResurveyError, match="names this artefact, and it is missing") as caught:
        Builder(index, builder.artefacts).recipe(made)
    assert caught.value.next.startswith("resurvey treat")


@pytest.mark.parametrize("which", [0, 1], ids=["judged queries", "trees"])
def test_a_tampered_artefact_is_refused(
    builder: Builder, index: Index, references: tuple[str, str], which: int
) -> None:
    made = whole(references, index)
    path: Path = builder.artefacts.folder / references[which].removeprefix("sha256:")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ResurveyError, match="content no longer matches its name") as caught:
        Builder(index, builder.artefacts).recipe(made)
    assert str(path) in str(caught.value)


def test_trees_of_other_evidence_are_refused(builder: Builder, index: Index, references: tuple[str, str]) -> None:
    _, trees = references
    without = recipe.recipe(recipe.ranked(recipe.lexical(5), trees), index.encoder)
    with pytest.raises(ResurveyError, match="fitted on other features") as caught:
        builder.recipe(without)
    assert caught.value.next == "resurvey treat DIR ranker"


def test_what_two_recipes_share_is_built_once(builder: Builder) -> None:
    assert builder.node(recipe.dense(5)) is builder.node(dict(reversed(list(recipe.dense(5).items()))))
    assert builder.node(recipe.dense(5)) is not builder.node(recipe.dense(6))
    assert builder.evidence() is builder.evidence()


NODES: dict[str, Json] = {
    "BM25": recipe.lexical(5),
    "character n-grams": recipe.characters(5),
    "judged queries": recipe.memory(5, "sha256:00"),
    "dense over passages": recipe.dense(5),
    "dense over titles, centred": recipe.dense(5, view="titles", transform="center"),
    "dense over truncated, standardised": recipe.dense(5, view="truncated", transform="standardise"),
    "RRF(BM25, dense over passages)": recipe.fused([recipe.lexical(5), recipe.dense(5)], 5),
    "0.30 BM25 + 0.70 dense over passages": recipe.fused(
        [recipe.lexical(5), recipe.dense(5)], 5, {"lexical": 0.3, "dense": 0.7}
    ),
    "(BM25) >> feature ranker": recipe.ranked(recipe.lexical(5), "sha256:00"),
    "(BM25) >> feature ranker with the judged queries": recipe.ranked(recipe.lexical(5), "sha256:00", "sha256:01"),
}


@pytest.mark.parametrize("wanted", NODES)
def test_every_node_is_said_in_words(wanted: str) -> None:
    assert recipe.describe(NODES[wanted]) == wanted


def test_keys_tell_nodes_apart_and_not_their_spelling() -> None:
    assert len({recipe.node_key(node) for node in NODES.values()}) == len(NODES)
    assert recipe.node_key(NODES["BM25"]) == recipe.node_key(dict(reversed(list(NODES["BM25"].items()))))
    assert recipe.node_key(recipe.lexical(5)) != recipe.node_key(recipe.lexical(6))


def test_weights_and_settings_of_a_node_reach_the_search(builder: Builder, queries: tuple[Query, ...]) -> None:
    leaning = [
        builder.node(recipe.fused(PAIR, 12, {"lexical": 1 - weight, "dense": weight})).search(queries)
        for weight in (0.1, 0.9)
    ]
    assert hits(leaning[0]) != hits(leaning[1])
    (one, *_), (sixty, *_) = (
        builder.node({**recipe.fused(PAIR, 12), "rule": {"kind": "rrf", "k": k}}).search(queries)["q0"] for k in (1, 60)
    )
    assert one.score == pytest.approx(sum(1 / (1 + one.stages[name][0]) for name in ("lexical", "dense")), rel=1e-5)
    assert sixty.score == pytest.approx(sum(1 / (60 + sixty.stages[n][0]) for n in ("lexical", "dense")), rel=1e-5)
