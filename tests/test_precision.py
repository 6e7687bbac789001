"""Eight bits: made once, checked on the user's own queries, refused where rankings suffer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import make_model

from resurvey import loop, precision, settings
from resurvey import opened as session_module
from resurvey.data.read import beir
from resurvey.errors import ResurveyError
from resurvey.precision import CALIBRATION, CHECKED, KEPT, Sample, compare, int8, sample
from resurvey.protocols import Kind
from resurvey.search import encode
from resurvey.search.compiled import FACTS, CompiledEncoder, compile_to
from resurvey.search.encode import load
from resurvey.session import Session
from resurvey.types import Document, Floats, Query
from resurvey.workspace import Workspace, read_json


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> CompiledEncoder:
    folder = tmp_path_factory.mktemp("precision")
    made = compile_to(folder / "float32", load(str(make_model(folder))))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def check(documents: tuple[Document, ...], queries: tuple[Query, ...]) -> Sample:
    qrels = {q.id: {f"d{place // 3}": 1} for place, q in enumerate(queries)}
    texts, owners = [d.full_text for d in documents], [d.id for d in documents]
    return sample(texts, owners, {q.id: q.text for q in queries}, qrels, 13)


@pytest.fixture(scope="module")
def small(
    encoder: CompiledEncoder, check: Sample, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CompiledEncoder, Path]:
    """The encoder in int8, and the folder it lies in; a random model has no rankings worth refusing it for."""
    folder = tmp_path_factory.mktemp("int8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "MOST_LOST", 1.0)
        made = int8(encoder, folder / "int8", lambda: (check.passages, check))
    assert isinstance(made, CompiledEncoder)
    return made, folder


def test_int8_is_near_float32_and_has_a_fingerprint_of_its_own(
    encoder: CompiledEncoder, small: tuple[CompiledEncoder, Path], check: Sample
) -> None:
    made, _ = small
    assert made.fingerprint != encoder.fingerprint
    assert (made.dimensions, made.max_tokens, made.prompt("query")) == (encoder.dimensions, encoder.max_tokens, "")
    one, two = encoder.encode(check.passages, "passage"), made.encode(check.passages, "passage")
    assert 0 < np.abs(one - two).max() < 0.2
    assert (one * two).sum(axis=1).min() > 0.98


def test_it_is_made_once_and_says_how_it_was_checked(
    encoder: CompiledEncoder, small: tuple[CompiledEncoder, Path], check: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = small
    monkeypatch.setattr(precision, "_quantise", lambda *_: pytest.fail("it was made again"))
    again = int8(encoder, made.folder, lambda: pytest.fail("its evidence was gathered again"))
    assert again.fingerprint == made.fingerprint
    facts = read_json(made.folder / FACTS)
    assert facts["precision"] == "int8"
    assert facts["checked"]["queries"] == 60
    assert [path.name for path in folder.iterdir()] == [made.folder.name]


def test_int8_is_refused_where_rankings_suffer_and_not_tried_again(
    encoder: CompiledEncoder, check: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Worse(CompiledEncoder):
        def encode(self, texts: list[str] | tuple[str, ...], kind: Kind) -> Floats:  # type: ignore[override]
            return np.random.default_rng(1).normal(size=(len(texts), self.dimensions)).astype(np.float32)

    monkeypatch.setattr(precision, "CompiledEncoder", Worse)
    place = tmp_path / "int8"
    assert int8(encoder, place, lambda: (check.passages, check)) is encoder
    (folder,) = tmp_path.iterdir()
    assert [tried["float32 layers"] for tried in read_json(folder / FACTS)["attempts"]] == [list(k) for k in KEPT]
    assert "NDCG@10 falls by" in read_json(folder / FACTS)["refused"]
    assert not (folder / "graph.xml").exists()
    monkeypatch.setattr(precision, "_quantise", lambda *_: pytest.fail("it was tried again"))
    assert int8(encoder, place, lambda: (check.passages, check)) is encoder


def test_so_many_attempts_are_made_as_are_asked_for(
    encoder: CompiledEncoder, check: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = precision.compare
    monkeypatch.setattr(precision, "compare", lambda *found: {**whole(*found), "fine": False})
    assert int8(encoder, tmp_path / "int8", lambda: (check.passages, check), attempts=1) is encoder
    assert len(read_json(tmp_path / "int8" / FACTS)["attempts"]) == 1


def test_layers_stay_in_float32_where_the_whole_loses_too_much(
    encoder: CompiledEncoder,
    small: tuple[CompiledEncoder, Path],
    check: Sample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = precision.compare
    verdicts = iter([False, True])
    monkeypatch.setattr(precision, "compare", lambda *found: {**whole(*found), "fine": next(verdicts)})
    made = int8(encoder, tmp_path / "int8", lambda: (check.passages, check))
    assert isinstance(made, CompiledEncoder)
    facts = read_json(made.folder / FACTS)
    assert facts["checked"]["float32 layers"] == [0.75, 1]
    sizes = [(found.folder / "graph.bin").stat().st_size for found in (small[0], made, encoder)]
    assert sizes == sorted(set(sizes)), "bytes: all in int8, a quarter in float32, all in float32"


def test_the_same_encoder_loses_nothing(encoder: CompiledEncoder, check: Sample) -> None:
    found = compare(encoder, encoder, check)
    assert (found["fine"], found["lost"], found["shared"], found["queries"]) == (True, 0, 1, 60)


def test_without_judgments_passages_own_words_ask_and_the_first_ten_must_stay(encoder: CompiledEncoder) -> None:
    texts = [f"valve {place} pump rotor seal bearing number {place} in a tank" for place in range(40)]
    check = sample(texts, [f"d{place}" for place in range(40)], {}, {}, 13)
    assert len(check.queries) == 40
    assert not check.qrels
    found = compare(encoder, encoder, check)
    assert found["fine"]
    assert "lost" not in found


def test_a_sample_holds_relevant_passages_and_no_more_than_it_should() -> None:
    texts = [f"text {place}" for place in range(3 * CHECKED)]
    owners = [f"d{place}" for place in range(3 * CHECKED)]
    found = sample(texts, owners, {"q": "text", "r": "none"}, {"q": {"d2999": 1}, "r": {"elsewhere": 1}}, 13)
    assert len(found.passages) == CHECKED
    assert "d2999" in found.owners
    assert list(found.queries) == ["q"]
    assert len(precision._calibration(texts)) == CALIBRATION


def test_a_workspace_set_to_int8_embeds_with_it(
    beir_folder: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "MOST_LOST", 1.0)
    loop.init(tmp_path / "ws", beir(beir_folder), {"model": str(model_folder), "precision": "int8", "depth": 20})
    session = Session(Workspace.open(tmp_path / "ws"))
    assert isinstance(session.encoder, CompiledEncoder)
    assert session.encoder.fingerprint != load(str(model_folder)).fingerprint
    assert session.index.truncated.shape == (20, 32)


@pytest.mark.parametrize("least", [0, 10**9])
def test_a_large_corpus_is_embedded_in_int8_unless_told_otherwise(
    least: int, beir_folder: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "MOST_LOST", 1.0)
    monkeypatch.setattr(session_module, "INT8_PAYS_FROM", least)
    monkeypatch.setattr(encode, "PAYS_FROM", 0)
    for chosen in ("auto", "float32"):
        root = tmp_path / chosen
        loop.init(root, beir(beir_folder), {"model": str(model_folder), "precision": chosen, "depth": 20})
        found = Session(Workspace.open(root)).encoder
        assert isinstance(found, CompiledEncoder)
        same = found.fingerprint == load(str(model_folder)).fingerprint
        assert same == (chosen == "float32" or least > 0)


@pytest.mark.parametrize(
    ("judging", "chosen", "exact"), [(True, "auto", False), (False, "auto", True), (True, "float32", True)]
)
def test_what_only_judges_is_embedded_in_int8_sooner_and_checked_in_brief(
    judging: bool,
    chosen: str,
    exact: bool,
    beir_folder: Path,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "MOST_LOST", 1.0)
    monkeypatch.setattr(session_module, "JUDGING_PAYS_FROM", 0)
    monkeypatch.setattr(session_module, "JUDGING_CHECKED", 8)
    monkeypatch.setattr(encode, "PAYS_FROM", 0)
    loop.init(tmp_path / "ws", beir(beir_folder), {"model": str(model_folder), "precision": chosen, "depth": 20})
    session = Session(Workspace.open(tmp_path / "ws"))
    found = session.adapted(model_folder, judging)
    assert isinstance(found, CompiledEncoder)
    assert (found.fingerprint == load(str(model_folder)).fingerprint) == exact
    if not exact:
        facts = read_json(found.folder / FACTS)
        assert len(facts["attempts"]) == 1
        assert facts["checked"]["queries"] < len(session.collection.judged("train", "dev"))
        assert session.encoder.fingerprint != found.fingerprint, "what serves stays exact"


def test_int8_without_the_engine_it_needs_is_refused(beir_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    loop.init(tmp_path / "ws", beir(beir_folder), {"model": str(model_folder), "precision": "int8", "engine": "torch"})
    with pytest.raises(ResurveyError, match="needs the OpenVINO engine"):
        _ = Session(Workspace.open(tmp_path / "ws")).encoder


def test_the_setting_knows_its_choices(tmp_path: Path) -> None:
    (tmp_path / "resurvey.toml").write_text('precision = "int4"\n')
    with pytest.raises(ResurveyError, match="must be one of auto, float32, bfloat16, int8"):
        settings.load(tmp_path / "resurvey.toml")
