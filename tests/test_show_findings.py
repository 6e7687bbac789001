"""The diagnosis on a terminal: what is ill stands first, values have the decimals of their unit, 80 columns hold it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from resurvey.diagnose.levels import finding
from resurvey.show.findings import diagnosis_table
from resurvey.show.quantity import written
from resurvey.types import Diagnosis, Finding, Interval

FAILURES = {
    "failing": 1500, "looked at": 1000,
    "causes": [{"cause": "code lost", "means": "a code: identifiers", "queries": 7, "examples": [{"text": "part\nP12-300"}]}],
}  # fmt: skip
FOUND = (
    finding("R14-corpus", 1.224, Interval(1.163, 1.291), "Codes.", queries=90),
    finding("R16-lift", 3.0, Interval(0.5, 6.0), "Words.", queries=50),
    finding("R12-hubs", 0, Interval(0, 0), "No hubs."),
    finding(
        "R19-quality",
        0.429,
        Interval(0.413, 0.445),
        "Poor.",
        queries=500,
        failures=FAILURES,
        means={"dense": 0.4, "lexical": 0.4, "fused": 0.4},
    ),
    Finding("R20-metadata", "One field", None, "AUC", None, "unknown", "No fields."),
)


def shown(by: str) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(diagnosis_table(Diagnosis(FOUND, by)))
    return console.export_text().splitlines()


def test_what_is_ill_stands_before_what_is_not_and_every_line_fits() -> None:
    lines = shown("judgments")
    assert max(map(len, lines)) <= 80
    ids = [word for line in lines for word in line.split() if word in {f.id for f in FOUND}]
    assert ids == ["R19-quality", "R16-lift", "R20-metadata", "R14-corpus", "R12-hubs"]
    text = "\n".join(line.rstrip() for line in lines)
    assert "5 findings: 1 confirmed, 2 unknown, 2 healthy." in text
    assert "1.22 (1.16 to 1.29) % of tokens" in text
    assert "+3.00 (+0.50 to +6.00) points of NDCG@10" in text
    assert "0 (0 to 0) documents" in text
    assert "about 45 more queries would tell" in " ".join(text.split())
    assert "first ten of dense search: 1,500" in text
    assert "(1,000 looked at)" in " ".join(text.split())
    assert "“part P12-300”" in text


def test_without_judgments_it_says_what_would_give_a_level() -> None:
    assert "About 50 judged ones would give it one." in " ".join(" ".join(shown("stand-in queries")).split())


@pytest.mark.parametrize(
    ("value", "unit", "like", "text"),
    [
        (None, "AUC", None, "–"),
        (0.5, "AUC", None, "0.500"),
        (3, "documents", None, "3"),
        (1234, "documents", None, "1,234"),
        (2.046, "% of tokens", None, "2.05"),
        (10.72, "% of tokens", None, "10.7"),
        (9.87, "% of tokens", 10.72, "9.9"),
        (-8.59, "points of NDCG@10", None, "-8.59"),
        (5.77, "points of NDCG@10", None, "+5.77"),
    ],
)
def test_a_value_has_the_decimals_of_its_unit(value: float | None, unit: str, like: float | None, text: str) -> None:
    assert written(value, unit, like) == text
