"""Random halves: a planted illness is confirmed in at least 19 of 20, and nothing healthy is ever confirmed in one.

Every finding that has a band has a case here, or names the test that holds its own (collision, vocabulary, metadata and
rogue dimensions build worlds of their own).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from resurvey.diagnose.codes import literal_finding
from resurvey.diagnose.geometry import spread_finding
from resurvey.diagnose.hubness import hub_finding
from resurvey.diagnose.levels import BANDS
from resurvey.diagnose.retrieval import retrieval_findings
from resurvey.diagnose.scores import separation_finding
from resurvey.types import Document, Finding, Floats, Ints, Level, Query, Run, as_run

HALVES, SEED = 20, 13
LISTS, DOCUMENTS, LARGE = 400, 300, 10_000
Case = Callable[[Ints, bool], Finding]
"""From places of a half, and whether the illness is planted, to the finding."""
ELSEWHERE = {
    "R11-rogue": "test_diagnose.py::test_a_rogue_dimension_is_confirmed_in_random_halves_and_a_healthy_map_never_is",
    "R13-collision": "test_diagnose_collision.py::test_half_of_the_passages_says_what_all_of_them_say",
    "R15-vocabulary": "test_diagnose_vocabulary.py::test_no_half_of_a_corpus_says_otherwise_than_the_other",
    "R20-metadata": "test_diagnose_metadata.py::test_a_planted_field_is_confirmed_in_most_draws",
}


def unit(rows: np.ndarray) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def spread(half: Ints, ill: bool) -> Finding:
    """Directions in eight dimensions spread by more than 0.3; around one direction, by hardly anything."""
    rows = np.random.default_rng(1).normal(size=(LISTS, 8))
    return spread_finding(unit(rows * 0.2 + np.eye(8)[0] * 3 if ill else rows)[half], SEED)


def separation(half: Ints, ill: bool) -> Finding:
    """Cosines of the relevant and of all others: one and a half deviations apart for four of five queries, or the same."""
    rng = np.random.default_rng(2)
    similar = rng.normal(size=(LISTS, 60)).astype(np.float32)
    similar[:, 0] += 0 if ill else rng.normal(4, 0.5, LISTS)
    queries = [Query(f"q{place}", "x") for place in half]
    rows = {f"d{column}": column for column in range(60)}
    qrels = {query.id: {"d0": 1} for query in queries}
    return separation_finding(queries, qrels, similar[half], rows, {}, seed=SEED, known=True)


def hubs(half: Ints, ill: bool) -> Finding:
    """Eight documents in three of ten lists each, or every document in about as many."""
    rng = np.random.default_rng(3)
    found = {}
    for place in range(LISTS):
        own = [f"d{d}" for d in 8 + rng.permutation(DOCUMENTS - 8)[:10]]
        taken = [f"d{d}" for d in range(8) if ill and rng.random() < 0.3]
        found[f"q{place}"] = {d: 1.0 - 0.01 * rank for rank, d in enumerate([*taken, *own][:10])}
    documents = [Document(f"d{n}", f"text number {n}", f"title {n}") for n in range(DOCUMENTS)]
    return hub_finding(as_run("dense", {f"q{place}": found[f"q{place}"] for place in half}), documents)


def codes(id: str) -> Case:
    def case(half: Ints, ill: bool) -> Finding:
        """A code in most texts of six words, or in one of forty."""
        rng = np.random.default_rng(4)
        draws = rng.random(LISTS) < (0.9 if ill else 0.025)
        texts = [f"how to replace the seal {'P12-300' if code else 'ring'}" for code in draws]
        return literal_finding(id, [texts[place] for place in half], id.removeprefix("R14-"))

    return case


def ranked(place: int, rank: int | None) -> dict[str, float]:
    """A list in which the right document of a query stands at a rank, or nowhere."""
    order = [f"x{step}" for step in range(100)]
    if rank:
        order[rank - 1] = f"d{place}"
    return {document: 1.0 - 0.001 * at for at, document in enumerate(order)}


def retrieval(id: str, dense: Sequence[tuple[int | None, float]], fused: Sequence[tuple[int | None, float]]) -> Case:
    """Ranks of the right document by dense and fused search where the illness is planted, each with its share of queries."""

    def runs(ill: bool) -> dict[str, Run]:
        sick, well = {"dense": dense, "fused": fused}, [(1, 0.97), (2, 0.03)]
        found = {}
        for seed, name in enumerate(("dense", "fused")):
            shares = sick[name] if ill else well
            rng = np.random.default_rng(seed if ill else 5)  # well, fusing changes nothing
            drawn = rng.choice(len(shares), LISTS, p=[share for _, share in shares])
            found[name] = as_run(name, {f"q{p}": ranked(p, shares[d][0]) for p, d in enumerate(drawn)})
        return {**found, "lexical": found["fused"]}

    def case(half: Ints, ill: bool) -> Finding:
        queries = [Query(f"q{place}", "x") for place in half]
        qrels = {query.id: {f"d{query.id[1:]}": 1} for query in queries}
        rare = frozenset(query.id for query in queries if int(query.id[1:]) % 2)
        some = {name: Run(name, {q.id: run[q.id] for q in queries}) for name, run in runs(ill).items()}
        found = retrieval_findings(some, queries, qrels, rare, True, LARGE)
        return next(finding for finding in found if finding.id == id)

    return case


CASES: dict[str, Case] = {
    "R10-spread": spread,
    "R10-separation": separation,
    "R12-hubs": hubs,
    "R14-corpus": codes("R14-corpus"),
    "R14-queries": codes("R14-queries"),
    "R16-lift": retrieval("R16-lift", [(1, 0.5), (5, 0.5)], [(1, 0.8), (2, 0.2)]),
    "R17-literal-lift": retrieval("R17-literal-lift", [(1, 0.2), (30, 0.8)], [(1, 0.9), (2, 0.1)]),
    "R18-recall": retrieval("R18-recall", [(1, 0.6), (None, 0.4)], [(1, 1.0)]),
    "R18-ranking": retrieval("R18-ranking", [(1, 0.4), (3, 0.6)], [(1, 1.0)]),
    "R19-quality": retrieval("R19-quality", [(1, 0.3), (None, 0.7)], [(1, 1.0)]),
}


def levels(case: Case, ill: bool) -> list[Level]:
    rng = np.random.default_rng(SEED)
    return [case(np.sort(rng.permutation(LISTS)[: LISTS // 2]), ill).level for _ in range(HALVES)]


@pytest.mark.parametrize("id", CASES)
def test_what_is_planted_is_confirmed_in_random_halves_and_what_is_healthy_never_is(id: str) -> None:
    assert levels(CASES[id], True).count("confirmed") >= 19
    healthy = levels(CASES[id], False)
    assert "confirmed" not in healthy
    assert healthy.count("healthy") >= 19


def test_every_finding_with_a_band_is_held_against_halves_somewhere() -> None:
    assert {band.id for band in BANDS} == {*CASES, *ELSEWHERE}
    for place in ELSEWHERE.values():
        file, name = place.split("::")
        assert f"def {name}(" in (Path(__file__).parent / file).read_text()
