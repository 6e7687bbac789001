"""Search within a filter: as many documents as were asked for, the best ones that pass, through every stage."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bag import builder as built

from resurvey.errors import ResurveyError
from resurvey.search import recipe
from resurvey.search.boost import by_value
from resurvey.search.builder import Builder
from resurvey.search.collapse import dump_clusters
from resurvey.search.within import restricted
from resurvey.types import Document, Json, Query

WORDS = ("valve", "pump", "rotor", "seal", "bearing", "flange")
ASKED = (Query("a", "valve pump rotor"), Query("b", "flange seal"), Query("c", "unheard of"))


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """120 documents, every twentieth of them `rare`, at the far end of any search for valves."""
    made = []
    for place in range(120):
        text = " ".join(WORDS[(place * step + step) % 6] for step in range(1, 5)) + f" item{place}"
        rare = place % 20 == 0
        made.append(Document(f"d{place}", f"{text} filler{place % 7}" if rare else f"valve {text} valve", "", {"kind": "rare" if rare else "common", "n": place}))  # fmt: skip
    return built(tmp_path_factory.mktemp("within"), made)


def ids(builder: Builder, node: Json, query: Query) -> list[str]:
    return list(builder.node(node).search([query])[query.id].documents)


BRANCHES = [recipe.lexical(8), recipe.dense(8, view="truncated"), recipe.dense(8), recipe.characters(8)]


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda node: f"{node['stage']} {node.get('view', '')}")
@pytest.mark.parametrize("where", ["kind = 'rare'", "kind = 'common'", "n between 40 and 43", "n > 1000"])
def test_a_filtered_branch_is_the_whole_branch_without_what_does_not_pass(
    branch: Json, where: str, builder: Builder
) -> None:
    for query in ASKED:
        everything = builder.node({**branch, "depth": 120}).search([query])[query.id]
        allowed = {d.id for d in builder.index.documents if eval_where(where, d)}
        expected = [d for d in everything.documents if d in allowed][:8]
        found = builder.node(recipe.filtered(branch, where)).search([query])[query.id]
        assert list(found.documents) == expected
        scores = dict(zip(everything.documents, everything.scores.tolist(), strict=True))
        assert np.allclose(found.scores, [scores[d] for d in expected], atol=1e-6)
        assert [hit.stages[branch["stage"]][0] for hit in found] == list(range(1, len(expected) + 1))


def eval_where(where: str, document: Document) -> bool:
    n, kind = document.metadata["n"], document.metadata["kind"]
    assert isinstance(n, int)
    return {"kind = 'rare'": kind == "rare", "kind = 'common'": kind == "common", "n between 40 and 43": 40 <= n <= 43, "n > 1000": n > 1000}[where]  # fmt: skip


def test_a_selective_filter_still_returns_as_many_as_were_asked_for(builder: Builder) -> None:
    rare = {f"d{place}" for place in range(0, 120, 20)}
    fused = recipe.fused([recipe.lexical(6), recipe.dense(6)], 6)
    assert len(rare & set(ids(builder, fused, ASKED[0]))) < 6
    assert set(ids(builder, recipe.filtered(fused, "kind = 'rare'"), ASKED[0])) == rare


def test_the_filter_goes_down_to_the_branches_through_everything(builder: Builder) -> None:
    clusters = builder.artefacts.put(dump_clusters([["d0", "d20"]]))
    fused = recipe.fused([recipe.lexical(10), recipe.dense(10)], 10)
    whole = recipe.collapsed(recipe.boosted(fused, {"kind": [by_value({"rare": 1.0})]}), clusters)
    node = restricted(whole, "n < 60")
    leaves = node["input"]["input"]["inputs"]
    assert [leaf["stage"] for leaf in leaves] == ["filtered", "filtered"]
    assert all(leaf["where"] == "n < 60" for leaf in leaves)
    found = ids(builder, recipe.filtered(whole, "n < 60"), ASKED[0])
    assert found
    assert all(int(document[1:]) < 60 for document in found)
    assert len({"d0", "d20"} & set(found)) < 2
    twice = ids(builder, recipe.filtered(recipe.filtered(whole, "n < 60"), "kind = 'rare' or n = 7"), ASKED[0])
    assert set(twice) <= {"d0", "d20", "d40", "d7"}


def test_a_filtered_recipe_is_json_and_says_what_it_keeps(builder: Builder) -> None:
    node = json.loads(json.dumps(recipe.filtered(recipe.lexical(5), "kind = 'rare'")))
    assert recipe.describe(node) == "(BM25) >> within kind = 'rare'"
    made = recipe.recipe(node, builder.index.encoder)
    assert list(builder.recipe(made).search(ASKED).rankings) == ["a", "b", "c"]
    with pytest.raises(ResurveyError, match="did you mean `kind`"):
        builder.node(recipe.filtered(recipe.lexical(5), "kin = 'rare'"))


def test_one_query_finds_the_same_alone_and_among_others(builder: Builder) -> None:
    retriever = builder.node(recipe.filtered(recipe.lexical(4), "kind = 'rare'"))
    together = retriever.search(ASKED)
    for query in ASKED:
        alone = retriever.search([query])[query.id]
        assert list(alone.documents) == list(together[query.id].documents)
