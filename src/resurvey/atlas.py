"""The map itself (R95): where the encoder puts passages, queries, hubs and words, as one page to walk around in.

Passages get two coordinates that keep neighbours together (UMAP; McInnes, Healy and Melville 2018). A query and a word
stand where the encoder puts them: in the middle of the passages nearest to them. Reads what `diagnose` found; draws nothing.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resurvey.search.fields import Field, Fields
from resurvey.search.index import Index
from resurvey.session import Session
from resurvey.types import Floats, Ints, Json, Query
from resurvey.workspace import read_json, write_bytes, write_json

MOST, MOST_ASKED = 20_000, 2_000
"""Passages and queries drawn at most."""
NEIGHBOURS = 15
"""Passages whose nearness the coordinates keep."""
BETWEEN = 3
"""Passages in whose middle a query stands."""
TOP = 10
INSIDE, EDGE = 0.02, 0.06
"""Share of the passages on either side that may be drawn to the edge, and the edge's width as a share of the rest."""
FEWEST = 5
"""Passages without which there is no map."""
VALUES = 10
"""Values of a field that get a colour of their own."""
STEPS = 5
"""Steps of a field of numbers or dates, equally many passages in each."""
TEXT = 160
"""Characters of a passage that are shown."""


def draw(session: Session) -> Path:
    """The page below `reports/`, and its facts as JSON beside it."""
    from resurvey.show.atlas import render

    facts = chart(session)
    page = session.workspace.reports / "map.html"
    write_json(page.with_suffix(".json"), facts)
    write_bytes(page, render(facts).encode("utf-8"))
    return page


def chart(session: Session) -> Json:
    """Everything the page shows, by columns: passages with coordinates and colours, queries, words."""
    index, seed = session.index, session.settings.integer("seed")
    rng = np.random.default_rng(seed)
    judged = session.collection.judged("train", "dev")
    asked = [judged[place] for place in np.sort(rng.permutation(len(judged))[:MOST_ASKED])]
    diagnosis = read_json(session.workspace.diagnosis) if session.workspace.diagnosis.exists() else {"findings": []}
    evidence = {finding["id"]: finding["evidence"] for finding in diagnosis["findings"]}
    hubs = {row["document"]: row["lists"] for row in evidence.get("R12-hubs", {}).get("hubs", [])}
    rows = _chosen(index, [index.rows[hub] for hub in hubs if hub in index.rows], rng)
    session.progress("drawing the map", 0, 2)
    vectors = np.asarray(index.passages[rows], dtype=np.float32)
    places = coordinates(vectors, seed)
    session.progress("drawing the map", 1, 2)
    words = [row for row in evidence.get("R13-collision", {}).get("terms", []) if row["collides"]]
    documents = [index.documents[index.owners[row]] for row in rows]
    return {
        "workspace": session.workspace.root.resolve().name,
        "encoder": index.encoder.name,
        "passages": {
            "x": _short(places[:, 0]), "y": _short(places[:, 1]),
            "document": [document.id for document in documents],
            "title": [document.title for document in documents],
            "text": [" ".join(index.cut.texts[row].split())[:TEXT] for row in rows],
            "hub": [hubs.get(document.id, 0) for document in documents],
        },
        "fields": _fields(Fields.of(index.documents), index.owners[rows]),
        "queries": _queries(session, asked, rows, vectors, places),
        "words": _words(index, words, vectors, places),
        "all": {"passages": len(index.owners), "queries": len(judged)},
    }  # fmt: skip


def coordinates(vectors: Floats, seed: int) -> Floats:
    """(passages, 2), each axis from 0 to 1: neighbours by cosine stay neighbours.

    Islands far outside are drawn to the edge: where they lie means nothing, and they would leave the others no room.
    """
    if len(vectors) < FEWEST:
        return np.linspace(0, 1, max(1, len(vectors)), dtype=np.float32)[:, None].repeat(2, axis=1)[: len(vectors)]
    near = min(NEIGHBOURS, len(vectors) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TensorFlow is not there, and that a seed allows one thread
        from umap import UMAP

        found = UMAP(n_neighbors=near, metric="cosine", random_state=seed, init="pca").fit_transform(vectors)
    found = np.asarray(found, dtype=np.float32)
    low, high = np.quantile(found, (INSIDE, 1 - INSIDE), axis=0)
    wide = np.maximum(high - low, 1e-9)
    beyond = (np.maximum(found - high, 0) - np.maximum(low - found, 0)) / wide
    placed = (np.clip(found, low, high) - low) / wide + EDGE * np.tanh(beyond / EDGE)
    first, last = placed.min(axis=0), placed.max(axis=0)
    return np.asarray((placed - first) / np.maximum(last - first, 1e-9), dtype=np.float32)


def _chosen(index: Index, wanted: Sequence[int], rng: np.random.Generator) -> Ints:
    """Rows of the passages to draw: all, or a sample with the first passages of the wanted documents in it."""
    count = len(index.owners)
    if count <= MOST:
        return np.arange(count)
    surely = np.unique(index.starts[np.array(wanted, dtype=np.int64)]) if wanted else np.zeros(0, dtype=np.int64)
    others = np.setdiff1d(rng.permutation(count)[:MOST], surely)
    return np.sort(np.concatenate([surely, others[: MOST - len(surely)]]))


def _between(asked: Floats, vectors: Floats, places: Floats) -> Floats:
    """(asked, 2): the middle of the nearest passages' places."""
    if not len(asked):
        return np.zeros((0, 2), dtype=np.float32)
    similar = asked @ vectors.T
    nearest = np.argsort(-similar, axis=1, kind="stable")[:, :BETWEEN]
    return np.asarray(places[nearest].mean(axis=1), dtype=np.float32)


def _queries(session: Session, asked: Sequence[Query], rows: Ints, vectors: Floats, places: Floats) -> Json:
    """Queries with the rank of their first right document by dense search (0: not among the first ten), and where that is drawn."""
    index, qrels = session.index, session.collection.merged("train", "dev")
    found = index.vectors.vectors([query.text for query in asked], "query", session.progress)
    at = _between(found, vectors, places)
    first: dict[int, int] = {}
    for place, owner in enumerate(index.owners[rows].tolist()):
        first.setdefault(owner, place)
    nearest, _ = (
        index.nearest("truncated").search(found, TOP) if len(asked) else (np.zeros((0, 0), dtype=np.int64), None)
    )
    ranks, right = [], []
    for query, top in zip(asked, nearest, strict=True):
        wanted = {index.rows[d] for d, grade in qrels[query.id].items() if grade > 0 and d in index.rows}
        ranks.append(next((rank for rank, row in enumerate(top.tolist(), 1) if row in wanted), 0))
        right.append(next((first[row] for row in sorted(wanted) if row in first), -1))
    return {
        "x": _short(at[:, 0]),
        "y": _short(at[:, 1]),
        "text": [q.text for q in asked],
        "rank": ranks,
        "right": right,
    }


def _words(index: Index, words: Sequence[Json], vectors: Floats, places: Floats) -> Json:
    """Words that mean something else here, where the encoder puts them bare."""
    at = _between(index.vectors.vectors([row["term"] for row in words], "query"), vectors, places)
    return {
        "x": _short(at[:, 0]), "y": _short(at[:, 1]), "word": [row["term"] for row in words],
        "web": [", ".join(row["web"]) for row in words], "beside": [", ".join(row["beside"]) for row in words],
    }  # fmt: skip


def _fields(fields: Fields, owners: Ints) -> list[Json]:
    """Fields by which passages can be coloured: the commonest values of each, and every passage's place among them, or -1."""
    found = (_coloured(field, owners) for field in fields.values())
    return [row for row in found if row]


def _coloured(field: Field, owners: Ints) -> Json:
    levels = field.level[owners]
    counts = np.bincount(levels[levels >= 0], minlength=len(field.levels))
    there = levels[levels >= 0]
    if field.kind in ("number", "date") and len(field.levels) > VALUES and len(there):
        cuts: Ints = np.unique(np.quantile(there, np.linspace(0, 1, STEPS + 1)).astype(np.int64))
        names = [f"{field.shown(int(a))} to {field.shown(int(b))}" for a, b in itertools.pairwise(cuts)]
        if not names:
            return {}
        codes = np.where(levels < 0, -1, np.clip(np.searchsorted(cuts, levels, side="right") - 1, 0, len(names) - 1))
        return {"name": field.name, "ordered": True, "values": names, "codes": codes.tolist()}
    most = np.argsort(-counts, kind="stable")[:VALUES]
    if not 1 < (counts > 0).sum() <= max(VALUES * 5, 1) or counts.max() < FEWEST:
        return {}
    order = np.full(len(counts), -1, dtype=np.int64)
    order[most] = np.arange(len(most))
    codes = np.where(levels < 0, -1, order[np.maximum(levels, 0)])
    return {
        "name": field.name,
        "ordered": False,
        "values": [field.shown(int(p)) for p in most],
        "codes": codes.tolist(),
    }


def _short(values: Floats) -> list[float]:
    return [round(float(value), 4) for value in values]
