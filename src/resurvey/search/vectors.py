"""Vector segments: immutable blocks of embeddings keyed by encoder fingerprint and text hash.

Nothing is embedded twice: the same text under the same encoder is found again, whoever asks.
Missing texts are embedded in blocks that are fixed by the request (longest first), each published
whole, so that a killed run resumes with bit-identical vectors. Segments of about one size are merged
when there are several, so that a million passages are a few dozen files; all are mapped, none is held in
memory. Knows nothing about documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resurvey.protocols import Encoder, Kind
from resurvey.search.mapped import open_matrix, release, slices, write_matrix
from resurvey.types import Floats, Ints, Progress, silent
from resurvey.workspace import digest, read_json, sync, write_bytes, write_json

BLOCK = 256
"""Most texts of a block."""
CHARACTERS = 65_536
"""Most characters of a block, so that long texts too give a sign of life every few seconds."""
LONG = 6
"""Characters a token has at most, nearly always: what comes after an encoder's last token costs nothing."""
FAN = 8
"""So many segments of about one size become one."""
COPIED = 16_384
"""Rows that a merge holds at a time."""
GATHERED = 4096
"""Rows read between two releases of a mapped file: each brings its surroundings, 64 kB, into this process."""
KEY_BYTES = 32
Keys: TypeAlias = NDArray[np.uint64]
"""Hashes of texts, of shape (texts, 4): big-endian, so that they sort as their bytes do."""


class Segment:
    """Some texts' vectors, mapped, and where each key's row is."""

    def __init__(self, path: Path, keys: Keys, vectors: Floats) -> None:
        self.path = path
        self.keys = keys
        self.vectors = vectors
        heads = keys[:, 0].astype(np.uint64)
        self._order = np.argsort(heads, kind="stable").astype(np.int32)
        self._heads = heads[self._order]

    def __len__(self) -> int:
        return len(self.vectors)

    def find(self, keys: Keys) -> Ints:
        """Rows of the keys, -1 where a key is not here."""
        heads = keys[:, 0].astype(np.uint64)
        places = np.searchsorted(self._heads, heads)
        found = np.full(len(keys), -1, dtype=np.int64)
        left = np.arange(len(keys))
        while len(left):  # once; again only for keys whose first 8 bytes are another's
            left = left[places[left] < len(self)]
            left = left[self._heads[places[left]] == heads[left]]
            rows = self._order[places[left]]
            same = (self.keys[rows] == keys[left]).all(axis=1)
            found[left[same]] = rows[same]
            left = left[~same]
            places[left] += 1
        return found


class VectorStore:
    """All vectors of one encoder below `folder`; opened once, it remembers where every text is."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self.encoder = encoder
        self.folder = folder / encoder.fingerprint[:16]
        self._segments: list[Segment] = []
        self._open()

    def beside(self, encoder: Encoder) -> VectorStore:
        """The vectors of another encoder, kept beside these."""
        return VectorStore(self.folder.parent, encoder)

    def vectors(self, texts: Sequence[str], kind: Kind, progress: Progress = silent) -> Floats:
        """Vectors of shape (texts, dimensions), in memory, embedding and keeping those not seen before."""
        return self.read(self.embed(texts, kind, progress))

    def embed(self, texts: Sequence[str], kind: Kind, progress: Progress = silent) -> Keys:
        """The keys of the texts, whose vectors are on disk from now on; holds one block of them in memory."""
        keys = self._keys(texts, kind)
        missing = self._missing(keys, texts)
        done = len(texts) - len(missing)
        doing = {"query": "embedding queries", "passage": "embedding passages"}[kind]
        if len(missing):
            progress(doing, done, len(texts))
        for block in self._blocks(missing, texts):
            self._publish(keys[block], self.encoder.encode([texts[row] for row in block], kind))
            done += len(block)
            progress(doing, done, len(texts))
        return keys

    def read(self, keys: Keys) -> Floats:
        """The vectors of keys that `embed` gave, of shape (keys, dimensions), in memory."""
        found = np.empty((len(keys), self.encoder.dimensions), dtype=np.float32)
        left = np.arange(len(keys))
        for segment in self._segments:
            if not len(left):
                break
            rows = segment.find(keys[left])
            here = rows >= 0
            for part in slices(int(here.sum()), GATHERED):
                found[left[here][part]] = segment.vectors[rows[here][part]]
                if len(segment) > GATHERED:
                    release(segment.vectors)
            left = left[~here]
        assert not len(left), f"{len(left)} keys were never embedded"
        return found

    def _keys(self, texts: Sequence[str], kind: Kind) -> Keys:
        prompt = self.encoder.prompt(kind)
        return _as_keys(b"".join(bytes.fromhex(digest(prompt, text)) for text in texts))

    def _missing(self, keys: Keys, texts: Sequence[str]) -> Ints:
        """Rows of the texts to embed, each once: longest first, equally long ones by key."""
        rows = np.arange(len(keys))
        for segment in self._segments:
            rows = rows[segment.find(keys[rows]) < 0] if len(rows) else rows
        lengths = np.array([len(texts[row]) for row in rows.tolist()], dtype=np.int64)
        rows = rows[np.lexsort((*(keys[rows, part] for part in (3, 2, 1, 0)), -lengths))]
        new = np.ones(len(rows), dtype=np.bool_)
        new[1:] = (keys[rows[1:]] != keys[rows[:-1]]).any(axis=1)
        return np.asarray(rows[new], dtype=np.int64)

    def _blocks(self, missing: Ints, texts: Sequence[str]) -> Iterator[list[int]]:
        """The texts to embed in blocks: what is in one follows from the texts before it, so a resumed run cuts alike."""
        most = LONG * self.encoder.max_tokens
        block: list[int] = []
        size = 0
        for row in missing.tolist():
            cost = min(len(texts[row]), most)
            if len(block) == BLOCK or (block and size + cost > CHARACTERS):
                yield block
                block, size = [], 0
            block.append(row)
            size += cost
        if block:
            yield block

    def _open(self) -> None:
        mark = self.folder / "encoder.json"
        if mark.exists():
            assert read_json(mark)["fingerprint"] == self.encoder.fingerprint, "two encoders share a fingerprint's head"
        else:
            facts = {
                "fingerprint": self.encoder.fingerprint,
                "name": self.encoder.name,
                "dimensions": self.encoder.dimensions,
                "prompt": self.encoder.prompt("passage"),
            }
            write_json(mark, facts)
        for path in sorted(self.folder.glob("*.keys")):
            self._add(path.with_suffix(".npy"))

    def _add(self, path: Path) -> None:
        """Open a segment; one that lacks a part, or was merged into another a moment ago, was never there."""
        vectors = open_matrix(path)
        try:
            keys = _as_keys(np.memmap(path.with_suffix(".keys"), dtype=np.uint8, mode="r"))
        except (FileNotFoundError, ValueError):
            return
        if vectors is not None and vectors.shape == (len(keys), self.encoder.dimensions):
            self._segments.append(Segment(path, keys, vectors))
            self._segments.sort(key=len, reverse=True)

    def _publish(self, keys: Keys, vectors: Floats) -> None:
        self._write(keys, iter([vectors]))
        for size in sorted({_size(segment) for segment in self._segments}):
            alike = [segment for segment in self._segments if _size(segment) == size]
            if len(alike) >= FAN:
                self._merge(alike)

    def _write(self, keys: Keys, blocks: Iterator[Floats]) -> Path:
        """Vectors first, keys last: a segment without keys was never there.

        Named by its keys, so that two stores open on one folder never write over each other's segments.
        """
        told = keys.astype(">u8").tobytes()  # numpy forgets the order of bytes when it joins arrays
        path = self.folder / f"{digest(told)[:16]}.npy"
        write_matrix(path, blocks, (len(keys), self.encoder.dimensions))
        write_bytes(path.with_suffix(".keys"), told)
        self._add(path)
        return path

    def _merge(self, alike: Sequence[Segment]) -> None:
        """One segment for several, which go when it is on disk; who has them open still reads them."""
        path = self._write(np.concatenate([segment.keys for segment in alike]), _rows(alike))
        for segment in alike:
            if segment.path != path:
                self._segments.remove(segment)
                segment.path.with_suffix(".keys").unlink(missing_ok=True)
                segment.path.unlink(missing_ok=True)


def forget(folder: Path, texts: Sequence[str]) -> int:
    """Take the vectors of passages out of all segments of one encoder's folder; returns how many there were.

    Folders of an older make do not say what the encoder wants before a passage, so nobody knows their keys: all goes.
    """
    mark = folder / "encoder.json"
    facts = read_json(mark) if mark.exists() else {}
    told = {bytes.fromhex(digest(facts["prompt"], text)) for text in texts} if "prompt" in facts else None
    removed = 0
    for path in sorted(folder.glob("*.keys")):
        data, old = path.read_bytes(), path.with_suffix(".npy")
        rows = [data[start : start + KEY_BYTES] for start in range(0, len(data), KEY_BYTES)]
        left = [place for place, key in enumerate(rows) if told is not None and key not in told]
        if len(left) == len(rows):
            continue
        removed += len(rows) - len(left)
        vectors = open_matrix(old)
        if left and vectors is not None:
            keys = b"".join(rows[place] for place in left)
            new = folder / f"{digest(keys)[:16]}.npy"
            write_matrix(
                new, (vectors[left[part]] for part in slices(len(left), COPIED)), (len(left), vectors.shape[1])
            )
            write_bytes(new.with_suffix(".keys"), keys)
        path.unlink()
        old.unlink(missing_ok=True)
        sync(folder)
    return removed


def _as_keys(data: bytes | NDArray[np.uint8]) -> Keys:
    return np.frombuffer(data, dtype=">u8").reshape(-1, KEY_BYTES // 8)


def _size(segment: Segment) -> int:
    """Segments of equal size in this sense are merged: the power of FAN that their rows reach."""
    size, rows = 0, len(segment)
    while rows >= FAN:
        size, rows = size + 1, rows // FAN
    return size


def _rows(segments: Sequence[Segment]) -> Iterator[Floats]:
    for segment in segments:
        for part in slices(len(segment), COPIED):
            yield segment.vectors[part]
            release(segment.vectors)
