"""A writer to be interrupted, and whoever looks afterwards whether all it was promised is there.

Documents of the test corpus are single words, each its own, so that what is found can be told by reading. Every step
is noted outside the workspace before it begins and once it is acknowledged. Runs in processes of its own.
"""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resurvey.protocols import Kind
from resurvey.search.tokens import Estimated
from resurvey.types import Document, Floats

WORDS = 12
"""Documents that are brought."""
STEPS = ("upsert", "upsert", "delete", "refresh", "upsert", "metadata", "refresh", "switch", "upsert", "refresh")


class Directions(Estimated):
    """Every word has a direction of its own; loads in no time."""

    name, fingerprint = "directions", "directions-of-words-16"
    dimensions, max_tokens, tokens_known = 16, 64, False

    def prompt(self, _: Kind) -> str:
        """None."""
        return ""

    def encode(self, texts: Sequence[str], _: Kind) -> Floats:
        """Unit vectors."""
        found = np.stack([sum((_direction(word) for word in text.split()), np.full(16, 1e-6)) for text in texts])
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def _direction(word: str) -> Any:
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(16)


def prepare(root: Path) -> None:
    """A workspace of a few documents, with a pipeline live over its first snapshot."""
    from resurvey import loop, use
    from resurvey.data.read import Sources
    from resurvey.promote.live import Live, switch
    from resurvey.workspace import Workspace

    rows = "".join(json.dumps({"_id": f"d{n}", "text": f"word{n}x"}) + "\n" for n in range(WORDS))
    root.parent.mkdir(parents=True, exist_ok=True)
    (root.parent / "corpus.jsonl").write_text(rows)
    loop.init(root, Sources(corpus=root.parent / "corpus.jsonl"), {"language": "english", "depth": 20})
    workspace = Workspace.open(root)
    switch(workspace, Live("rrf", opened(workspace).index.store.snapshot.number), "start")
    use.search(opened(workspace), "word1x", "rrf", 3)


def opened(workspace: Any, snapshot: int | None = None) -> Any:
    """An opened workspace whose encoder needs no model."""
    from resurvey.opened import Opened

    Opened.encoder = property(lambda _: Directions())  # type: ignore[assignment, method-assign]
    return Opened(workspace, snapshot=snapshot)


def steps(seed: int) -> Iterator[tuple[str, list[str], str]]:
    """What is done, one step after another: the kind, the ids, the text's mark."""
    luck = random.Random(seed)
    for place, kind in enumerate(STEPS):
        yield kind, [f"d{n}" for n in sorted(luck.sample(range(WORDS + 8), luck.randint(1, 4)))], f"s{seed}x{place}"


def after(documents: Mapping[str, str], kind: str, ids: Sequence[str], mark: str) -> dict[str, str]:
    """The documents, id to text and metadata, after a step."""
    if kind == "delete":
        return {id: text for id, text in documents.items() if id not in ids}
    if kind == "upsert":
        return {**documents, **{id: f"{id}x{mark}|" for id in ids}}
    if kind == "metadata":
        return {**documents, **{id: f"{documents[id].split('|')[0]}|{mark}" for id in ids if id in documents}}
    return dict(documents)


def write(root: Path, notes: Path, seed: int, careless: bool = False) -> None:
    """Take all steps, noting each; ends the process at the first one that fails.

    Args:
        careless: leave out the syncing of tables, to see that whoever looks afterwards notices.
    """
    from resurvey.promote.live import Live, live, switch
    from resurvey.refresh import refresh
    from resurvey.search import tables
    from resurvey.search.corpus import Corpus
    from resurvey.workspace import Workspace

    if careless:
        vars(tables).update(sync=_nothing, sync_tree=_nothing)
    try:
        workspace = Workspace.open(root)
        opened(workspace)
        corpus = Corpus(workspace)
        with notes.open("a") as told:
            for kind, ids, mark in steps(seed):
                print(json.dumps(["begins", kind, ids, mark]), file=told, flush=True)
                there = {d.id: d for d in corpus.documents()} if kind == "metadata" else {}
                if kind == "upsert":
                    corpus.upsert([Document(id, f"{id}x{mark}") for id in ids])
                elif kind == "metadata":
                    corpus.upsert([Document(id, there[id].text, "", {"mark": mark}) for id in ids if id in there])
                elif kind == "delete":
                    corpus.delete(ids)
                elif kind == "refresh":
                    refresh(workspace)
                else:
                    now = live(workspace)
                    assert now is not None
                    switch(workspace, Live("bm25" if now.candidate == "rrf" else "rrf", now.snapshot), "test")
                print(json.dumps(["acknowledged", kind, ids, mark, corpus.head]), file=told, flush=True)
            print(json.dumps(["ended"]), file=told, flush=True)
    except BaseException:
        Path(f"{notes}.error").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def _nothing(_: Path) -> None:
    """What a careless writer does instead of syncing."""


def wrong(root: Path, notes: Path) -> list[str]:
    """All that is not as it was acknowledged; a step that was begun may have happened, whole, or not at all."""
    from resurvey.promote.live import live
    from resurvey.search.corpus import Corpus
    from resurvey.workspace import Workspace

    expected = {f"d{n}": f"word{n}x|" for n in range(WORDS)}
    states, searched, begun = [expected], 1, []
    for line in notes.read_text().splitlines() if notes.exists() else ():
        what, *step = json.loads(line)
        if what == "begins":
            begun = step
        elif what == "acknowledged":
            expected, begun = after(expected, *step[:3]), []
            states.append(expected)
            searched = step[3] if step[0] == "refresh" else searched
    may = [expected, *([after(expected, *begun)] if begun else [])]
    workspace = Workspace.open(root)
    corpus = Corpus(workspace)
    corpus.heal()
    found = shown(corpus.documents())
    bad = [] if found in may else [f"documents are {found}, promised were {may}"]
    now = live(workspace)
    if now is None:
        return [*bad, "nothing is live"]
    served = opened(workspace, now.snapshot)
    version = served.index.store.snapshot.corpus
    bad += [] if shown(served.index.documents) in (*states, *may) else ["a snapshot of documents that never were"]
    bad += [] if version >= searched else [f"version {searched} was made searchable, {version} is served"]
    return [*bad, *misses(served, now.candidate), *_goes_on(workspace)]


def shown(documents: Sequence[Document]) -> dict[str, str]:
    """Documents as `after` has them."""
    return {d.id: f"{d.text}|{d.metadata.get('mark', '')}" for d in documents}


def misses(served: Any, candidate: str) -> list[str]:
    """Documents that are not the first found for their own word."""
    from resurvey import use

    asked = {d.id: use.search(served, d.text, candidate, 1).hits for d in served.index.documents}
    return [f"{id} is not found" for id, hits in asked.items() if not hits or hits[0].document != id]


def _goes_on(workspace: Any) -> list[str]:
    """Whether the next write and the next refresh work."""
    from resurvey.promote.live import live
    from resurvey.refresh import refresh
    from resurvey.search.corpus import Corpus

    corpus = Corpus(workspace)
    corpus.upsert([Document("last", "lastxword")])
    refresh(workspace)
    now = live(workspace)
    assert now is not None
    served = opened(workspace, now.snapshot)
    bad = [] if shown(served.index.documents) == shown(corpus.documents()) else ["the next refresh misses documents"]
    return bad + misses(served, now.candidate)


def check(root: Path, notes: Path, verdict: Path) -> None:
    """Write down all that is wrong, a defect included."""
    try:
        found = wrong(root, notes)
    except Exception:
        found = [traceback.format_exc()]
    verdict.write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)
