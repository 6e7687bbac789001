"""Engines and compiled encoders: the model's own vectors, with nothing but the graph, or torch instead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_model
from hypothesis import given
from hypothesis import strategies as st

from resurvey.errors import ResurveyError
from resurvey.protocols import Kind
from resurvey.search import compiled as module
from resurvey.search.compiled import FACTS, PROBES, CompiledEncoder, compile_to, compiled, refusal
from resurvey.search.encode import SentenceEncoder, load, open_encoder
from resurvey.search.engine import CLOSE, batches, padded, unit

TEXTS = ["valve pump", "", " the rotor seal of a bearing ", "P7-107: tighten, then test", "oil " * 300, "x"] + [
    f"inspect the gear {place} and the belt" * (1 + place % 5) for place in range(40)
]
KINDS: tuple[Kind, ...] = ("query", "passage")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled encoder of a tiny model with prompts."""
    folder = tmp_path_factory.mktemp("compiled")
    model = make_model(folder, pooling="mean")
    facts = json.loads((model / "config_sentence_transformers.json").read_text())
    facts["prompts"] = {"query": "test: ", "document": "record: "}
    (model / "config_sentence_transformers.json").write_text(json.dumps(facts))
    assert compile_to(folder / "engine", load(str(model))) is not None
    return folder


@given(st.lists(st.integers(1, 600), max_size=80), st.integers(8, 700))
def test_batches_hold_every_text_once_and_no_more_than_the_budget(lengths: list[int], budget: int) -> None:
    found = batches(np.array(lengths, dtype=np.int64), budget, 8)
    assert sorted(place for places, _ in found for place in places) == list(range(len(lengths)))
    for places, length in found:
        longest = max(lengths[place] for place in places)
        assert longest <= length < longest + 8
        assert len(places) == 1 or len(places) * length <= budget
    widths = [length for _, length in found]
    assert widths == sorted(widths, reverse=True)


def test_padding_is_masked() -> None:
    tokens, mask = padded([[5, 6, 7], [8]], np.array([1, 0]), 4, 99)
    assert tokens.tolist() == [[8, 99, 99, 99], [5, 6, 7, 99]]
    assert mask.tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]


def test_a_zero_vector_stays_zero() -> None:
    assert unit(np.array([[0, 0], [3, 4]], dtype=np.float32)).tolist() == [
        [0, 0],
        [0.6000000238418579, 0.800000011920929],
    ]


@pytest.mark.parametrize("pooling", ["cls", "lasttoken", "max"])
def test_other_poolings_compile_to_the_models_own_vectors(pooling: str, tmp_path: Path) -> None:
    encoder = load(str(make_model(tmp_path, pooling=pooling)))
    found = compile_to(tmp_path / "engine", encoder)
    assert found is not None
    assert np.abs(found.encode(TEXTS, "passage") - encoder.encode(TEXTS, "passage")).max() <= CLOSE


def test_a_compiled_encoder_is_the_model_in_all_that_others_ask(made: Path) -> None:
    encoder, found = load(str(made / "model")), CompiledEncoder(made / "engine")
    for name in ("name", "fingerprint", "dimensions", "max_tokens"):
        assert getattr(found, name) == getattr(encoder, name), name
    assert [found.prompt(kind) for kind in KINDS] == ["test: ", "record: "]
    assert found.offsets(TEXTS) == encoder.offsets(TEXTS)
    for kind in KINDS:
        assert np.abs(found.encode(TEXTS, kind) - encoder.encode(TEXTS, kind)).max() <= CLOSE
        assert np.abs(found.encode(TEXTS[:1], kind) - encoder.encode(TEXTS[:1], kind)).max() <= CLOSE
    assert found.encode([], "query").shape == (0, 32)


def test_the_second_command_needs_neither_torch_nor_transformers(made: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from resurvey.search.compiled import compiled\n"
        f"found = compiled(Path({str(made / 'engine')!r})); assert found is not None\n"
        "assert found.encode(['valve'] * 9, 'query').shape == (9, 32)\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nobody_is_told_that_openvino_or_the_quantiser_is_used(made: Path) -> None:
    code = (
        "import sys, multiprocessing; from pathlib import Path; from resurvey.search.engine import openvino\n"
        "def told(*_, **__): raise SystemExit('somebody was told')\n"
        "multiprocessing.Process.start = told\n"
        "import urllib.request; urllib.request.urlopen = told\n"
        "from resurvey.search.compiled import compiled\n"
        f"compiled(Path({str(made / 'engine')!r})).encode(['valve'] * 9, 'query'); import nncf\n"
        "import nncf.telemetry; openvino().tools.ovc.telemetry.send_event('a', 'b', 'c')\n"
        "print(sys.modules['openvino_telemetry'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # there it is silent anyway
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "None"), done.stderr


def test_little_text_is_not_worth_compiling_and_more_is(made: Path, tmp_path: Path) -> None:
    name = str(made / "model")
    assert isinstance(open_encoder(name, tmp_path, characters=1_000), SentenceEncoder)
    assert not list(tmp_path.iterdir())
    assert isinstance(open_encoder(name, tmp_path, engine="torch"), SentenceEncoder)
    assert not list(tmp_path.iterdir())
    assert isinstance(open_encoder(name, tmp_path), CompiledEncoder)
    (folder,) = tmp_path.iterdir()
    before = (folder / FACTS).stat().st_mtime_ns
    assert isinstance(open_encoder(name, tmp_path), CompiledEncoder)
    assert (folder / FACTS).stat().st_mtime_ns == before


def test_a_graph_with_other_vectors_is_refused_once_and_torch_serves(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(made / "model")
    monkeypatch.setattr(module, "same", lambda one, other: False)
    assert isinstance(open_encoder(name, tmp_path), SentenceEncoder)
    (folder,) = tmp_path.iterdir()
    assert refusal(folder) == "its vectors are not the model's"
    assert compiled(folder) is None
    monkeypatch.setattr(module, "convert", lambda model: pytest.fail("it was tried again"))
    assert isinstance(open_encoder(name, tmp_path), SentenceEncoder)
    with pytest.raises(ResurveyError, match="cannot be compiled for OpenVINO: its vectors are not the model's\nNext: "):
        open_encoder(name, tmp_path, engine="openvino")


def test_what_cannot_be_converted_is_told_and_leaves_nothing_half_made(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: object) -> None:
        raise RuntimeError("no such operation\nand more")

    monkeypatch.setattr(module, "convert", broken)
    assert compile_to(tmp_path / "engine", load(str(made / "model"))) is None
    assert refusal(tmp_path / "engine") == "it cannot be converted: no such operation"
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]

    def stopped(model: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "convert", stopped)
    with pytest.raises(KeyboardInterrupt):
        compile_to(tmp_path / "other", load(str(made / "model")))
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_another_model_in_the_same_place_is_another_engine(made: Path, tmp_path: Path) -> None:
    open_encoder(str(made / "model"), tmp_path)
    other = make_model(tmp_path / "other", seed=8)
    found = open_encoder(str(other), tmp_path / "engines")
    assert found.fingerprint == load(str(other)).fingerprint


def test_the_probes_reach_the_longest_a_model_reads(made: Path) -> None:
    encoder = load(str(made / "model"))
    assert max(len(spans) for spans in encoder.offsets(PROBES)) > encoder.max_tokens
