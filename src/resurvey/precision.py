"""Eight bits instead of thirty-two: several times faster on a CPU, used only where rankings stay what they were.

The graph is quantised with the user's own passages to calibrate on (NNCF, static, post-training), and checked
on the user's own queries before it is believed; a refusal is kept with its reason. The precision is part of the
fingerprint. Knows compiled encoders; knows nothing about collections.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from resurvey.errors import ResurveyError
from resurvey.evaluate.measures import NDCG, score_mapping
from resurvey.protocols import Encoder
from resurvey.search.compiled import FACTS, TOKENIZER, CompiledEncoder, compiled, refusal
from resurvey.search.engine import GRAPH, openvino
from resurvey.types import Floats, Json, Qrels
from resurvey.workspace import digest, file_digest, make_folder, read_json, sync, sync_tree, write_json

CALIBRATION = 200
"""Passages whose activations set the scales."""
CHECKED = 1000
"""Passages among which both precisions rank."""
TOP = 10
MOST_LOST = 0.005
"""Relative loss of NDCG@10 from which int8 is refused."""
LEAST_SHARED = 0.9
"""Share of the first ten that must be the same, where no query is judged."""


KEPT: tuple[tuple[float, float], ...] = ((0, 0), (0.75, 1), (0, 0.25), (0.5, 1))
"""Shares of the layers, first to last, that stay in float32, one attempt after another: none, the last quarter, …"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What both precisions are compared on: passages with their documents, queries, and judgments if there are any."""

    passages: tuple[str, ...]
    owners: tuple[str, ...]
    queries: Mapping[str, str]
    qrels: Qrels


Evidence: TypeAlias = tuple[Sequence[str], Sample]
"""Passages to calibrate on, and what to compare on."""


def sample(
    passages: Sequence[str],
    owners: Sequence[str],
    queries: Mapping[str, str],
    qrels: Qrels,
    seed: int,
    most: int = CHECKED,
) -> Sample:
    """Passages of relevant documents and random ones, `most` in all, and the queries they answer.

    Without judgments, passages' own first words ask.
    """
    rng = np.random.default_rng(seed)
    relevant = {document for query in queries for document, grade in qrels.get(query, {}).items() if grade > 0}
    order = rng.permutation(len(passages))
    first = [place for place in order if owners[place] in relevant][: most // 2]
    chosen = list(dict.fromkeys([*first, *order]))[:most]
    held = {owners[place] for place in chosen}
    asked = {q: text for q, text in queries.items() if any(g > 0 and d in held for d, g in qrels.get(q, {}).items())}
    if not asked:
        asked = {str(place): " ".join(passages[place].split()[:8]) for place in chosen[: most // 5]}
    return Sample(
        tuple(passages[p] for p in chosen), tuple(owners[p] for p in chosen), asked, {q: qrels[q] for q in asked if q in qrels}
    )  # fmt: skip


def int8(encoder: CompiledEncoder, place: Path, evidence: Callable[[], Evidence], attempts: int = len(KEPT)) -> Encoder:
    """The encoder in int8 at `place`, made and checked when it is not there yet; itself where int8 is refused.

    Where a whole graph in int8 loses too much, some of its layers stay in float32 (`KEPT`), one attempt after
    another, before it is refused.

    Args:
        encoder: in float32.
        place: the folder, named by the caller after all that its evidence depends on.
        evidence: passages to calibrate on and the sample to check on; asked for only when there is something to make.
        attempts: how many of `KEPT` are tried.

    Raises:
        ResurveyError: when the quantiser is not installed.
    """
    there = compiled(place)
    if there is not None or refusal(place) is not None:
        return there or encoder
    passages, check = evidence()
    make_folder(place.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        facts = _made(encoder, partial, _calibration(passages), check, KEPT[:attempts])
        if "refused" in facts:
            shutil.rmtree(partial)
            partial.mkdir()
        write_json(partial / FACTS, facts)
        sync_tree(partial)
        os.rename(partial, place)
        sync(place.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return compiled(place) or encoder


def _made(
    encoder: CompiledEncoder,
    folder: Path,
    passages: Sequence[str],
    check: Sample,
    spared: Sequence[tuple[float, float]],
) -> Json:
    """The facts of the first attempt that ranks as float32 does, its graph in `folder`; else the first one's refusal."""
    tried: list[Json] = []
    for kept in spared:
        _quantise(encoder, folder, passages, kept)
        tried.append({"float32 layers": list(kept), **compare(encoder, CompiledEncoder(folder), check)})
        if tried[-1]["fine"]:
            return {**read_json(folder / FACTS), "checked": tried[-1], "attempts": tried}
    return {"name": encoder.name, "refused": tried[0]["why"], "attempts": tried}


def compare(encoder: Encoder, other: Encoder, check: Sample) -> Json:
    """Both precisions on the same sample: shared first tens, NDCG@10 where there are judgments, and the verdict."""
    one, two = (_similar(found, check) for found in (encoder, other))
    shared = float(
        np.mean([len(set(_top(a)) & set(_top(b))) / min(TOP, len(a)) for a, b in zip(one, two, strict=True)])
    )
    facts: Json = {"queries": len(check.queries), "shared": round(shared, 4)}
    if not check.qrels:
        return facts | {
            "fine": shared >= LEAST_SHARED,
            "why": f"only {100 * shared:.1f} % of the first {TOP} stay the same",
        }
    before, after = (_ndcg(similar, check) for similar in (one, two))
    lost = (before - after) / max(before, 1e-9)
    why = f"NDCG@10 falls by {100 * lost:.2f} %, more than {100 * MOST_LOST:.1f} %"
    return facts | {"ndcg": round(before, 4), "lost": round(lost, 5), "fine": lost <= MOST_LOST, "why": why}


def _similar(encoder: Encoder, check: Sample) -> Floats:
    queries = encoder.encode(list(check.queries.values()), "query")
    return np.asarray(queries @ encoder.encode(check.passages, "passage").T, dtype=np.float32)


def _top(scores: Floats) -> list[int]:
    return [int(place) for place in np.argsort(-scores, kind="stable")[:TOP]]


def _ndcg(similar: Floats, check: Sample) -> float:
    """NDCG@10 over documents, each scoring as its best passage."""
    run: dict[str, dict[str, float]] = {}
    for query, scores in zip(check.queries, similar, strict=True):
        best: dict[str, float] = {}
        for place in np.argsort(-scores, kind="stable"):
            best.setdefault(check.owners[place], float(scores[place]))
        run[query] = best
    return score_mapping("check", run, {q: check.qrels[q] for q in check.queries}, [NDCG])[NDCG].mean


def _calibration(passages: Sequence[str]) -> list[str]:
    """Passages spread evenly over the corpus, the same ones every time."""
    return list(passages[:: max(1, len(passages) // CALIBRATION)])[:CALIBRATION]


def _quantise(encoder: CompiledEncoder, folder: Path, passages: Sequence[str], kept: tuple[float, float]) -> None:
    runtime = openvino()  # first: it keeps the quantiser from telling its makers, too
    try:
        import nncf
    except ImportError as error:
        raise ResurveyError(
            "precision int8 needs the quantiser, which is not installed",
            'pip install nncf, or set precision = "float32"',
        ) from error

    read = [np.array([ids], dtype=np.int64) for ids in encoder.ids(passages, "passage")]
    data = nncf.Dataset([{"input_ids": ids, "attention_mask": np.ones_like(ids)} for ids in read])
    logging.getLogger("nncf").setLevel(logging.ERROR)
    whole = runtime.Core().read_model(encoder.folder / GRAPH)
    spared = _layers(whole, kept)
    with contextlib.redirect_stdout(io.StringIO()):  # it draws bars of its own
        graph = nncf.quantize(
            whole, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(read),
            ignored_scope=nncf.IgnoredScope(names=spared) if spared else None,
        )  # fmt: skip
    runtime.save_model(graph, folder / GRAPH, compress_to_fp16=False)
    shutil.copyfile(encoder.folder / TOKENIZER, folder / TOKENIZER)
    fingerprint = digest(encoder.fingerprint, "int8", file_digest((folder / GRAPH).with_suffix(".bin")))
    write_json(folder / FACTS, read_json(encoder.folder / FACTS) | {"fingerprint": fingerprint, "precision": "int8"})


def _layers(graph: Any, kept: tuple[float, float]) -> list[str]:
    """Names of a share of the products with weights, in the order in which they are computed."""
    names = [
        operation.get_friendly_name()
        for operation in graph.get_ordered_ops()
        if operation.get_type_name() == "MatMul" and operation.input_value(1).get_node().get_type_name() == "Constant"
    ]
    return names[round(kept[0] * len(names)) : round(kept[1] * len(names))]
