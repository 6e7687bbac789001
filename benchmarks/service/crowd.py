"""A workspace of a hundred thousand passages, live by hybrid search, with a ranked candidate beside it.

Every passage of the six collections is a document of its own; what is missing to the size are copies with some words
left out, whose vectors are jittered real ones: nothing is embedded twice, and neighbourhoods stay those of real text. The
ranker is taught by one collection's training queries. Nothing here measures quality.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from resurvey import loop
from resurvey.data.chunk import cut
from resurvey.data.read import Sources, beir, read
from resurvey.promote.live import Live, switch
from resurvey.promote.registry import Registry
from resurvey.session import Session
from resurvey.types import Document, Floats, Scalar
from resurvey.workspace import Workspace, read_json, write_json
from work import real
from work.side import COLLECTIONS, built_on

ASKED = "covid-faq"
TRAIN, DEV = 600, 200
LEFT_OUT = 0.15
"""Share of a copy's words that are left out."""
SEED = 13
KEY = "benchmark"
STEPS = ("hybrid", "ranker")


def crowd(data: Path, passages: int) -> Path:
    """The workspace, made once and kept below the system's temporary folder."""
    root = real.KEPT / f"crowd-{passages}"
    if (root / "live.json").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    place = real.KEPT / f"crowd-{passages}-in"
    shutil.rmtree(place, ignore_errors=True)
    documents = _written(data, place, passages)
    loop.init(root, beir(place), {"precision": "float32"})
    shutil.rmtree(place)
    session = Session(Workspace.open(root))
    _embedded(session, documents, real.passages(data))
    _treated(session)
    return root


def asked(data: Path, most: int) -> list[str]:
    """Training and development queries of all collections, in turns."""
    per = [[query.text for query in built_on(data / name).queries][:most] for name in COLLECTIONS]
    rng = np.random.default_rng(SEED)
    found = [text for texts in per for text in texts]
    return [found[place] for place in rng.permutation(len(found))[:most].tolist()]


def _written(data: Path, place: Path, passages: int) -> list[Document]:
    """A BEIR folder of so many documents of one passage each; returns them in order."""
    documents = list(_documents(data, passages))
    (place / "qrels").mkdir(parents=True)
    rows = ({"_id": d.id, "title": d.title, "text": d.text, "metadata": dict(d.metadata)} for d in documents)
    (place / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    brought, there = built_on(data / ASKED), {d.id for d in documents}
    for side, most in (("train", TRAIN), ("dev", DEV)):
        found = [j for j in brought.judgments[side] if f"{ASKED}:{j.document}#0" in there]
        names = set(list(dict.fromkeys(j.query for j in found))[:most])
        lines = [f"{j.query}\t{ASKED}:{j.document}#0\t{j.grade}\n" for j in found if j.query in names]
        (place / "qrels" / f"{side}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")
    queries = "".join(json.dumps({"_id": q.id, "text": q.text}) + "\n" for q in brought.queries)
    (place / "queries.jsonl").write_text(queries, encoding="utf-8")
    return documents


def _documents(data: Path, passages: int) -> Iterator[Document]:
    from resurvey.search.encode import open_encoder

    encoder = open_encoder("bundled", real.KEPT / "engines")
    found: list[Document] = []
    for name in COLLECTIONS:
        documents = read(Sources(data / name / "corpus.jsonl")).documents
        parts = cut(documents, encoder, 128)
        text = {document.id: document for document in documents}
        seen: dict[str, int] = {}
        for passage in parts.passages:
            place = seen[passage.document] = seen.get(passage.document, -1) + 1
            whole = text[passage.document]
            body = whole.text[passage.start : passage.end] or whole.title
            fields: dict[str, Scalar] = {"collection": name, "part": place, "year": 2000 + len(found) % 25}
            found.append(Document(f"{name}:{passage.document}#{place}", body, whole.title, fields))
    yield from found[:passages]
    rng = np.random.default_rng(SEED)
    for number in range(passages - len(found)):
        document = found[number % len(found)]
        words = document.text.split()
        kept = [word for word, draw in zip(words, rng.random(len(words)), strict=True) if draw > LEFT_OUT]
        yield Document(f"{document.id}~{number}", " ".join(kept) or document.text, document.title, document.metadata)


def _embedded(session: Session, documents: Sequence[Document], base: Floats) -> None:
    """Real vectors for the passages there are, jittered ones for copies: by the text that the index asks for."""
    from resurvey.search.vectors import VectorStore

    encoder = session.encoder
    parts = cut(documents, encoder, session.settings.integer("passage_tokens"))
    store = VectorStore(session.workspace.index / "vectors", encoder)
    texts = {*parts.texts, *(d.full_text for d in documents), *(d.title or d.full_text for d in documents)}
    ordered = sorted(texts)
    made = np.concatenate(list(real.jittered(base, len(ordered), SEED)))
    keys = store._keys(ordered, "passage")
    store._publish(keys, made)


def _treated(session: Session) -> None:
    """Hybrid and ranker tried as `treat` tries them, without a diagnosis; hybrid goes live whatever it brought."""
    registry = Registry(session.workspace)
    ladder = loop._climb(session, registry, STEPS, KEY)
    write_json(session.workspace.candidates / "ladder.json", ladder)
    hybrid = next(id for id in ladder["candidates"] if id.endswith("hybrid"))
    switch(session.workspace, Live(hybrid, ladder["snapshot"]), "benchmark")


def candidates(root: Path) -> dict[str, str]:
    """Treatment to candidate id."""
    ids = read_json(root / "candidates" / "ladder.json")["candidates"]
    return {id.split("-", 1)[1]: id for id in ids}
