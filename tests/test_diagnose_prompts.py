"""Prompts: what they bring is measured on judged queries, and an encoder without its own is told by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from resurvey.diagnose.prompts import AMONG, KNOWN, LEAST, gain, said, wanted
from resurvey.protocols import Encoder, Kind
from resurvey.search.encode import SentenceEncoder, open_encoder
from resurvey.types import Document, Floats, Query

DOCUMENTS = [Document(f"d{n}", f"text {n}") for n in range(700)]
QUERIES = [Query(f"q{n}", f"text {n}") for n in range(40)]
QRELS = {query.id: {f"d{n}": 1} for n, query in enumerate(QUERIES)}


class Telling:
    """An encoder that understands texts only behind its prompts; `seen` counts what it read."""

    name, max_tokens, dimensions, fingerprint = "telling", 64, 16, "1" * 64

    def __init__(self, *, prompts: bool) -> None:
        self.prompts = prompts
        self.seen = 0

    def prompt(self, kind: Kind) -> str:
        return f"{kind}: " if self.prompts else ""

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        return [[] for _ in texts]

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        self.seen += len(texts)
        seeds = [int(text.split()[1]) if self.prompts else 1000 * (kind == "query") + n for n, text in enumerate(texts)]
        rows = np.stack([np.random.default_rng(seed).normal(size=self.dimensions) for seed in seeds])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_what_prompts_bring_is_measured_with_its_interval() -> None:
    bare, prompted = Telling(prompts=False), Telling(prompts=True)
    found = gain(bare, prompted, QUERIES, QRELS, DOCUMENTS, 13)
    assert found is not None
    assert found.challenger_mean == 1.0
    assert found.interval.low > 0.5
    assert (found.queries, prompted.seen) == (len(QUERIES), len(QUERIES) + AMONG)
    assert said(found).startswith("with them +100.0 points")
    same = gain(prompted, prompted, QUERIES, QRELS, DOCUMENTS, 13)
    assert same is not None
    assert same.difference == 0


def test_with_few_judged_queries_nobody_knows() -> None:
    few = QUERIES[: LEAST - 1]
    found = gain(Telling(prompts=False), Telling(prompts=True), few, QRELS, DOCUMENTS, 13)
    assert found is None
    assert "nobody knows" in said(found)
    away = {query.id: {"gone": 1} for query in QUERIES}
    assert gain(Telling(prompts=False), Telling(prompts=True), QUERIES, away, DOCUMENTS, 13) is None


@pytest.mark.parametrize("family", KNOWN)
def test_an_encoder_is_known_by_a_part_of_its_name(family: str) -> None:
    assert wanted(f"someone/{family.upper()}-large") == (family, KNOWN[family])
    assert wanted("all-MiniLM-L6-v2") is None


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_other_prompts_are_put_before_texts_by_the_same_weights(
    engine: str, model_folder: Path, tmp_path: Path, encoder: SentenceEncoder
) -> None:
    opened: Encoder = open_encoder(str(model_folder), tmp_path / "engines", engine=engine, characters=10**9)
    other = opened.prompted("valve ", "")  # type: ignore[attr-defined]
    assert (other.prompt("query"), opened.prompt("query")) == ("valve ", "")
    assert other.fingerprint != opened.fingerprint
    assert np.allclose(other.encode(["pump"], "query"), encoder.encode(["valve pump"], "query"), atol=1e-5)
    assert np.allclose(other.encode(["pump"], "passage"), encoder.encode(["pump"], "passage"), atol=1e-5)
