"""Whatever sentence-transformers runs, both engines run alike: one row an architecture, built on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resurvey.search.compiled import compile_to, refusal
from resurvey.search.encode import load
from resurvey.search.engine import CLOSE

TEXTS = ["valve pump", "", " the rotor seal of a bearing ", "P7-107: tighten, then test", "oil " * 300, "x"] + [
    f"inspect the gear {place} and the belt" * (1 + place % 5) for place in range(20)
]
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "distilbert": ("mean", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 66}),
    "roberta": ("mean", {}),
    "xlm-roberta": ("cls", {}),
    "mpnet": ("mean", {}),
    "electra": ("cls", {"embedding_size": 32}),
    "albert": ("max", {"embedding_size": 16}),
    "modernbert": ("cls", {}),
    "t5": ("mean", {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}),
    "gemma3_text": ("mean", {"num_key_value_heads": 2, "head_dim": 8}),
    "qwen3": ("lasttoken", {"num_key_value_heads": 2, "head_dim": 8}),
    "llama": ("lasttoken", {"num_key_value_heads": 2}),
}
"""Pooling, and what the configuration needs beside the common facts."""
COMMON = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 66, "pad_token_id": 0,
}  # fmt: skip
OWN_NAMES = ("distilbert", "t5")
"""Architectures that call hidden size and layers otherwise."""


def build(name: str, tokenizer_of: Path, folder: Path) -> Path:
    """A sentence-transformers folder: the architecture with random weights, pooling, a dense layer, unit length."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import AutoConfig, AutoModel, AutoTokenizer, T5EncoderModel

    pooling, facts = ROWS[name]
    common = {"pad_token_id": 0} if name in OWN_NAMES else COMMON
    words = len(json.loads((tokenizer_of / "tokenizer.json").read_text())["model"]["vocab"])
    torch.manual_seed(3)
    config = AutoConfig.for_model(name, vocab_size=words, **{**common, **facts})
    core = T5EncoderModel(config) if name == "t5" else AutoModel.from_config(config)
    core.save_pretrained(folder / "core")
    AutoTokenizer.from_pretrained(tokenizer_of).save_pretrained(folder / "core")
    parts = [
        modules.Transformer(str(folder / "core"), max_seq_length=64),
        modules.Pooling(32, pooling_mode=pooling),
        modules.Dense(32, 16),
        modules.Normalize(),
    ]
    SentenceTransformer(modules=parts, device="cpu").save(str(folder / "model"))
    return folder / "model"


@pytest.mark.parametrize("name", ROWS)
def test_both_engines_give_the_vectors_of_sentence_transformers(name: str, model_folder: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = build(name, model_folder, tmp_path)
    wanted = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    assert np.abs(wanted[0] - wanted[2]).max() > 1e-3, "a model that says the same of everything proves nothing"
    encoder = load(str(folder))
    assert np.abs(encoder.encode(TEXTS, "passage") - wanted).max() <= CLOSE
    made = compile_to(tmp_path / "engine", encoder)
    assert made is not None, refusal(tmp_path / "engine")
    assert np.abs(made.encode(TEXTS, "passage") - wanted).max() <= CLOSE
    assert np.abs(made.encode(TEXTS[3:4], "query") - wanted[3:4]).max() <= CLOSE
