"""Vector segments: immutable blocks of embeddings keyed by encoder fingerprint and text hash.

Nothing is embedded twice: the same text under the same encoder is found again, whoever asks.
Missing texts are embedded in blocks that are fixed by the request (longest first), each published
whole, so that a killed run resumes with bit-identical vectors. Knows nothing about documents.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resurvey.protocols import Encoder, Kind
from resurvey.types import Floats, Progress, silent
from resurvey.workspace import digest, read_json, write_bytes, write_json

BLOCK = 256
KEY_BYTES = 32


class VectorStore:
    """All vectors of one encoder below `folder`; opened once, it remembers where every text is."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self.encoder = encoder
        self.folder = folder / encoder.fingerprint[:16]
        self._segments: list[Floats] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        self._open()

    def vectors(self, texts: Sequence[str], kind: Kind, progress: Progress = silent) -> Floats:
        """Vectors of shape (texts, dimensions), embedding and keeping those not seen before."""
        keys = [self._key(text, kind) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._places}
        ordered = sorted(missing.items(), key=lambda item: (-len(item[1]), item[0]))
        done = len(texts) - len(ordered)
        doing = {"query": "embedding queries", "passage": "embedding passages"}[kind]
        for start in range(0, len(ordered), BLOCK):
            if start == 0:
                progress(doing, done, len(texts))
            block = ordered[start : start + BLOCK]
            self._publish([key for key, _ in block], self.encoder.encode([text for _, text in block], kind))
            progress(doing, done + start + len(block), len(texts))
        found = np.empty((len(texts), self.encoder.dimensions), dtype=np.float32)
        for row, key in enumerate(keys):
            segment, place = self._places[key]
            found[row] = self._segments[segment][place]
        return found

    def _key(self, text: str, kind: Kind) -> bytes:
        return bytes.fromhex(digest(self.encoder.prompt(kind), text))

    def _open(self) -> None:
        mark = self.folder / "encoder.json"
        if mark.exists():
            assert read_json(mark)["fingerprint"] == self.encoder.fingerprint, "two encoders share a fingerprint's head"
        else:
            facts = {
                "fingerprint": self.encoder.fingerprint,
                "name": self.encoder.name,
                "dimensions": self.encoder.dimensions,
            }
            write_json(mark, facts)
        for keys in sorted(self.folder.glob("*.keys")):
            self._add(keys.read_bytes(), np.load(keys.with_suffix(".npy"), mmap_mode="r"))

    def _add(self, keys: bytes, vectors: Floats) -> None:
        for place in range(len(vectors)):
            self._places[keys[place * KEY_BYTES : (place + 1) * KEY_BYTES]] = (len(self._segments), place)
        self._segments.append(vectors)

    def _publish(self, keys: Sequence[bytes], vectors: Floats) -> None:
        """Vectors first, keys last: a segment without keys was never there.

        Named by its keys, so that two stores open on one folder never write over each other's segments.
        """
        buffer = io.BytesIO()
        np.save(buffer, vectors)
        path = self.folder / f"{digest(*keys)[:16]}.npy"
        write_bytes(path, buffer.getvalue())
        write_bytes(path.with_suffix(".keys"), b"".join(keys))
        self._add(b"".join(keys), vectors)
