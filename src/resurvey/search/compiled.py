"""Compiled encoders: a model's graph, tokenizer and facts in one folder, used without torch.

Made once from a loaded model and believed only when probe texts get the model's own vectors; from then on
a command that embeds starts in a fraction of the time. Derived, so it may be removed at any time. Knows
nothing about where the model came from.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resurvey.protocols import Kind
from resurvey.search.engine import GRAPH, Graph, convert, openvino, same
from resurvey.types import Floats, Json
from resurvey.workspace import digest, make_folder, read_json, sync, sync_tree, write_json

if TYPE_CHECKING:
    from resurvey.search.encode import SentenceEncoder

FACTS, TOKENIZER = "encoder.json", "tokenizer.json"
PROBES = (
    "a",
    "What does it do?",
    "The quick brown fox jumps over the lazy dog, and T1003.001 stays as it is.",
    "Überprüfung der Übersetzung: 日本語のテキスト, emoji 🚒, and a number 3.14159.",
    "one two three four five six seven eight nine ten " * 40,
    "pressure valve " * 12,
)
"""Texts of one word to more than most models read, in several scripts."""


class CompiledEncoder:
    """An `Encoder` from a folder that `compile_to` wrote; reads neither torch nor transformers."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self.folder = folder
        facts = read_json(folder / FACTS)
        self.name = str(facts["name"])
        self.fingerprint = str(facts["fingerprint"])
        self.dimensions = int(facts["dimensions"])
        self.max_tokens = int(facts["max_tokens"])
        self._prompts: dict[str, str] = facts["prompts"]
        self._whole: Any = Tokenizer.from_file(str(folder / TOKENIZER))
        self._whole.no_truncation()
        self._whole.no_padding()
        self._cut: Any = Tokenizer.from_file(str(folder / TOKENIZER))
        self._cut.no_padding()
        self._cut.enable_truncation(int(facts["limit"]))
        self._graph = Graph(folder / GRAPH, int(facts["pad"]))

    def prompt(self, kind: Kind) -> str:
        """The model's own prompt for a query or a passage."""
        return self._prompts[kind]

    def prompted(self, query: str, passage: str) -> CompiledEncoder:
        """The same weights with other prompts; its vectors do not mix with these."""
        other = copy.copy(self)
        other._prompts = {"query": query, "passage": passage}
        other.fingerprint = digest(self.fingerprint, "prompts", query, passage)
        return other

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Character spans of every token, without special tokens, untruncated."""
        return [encoding.offsets for encoding in self._whole.encode_batch(list(texts), add_special_tokens=False)]

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        """Unit vectors of shape (texts, dimensions)."""
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return self._graph.vectors(self.ids(texts, kind))

    def ids(self, texts: Sequence[str], kind: Kind) -> list[list[int]]:
        """Token ids of every text with its prompt and special tokens, truncated."""
        read = self._cut.encode_batch_fast([self._prompts[kind] + text.strip() for text in texts])
        return [encoding.ids for encoding in read]


def compile_to(folder: Path, encoder: SentenceEncoder) -> CompiledEncoder | None:
    """Compile a loaded encoder below `folder`; None where its graph does not give the model's vectors.

    The folder then says why, so that it is not tried again.
    """
    make_folder(folder.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        refused = _write(partial, encoder)
        made = None if refused else CompiledEncoder(partial)
        if made and not _believed(made, encoder):
            refused, made = "its vectors are not the model's", None
        if refused:
            shutil.rmtree(partial)
            partial.mkdir()
            write_json(partial / FACTS, {"name": encoder.name, "refused": refused})
        shutil.rmtree(folder, ignore_errors=True)
        sync_tree(partial)
        os.rename(partial, folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return None if refused else CompiledEncoder(folder)


def compiled(folder: Path) -> CompiledEncoder | None:
    """The encoder that was compiled below `folder`; None where there is none that can be used."""
    return None if refusal(folder) is not None or not (folder / FACTS).exists() else CompiledEncoder(folder)


def refusal(folder: Path) -> str | None:
    """Why nothing could be compiled below `folder`; None where something was, or nobody tried."""
    if not (folder / FACTS).exists():
        return None
    reason = read_json(folder / FACTS).get("refused")
    return None if reason is None else str(reason)


def _write(folder: Path, encoder: SentenceEncoder) -> str | None:
    """Write graph, tokenizer and facts; returns why not, where the model has no such parts."""
    backend = getattr(encoder.model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return "its tokenizer is not a fast one"
    try:
        graph = convert(encoder.model)
    except Exception as error:  # any model may hold what the tracer or OpenVINO does not know
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        return f"it cannot be converted: {reason}"
    openvino().save_model(graph, folder / GRAPH, compress_to_fp16=False)
    (folder / TOKENIZER).write_text(backend.to_str(), encoding="utf-8")
    facts: Json = {
        "name": encoder.name,
        "fingerprint": encoder.fingerprint,
        "dimensions": encoder.dimensions,
        "max_tokens": encoder.max_tokens,
        "limit": encoder.limit,
        "pad": encoder.model.tokenizer.pad_token_id or 0,
        "prompts": {"query": encoder.prompt("query"), "passage": encoder.prompt("passage")},
    }
    write_json(folder / FACTS, facts)
    return None


def _believed(made: CompiledEncoder, encoder: SentenceEncoder) -> bool:
    """Probe texts, one by one and together, of both kinds, tokens and vectors."""
    kinds: tuple[Kind, ...] = ("query", "passage")
    return made.offsets(PROBES) == encoder.offsets(PROBES) and all(
        same(made.encode(PROBES, kind), wanted := encoder.encode(PROBES, kind))
        and same(made.encode(PROBES[:2], kind), wanted[:2])
        for kind in kinds
    )
