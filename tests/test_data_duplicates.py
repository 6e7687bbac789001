"""Near-duplicates: what says the same is one cluster, what a key tells apart never is, at any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resurvey.data import duplicates as module
from resurvey.data.duplicates import duplicates, jaccard, shingles
from resurvey.types import Document

WORDS = np.array([f"word{place}" for place in range(400)])


def text(seed: int, words: int = 60) -> list[str]:
    return list(np.random.default_rng(seed).choice(WORDS, words))


def changed(words: list[str], at: int) -> str:
    return " ".join([*words[:at], "other", *words[at + 1 :]])


def clusters(texts: list[str], like: float = 0.8, key: object = None) -> list[tuple[str, ...]]:
    made = [Document(f"d{place}", found) for place, found in enumerate(texts)]
    return [c.documents for c in duplicates(made, (lambda _: None) if key is None else key, like=like)]  # type: ignore[arg-type]


def test_texts_that_share_most_triples_are_one_cluster_and_others_none() -> None:
    first = text(1)
    found = duplicates(
        [
            Document("a", " ".join(first)),
            Document("b", " ".join(text(2))),
            Document("c", changed(first, 30)),
            Document("d", " ".join(first).upper() + "!"),
            Document("e", " ".join(text(3))),
        ],
        lambda _: None,
    )
    assert [cluster.documents for cluster in found] == [("a", "c", "d")]
    assert found[0].least == pytest.approx(55 / 61)
    assert clusters([" ".join(first), changed(first, 30)], like=0.95) == []
    assert clusters([" ".join(first), " ".join(first)], like=1.0) == [("d0", "d1")]


def test_small_differences_never_chain_what_differs_much() -> None:
    words = text(5)
    texts = [" ".join(words)]
    for at in range(4, 60, 8):
        words = changed(words, at).split()
        texts.append(" ".join(words))
    found = clusters(texts)
    assert len(found) > 1
    for cluster in found:
        leader, *others = (shingles(texts[int(document[1:])]) for document in cluster)
        assert all(jaccard(leader, other) >= 0.8 for other in others)


def test_proposals_by_minhash_lose_none_of_the_planted_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(text(seed)) for seed in range(150)]
    texts += [changed(text(seed), 1 + seed % 58) for seed in range(0, 150, 3)]
    assert len(texts) > module.FEW
    estimated = clusters(texts)
    monkeypatch.setattr(module, "FEW", 10_000)
    assert estimated == clusters(texts)
    assert len(estimated) == 50


def test_what_a_key_tells_apart_is_never_one() -> None:
    same = " ".join(text(7))
    assert clusters([same, same, same], key=lambda d: d.id == "d1") == [("d0", "d2")]


@pytest.mark.parametrize(("one", "other", "same"), [("", "", True), ("a", "A.", True), ("a b", "a c", False), ("", "a", False)])  # fmt: skip
def test_the_shortest_texts_are_held_against_each_other_whole(one: str, other: str, same: bool) -> None:
    assert (clusters([one, other]) == [("d0", "d1")]) == same


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join), max_size=12), st.sampled_from([0.3, 0.6, 1.0])
)
def test_clusters_part_the_documents_and_every_member_is_like_its_leader(texts: list[str], like: float) -> None:
    found = clusters(texts, like, key=lambda d: d.text[:1])
    members = [document for cluster in found for document in cluster]
    assert len(members) == len(set(members))
    for cluster in found:
        assert len(cluster) > 1
        leader, *others = (texts[int(document[1:])] for document in cluster)
        assert all(jaccard(shingles(leader), shingles(other)) >= like for other in others)
        assert {other[:1] for other in others} == {leader[:1]}
    for place, one in enumerate(texts):
        for other in range(place):
            if texts[other] == one:
                assert any({f"d{place}", f"d{other}"} <= set(cluster) for cluster in found)
