"""The catalogue of treatments: one row each. A new row is tested, planned and documented without more code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from resurvey.errors import Problem, ResurveyError
from resurvey.treat.adapter import adapter
from resurvey.treat.attempt import Treatment
from resurvey.treat.center import center
from resurvey.treat.contrast import contrast
from resurvey.treat.crossencoder import cross_encoder
from resurvey.treat.distil import distil
from resurvey.treat.duplicates import duplicate_documents
from resurvey.treat.encoder import encoder
from resurvey.treat.hybrid import hybrid
from resurvey.treat.identifiers import identifiers
from resurvey.treat.memory import memory
from resurvey.treat.metadata import metadata
from resurvey.treat.passages import passages
from resurvey.treat.pretrain import pretrained
from resurvey.treat.ranker import ranker
from resurvey.treat.remine import remine
from resurvey.treat.reranker import reranker
from resurvey.treat.rewrite import rewrite
from resurvey.treat.synthetic import synthetic

Effort = Literal["small", "medium", "large"]
EFFORTS: tuple[str, ...] = ("small", "medium", "large")


@dataclass(frozen=True, slots=True)
class Row:
    """One treatment: what it does, from which effort on, and what it changes."""

    name: str
    attempt: Treatment
    effort: Effort
    changes: Literal["candidates", "order"]
    blind: float
    """Standard errors of gain that stand-in queries must show; they flatter whatever matches words."""
    sentence: str


CATALOG: tuple[Row, ...] = (
    Row(
        "passages",
        passages,
        "small",
        "candidates",
        -2,
        "Search long documents in passages that the encoder reads whole.",
    ),
    Row(
        "encoder",
        encoder,
        "small",
        "candidates",
        math.inf,
        "Compare the encoders that the settings name, and change to the best one if that is worth embedding everything again.",
    ),
    Row("center", center, "small", "candidates", 3, "Subtract the mean of all embeddings, or standardise them."),
    Row(
        "contrast",
        contrast,
        "medium",
        "candidates",
        math.inf,
        "Train the encoder on judged queries against mined negatives, and go as far from the base as helps.",
    ),
    Row(
        "remine",
        remine,
        "large",
        "candidates",
        math.inf,
        "Train the encoder once more, against negatives that it now mines itself.",
    ),
    Row(
        "synthetic",
        synthetic,
        "large",
        "candidates",
        math.inf,
        "Train the encoder on queries made from the corpus beside the judged ones.",
    ),
    Row(
        "pretrain",
        pretrained,
        "large",
        "candidates",
        math.inf,
        "Let the encoder guess hidden words of the corpus before it learns from judged queries.",
    ),
    Row(
        "distil",
        distil,
        "large",
        "candidates",
        math.inf,
        "Train the encoder on the margins of a teacher that knows better, where there is one.",
    ),
    Row(
        "adapter",
        adapter,
        "small",
        "candidates",
        3,
        "Move queries by a learned linear map towards what answers them; documents keep their vectors.",
    ),
    Row(
        "hybrid",
        hybrid,
        "small",
        "candidates",
        -math.inf,
        "Search words beside vectors with a learned weight, or not at all.",
    ),
    Row(
        "identifiers",
        identifiers,
        "small",
        "candidates",
        -math.inf,
        "Search codes, numbers and dotted names beside words, with a learned weight.",
    ),
    Row(
        "rewrite",
        rewrite,
        "small",
        "candidates",
        -1,
        "Search each query also as the corpus, or a language model, would word it, and fuse both.",
    ),
    Row("ranker", ranker, "small", "order", 3, "Order all branches' candidates by trees over cached evidence."),
    Row(
        "memory", memory, "small", "candidates", 3, "Tell the ranker what the judged queries most like a new one found."
    ),
    Row(
        "metadata",
        metadata,
        "small",
        "order",
        3,
        "Move documents by what their fields say: values, dates, and what the query asks of them.",
    ),
    Row(
        "duplicates",
        duplicate_documents,
        "small",
        "order",
        3,
        "Show one of several documents that say the same, the best-ranked one.",
    ),
    Row(
        "reranker",
        reranker,
        "small",
        "order",
        3,
        "Let a configured reranker reorder the first documents, with a learned weight, or not at all.",
    ),
    Row(
        "cross-encoder",
        cross_encoder,
        "large",
        "order",
        3,
        "Train a cross-encoder on the judged queries and let it reorder the first documents.",
    ),
)


def row(name: str) -> Row:
    """The row of a name.

    Raises:
        ResurveyError: naming the treatments there are.
    """
    for found in CATALOG:
        if found.name == name:
            return found
    names = ", ".join(found.name for found in CATALOG)
    raise ResurveyError(
        [Problem("STEP", f"{name!r} is no treatment; there are {names}")], "resurvey decide DIR shows the plan"
    )


def available(effort: str) -> tuple[Row, ...]:
    """The rows that an effort includes."""
    return tuple(found for found in CATALOG if EFFORTS.index(found.effort) <= EFFORTS.index(effort))
