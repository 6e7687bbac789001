"""Failures by cause: every cause on a case that is made to have it, and nothing that does not fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from resurvey.diagnose.elsewhere import TABLE, elsewhere
from resurvey.diagnose.failures import CAUSES, failures
from resurvey.search.encode import SentenceEncoder
from resurvey.types import Diagnosis, Document, Finding, Json, Level, Query, Ranking, Run

OTHERS = [Document(f"o{n}", f"the gasket number {n}x of a different machine stands in hall {n}") for n in range(12)]
TEXT = "open the valve slowly and wait for the pressure of the pump to fall"


def run(name: str, orders: Mapping[str, Sequence[str]]) -> Run:
    return Run(name, {q: Ranking(list(o), np.arange(len(o), 0, -1, dtype=np.float32)) for q, o in orders.items()})


def told(
    query: str, right: str, encoder: SentenceEncoder, *more: Document, found: bool = True, alone: bool = True
) -> Json:
    """Failures of one query whose document stands eleventh, or nowhere, beside nine whose lists share nothing."""
    documents = {d.id: d for d in (Document("right", right), *more, *OTHERS)}
    first = [*(d.id for d in more), *(d.id for d in OTHERS)][:10]
    orders = {"q": [*first, "right"] if found else first}
    queries = [Query("q", query)]
    qrels = {"q": {"right": 1, "o11": 0}}
    for place in range(9 if alone else 0):  # so that nothing turns up everywhere
        queries.append(Query(f"n{place}", "another"))
        orders[f"n{place}"] = ["o11"]
        qrels[f"n{place}"] = {"o11": 1}
    return failures(
        queries,
        qrels,
        documents,
        {"dense": run("dense", orders), "lexical": run("lexical", orders)},
        encoder,
        "english",
    )


@pytest.mark.parametrize(
    ("cause", "query", "right", "more", "found", "alone"),
    [
        ("code lost", "torque of AB-1234", f"{TEXT} AB-1234", (), True, True),
        ("shorthand", "treat MI", "after a myocardial infarction rest is needed", (Document("e", "an aspirin after myocardial infarction (MI) helps"),), True, True),
        ("unjudged twin", "pressure valve", TEXT, (Document("t", f"{TEXT}!"),), True, True),
        ("hubs in the way", "pressure valve", TEXT, (), True, False),
        ("other words", "lubricate bearings", TEXT, (), True, True),
        ("out of reach", "pressure valve", TEXT, (), False, True),
        ("the order", "pressure valve", TEXT, (), True, True),
    ],
)  # fmt: skip
def test_a_cause_is_found_where_it_was_planted(
    cause: str, query: str, right: str, more: tuple[Document, ...], found: bool, alone: bool, encoder: SentenceEncoder
) -> None:
    seen = told(query, right, encoder, *more, found=found, alone=alone)
    assert (seen["failing"], seen["looked at"]) == (1, 1)
    (row,) = seen["causes"]
    assert row["cause"] == cause
    assert (row["queries"], row["examples"]) == (1, [{"query": "q", "text": query}])


def test_what_stands_beyond_the_limit_was_cut_off(encoder: SentenceEncoder) -> None:
    filler = "gasket " * encoder.max_tokens
    (row,) = told("pressure valve", f"{filler} {TEXT}", encoder)["causes"]
    assert row["cause"] == "cut off"
    (row,) = told("pressure valve", f"{TEXT} {filler}", encoder)["causes"]
    assert row["cause"] == "the order"


def test_a_query_that_finds_its_document_or_has_none_does_not_fail(encoder: SentenceEncoder) -> None:
    documents = {d.id: d for d in OTHERS}
    queries = [Query("found", "gasket"), Query("gone", "gasket"), Query("none", "gasket")]
    qrels = {"found": {"o1": 1}, "gone": {"deleted": 1}, "none": {"o1": 0}}
    orders = {query.id: ["o0", "o1"] for query in queries}
    runs = {"dense": run("dense", orders), "lexical": run("lexical", orders)}
    seen = failures(queries, qrels, documents, runs, encoder, "english")
    assert seen == {"failing": 0, "looked at": 0, "causes": []}
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)


def diagnosis(levels: Mapping[str, Level], causes: Mapping[str, int] | None = None) -> Diagnosis:
    found = [Finding(id, id, 0.5, "", None, level, "") for id, level in levels.items()]
    if causes is not None:
        rows = [{"cause": name, "queries": count} for name, count in causes.items()]
        evidence = {"failures": {"failing": 100, "looked at": 100, "causes": rows}}
        found.append(Finding("R18-failures", "", None, "", None, "unknown", "", evidence=evidence))
    return Diagnosis(tuple(found), "judgments")


GOOD: dict[str, Level] = {
    "R16-lift": "healthy",
    "R18-ranking": "healthy",
    "R19-quality": "healthy",
    "R18-recall": "healthy",
}


@pytest.mark.parametrize(
    ("levels", "causes", "problem", "holds"),
    [
        (GOOD, None, "generation", "yes"),
        ({**GOOD, "R19-quality": "unknown"}, None, "generation", "unknown"),
        ({**GOOD, "R16-lift": "suspect"}, None, "generation", "no"),
        ({**GOOD, "R18-ranking": "confirmed"}, None, "the order", "yes"),
        ({**GOOD, "R18-ranking": "confirmed", "R18-recall": "suspect"}, None, "the order", "no"),
        (GOOD, None, "truncation", "unknown"),
        (GOOD, {"cut off": 10}, "truncation", "yes"),
        (GOOD, {"cut off": 9}, "truncation", "no"),
        (GOOD, {"unjudged twin": 30}, "judgments", "yes"),
        ({"R20-metadata": "confirmed"}, None, "metadata", "yes"),
        ({"R20-metadata": "healthy"}, None, "metadata", "no"),
        ({**GOOD, "R18-ranking": "unknown", "R18-recall": "suspect"}, None, "the order", "no"),
        ({**GOOD, "R19-quality": "suspect", "R16-lift": "unknown"}, None, "generation", "no"),
        ({}, None, "literal", "unknown"),
        ({}, None, "stale", "unknown"),
    ],
)
def test_a_different_problem_is_told_by_its_numbers(
    levels: dict[str, Level], causes: dict[str, int] | None, problem: str, holds: str
) -> None:
    rows = elsewhere(diagnosis(levels, causes))
    assert len(rows) == len(TABLE)
    (row,) = [row for row in rows if row["problem"].startswith(problem)]
    assert row["holds"] == holds
    assert row["evidence"]


@pytest.mark.parametrize(
    ("where", "holds"),
    [("rare", "yes"), ("everywhere", "no"), ("nowhere", "no"), ("open", "unknown"), ("alone", "unknown")],
)
def test_words_that_help_everywhere_are_no_matter_of_codes(where: str, holds: str) -> None:
    found = Finding("R17-literal-lift", "", 10.0, "", None, "unknown", "", evidence={"rest": 0.4, "where": where})
    for by, expected in (("judgments", holds), ("stand-in queries", "unknown")):
        (row,) = [row for row in elsewhere(Diagnosis((found,), by)) if "literal" in row["problem"]]
        assert row["holds"] == expected
