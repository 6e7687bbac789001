"""Tiny real things: a random two-layer BERT saved on the spot, and a corpus of twenty documents."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["LANCEDB_LOG"] = "error"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from resurvey import settings
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder, load
from resurvey.search.index import Index, open_index
from resurvey.types import Document, Query
from resurvey.workspace import Artefacts

if TYPE_CHECKING:
    from classroom import Make
    from playwright.sync_api import Browser

WORDS = [
    "valve",
    "pump",
    "rotor",
    "seal",
    "bearing",
    "flange",
    "gasket",
    "torque",
    "pressure",
    "leak",
    "vibration",
    "noise",
    "thermal",
    "crack",
    "corrosion",
    "coating",
    "weld",
    "alloy",
    "steel",
    "copper",
    "sensor",
    "relay",
    "breaker",
    "fuse",
    "voltage",
    "current",
    "ground",
    "cable",
    "motor",
    "drive",
    "belt",
    "chain",
    "gear",
    "shaft",
    "coupling",
    "filter",
    "oil",
    "coolant",
    "tank",
    "pipe",
    "hose",
    "clamp",
    "bolt",
    "nut",
    "washer",
    "inspect",
    "replace",
    "tighten",
    "drain",
    "refill",
    "calibrate",
    "test",
    "measure",
    "record",
    "report",
    "restart",
    "stop",
    "start",
    "the",
    "a",
    "of",
    "in",
]


def make_model(
    folder: Path, *, dimensions: int = 32, max_length: int = 64, pooling: str = "mean", seed: int = 7
) -> Path:
    """A sentence-transformers folder around a random BERT that knows WORDS and single characters."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    characters = "abcdefghijklmnopqrstuvwxyz0123456789.-/_:;,?!()'\""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *characters, *("##" + c for c in characters)]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    core = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=max_length,
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=dimensions,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * dimensions,
        max_position_embeddings=max(64, max_length),
    )
    core_folder = folder / "core"
    BertModel(config).save_pretrained(core_folder, safe_serialization=True)
    tokenizer.save_pretrained(core_folder)
    transformer = models.Transformer(str(core_folder), max_seq_length=max_length)
    made = SentenceTransformer(modules=[transformer, models.Pooling(dimensions, pooling_mode=pooling)], device="cpu")
    made.save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder on disk: 32 dimensions, 64 tokens."""
    return make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def encoder(model_folder: Path) -> SentenceEncoder:
    """The tiny encoder, loaded."""
    return load(str(model_folder))


@pytest.fixture(scope="session")
def documents() -> tuple[Document, ...]:
    """Twenty documents over WORDS: each has a topic of its own, some are longer than the encoder reads."""
    made = []
    for place in range(20):
        topic = [WORDS[(3 * place + step) % 45] for step in range(3)]
        sentence = f"{topic[0]} {topic[1]} {topic[2]} part P{place}-{100 + place}."
        filler = " ".join(
            f"inspect the {WORDS[(7 * place + step) % 45]} and record pressure."
            for step in range(3 + 9 * (place % 4 == 0))
        )
        made.append(
            Document(
                f"d{place}", f"{sentence} {filler}", f"{topic[0]} {topic[1]}", {"line": place % 3, "year": 2000 + place}
            )
        )
    return tuple(made)


@pytest.fixture(scope="session")
def queries(documents: tuple[Document, ...]) -> tuple[Query, ...]:
    """Sixty queries, three a document: query `q<n>` wants document `d<n // 3>`."""
    made = []
    for place, document in enumerate(documents):
        words = document.text.split()
        for step, text in enumerate(
            (
                f"replace {words[0]} {words[2]}",
                f"{words[1]} leak {words[4].rstrip('.')}",
                f"test {words[2]} {words[1]} noise",
            )
        ):
            made.append(Query(f"q{3 * place + step}", text))
    return tuple(made)


@pytest.fixture(scope="session")
def qrels(queries: tuple[Query, ...]) -> dict[str, dict[str, int]]:
    """One relevant document a query."""
    return {query.id: {f"d{int(query.id[1:]) // 3}": 1} for query in queries}


@pytest.fixture(scope="session")
def plain_settings() -> settings.Settings:
    """Settings for tiny corpora."""
    return settings.Settings(
        {**settings.defaults(), "depth": 20, "folds": 3, "passage_tokens": 32, "standin_queries": 40}
    )


@pytest.fixture
def index(
    tmp_path: Path, documents: tuple[Document, ...], encoder: SentenceEncoder, plain_settings: settings.Settings
) -> Index:
    """An index over the twenty documents."""
    return open_index(tmp_path / "index", documents, encoder, plain_settings)


@pytest.fixture
def builder(index: Index, tmp_path: Path) -> Builder:
    """Builds recipes over the index."""
    return Builder(index, Artefacts(tmp_path / "artefacts"))


def write_beir(
    folder: Path, documents: tuple[Document, ...], queries: tuple[Query, ...], qrels: dict[str, dict[str, int]]
) -> Path:
    """Documents, queries and their judgments as a BEIR folder: seven of ten queries train, three dev."""
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": d.id, "title": d.title, "text": d.text, "metadata": dict(d.metadata)} for d in documents]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = [{"_id": q.id, "text": q.text} for q in queries]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    for split, keep in (("train", lambda n: n % 10 < 7), ("dev", lambda n: n % 10 >= 7)):
        lines = [f"{q}\t{d}\t{g}" for q, grades in qrels.items() if keep(int(q[1:])) for d, g in grades.items()]
        (folder / "qrels" / f"{split}.tsv").write_text(
            "query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n", encoding="utf-8"
        )
    return folder


@pytest.fixture
def beir_folder(
    tmp_path: Path, documents: tuple[Document, ...], queries: tuple[Query, ...], qrels: dict[str, dict[str, int]]
) -> Path:
    """The twenty documents, sixty queries and their judgments as a BEIR folder: 42 train, 18 dev."""
    return write_beir(tmp_path / "beir", documents, queries, qrels)


Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text file below the test's folder."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture
def make(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> Make:
    """Trials of a small class (`classroom.py`), which quick trainings are enough for."""
    from classroom import classroom, quick

    from resurvey.treat import school

    monkeypatch.setattr(school, "LEAST", 20)
    monkeypatch.setattr(school, "SURPLUS", 10)
    monkeypatch.setattr(school, "dials_for", quick)
    return classroom(tmp_path, encoder, plain_settings)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Without it these tests are skipped, but never where CI=true."""
    try:
        import browser
    except ImportError as error:
        _without(f"{error}: pip install 'resurvey[dev]'")
    if not Path(browser.CHROMIUM).exists():
        _without(f"{browser.CHROMIUM} is not there: apt-get install chromium, or make test as root")
    with browser.chromium() as running:
        yield running


def _without(reason: str) -> NoReturn:
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
