"""Cross-encoders on this machine: the library's scores, pairs cut short counted, and what is no reranker refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from resurvey.errors import ResurveyError
from resurvey.search.builder import Builder
from resurvey.search.recipe import dense, reranked
from resurvey.search.scorers import BATCH, LocalScorer, UnansweredError, fingerprint, load_cross_encoder, open_scorer
from resurvey.treat.crosstrain import from_encoder
from resurvey.types import Query
from resurvey.workspace import Artefacts

TEXTS = ["valve", "pump rotor seal " * 6, "a leak of oil", "the torque"] * 9


@pytest.fixture(scope="module")
def folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cross-encoder on disk: the tiny encoder with a random head."""
    return from_encoder(str(model_folder), tmp_path_factory.mktemp("scorer"), 7)


@pytest.fixture(scope="module")
def scorer(folder: Path) -> LocalScorer:
    return LocalScorer(str(folder), load_cross_encoder(str(folder)))


def test_scores_are_the_librarys_logits_in_the_order_of_the_texts(folder: Path, scorer: LocalScorer) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    plain = CrossEncoder(str(folder), activation_fn=torch.nn.Identity())
    expected = plain.predict([("oil leak", text) for text in TEXTS], show_progress_bar=False)
    assert np.allclose(scorer.scores("oil leak", TEXTS), expected, atol=1e-5)
    assert len(set(np.round(expected[:4], 6).tolist())) == 4
    assert len(scorer.scores("oil leak", [])) == 0


def test_pairs_that_are_not_read_whole_are_counted(folder: Path) -> None:
    fresh = LocalScorer("", load_cross_encoder(str(folder)))
    assert fresh.limit == 64
    fresh.scores("oil leak", ["pump " * 59, "pump " * 60, "pump"])  # 2 + 59 + 3 special ones are 64
    assert fresh.cut_short == 1


def test_a_deadline_is_looked_at_between_batches(folder: Path) -> None:
    now = iter(range(100))
    slow = LocalScorer("", load_cross_encoder(str(folder)), clock=lambda: float(next(now)))
    with pytest.raises(UnansweredError, match=rf"late: {BATCH} of {len(TEXTS)} pairs scored in 1500 ms"):
        slow.scores("oil", TEXTS, 1.5)
    assert len(slow.scores("oil", TEXTS, 50.0)) == len(TEXTS)
    with pytest.raises(UnansweredError, match="1 pairs took more than 1500 ms"):
        slow.scores("oil", TEXTS[:1], 1.5)


def test_an_encoder_is_no_reranker_and_neither_is_what_cannot_be_loaded(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ResurveyError, match="without a head that scores pairs"):
        load_cross_encoder(str(model_folder))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ResurveyError, match="cannot be loaded as a reranker"):
        load_cross_encoder(str(tmp_path))
    with pytest.raises(ResurveyError, match="is not a folder"):
        open_scorer(str(tmp_path / "nothing"), Artefacts(tmp_path))


def test_a_classifier_of_several_labels_is_refused(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    shutil.copytree(folder, tmp_path / "three")
    config = json.loads((folder / "config.json").read_text())
    made = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3, ignore_mismatched_sizes=True)
    made.save_pretrained(tmp_path / "three")
    assert config["architectures"] == ["BertForSequenceClassification"]
    with pytest.raises(ResurveyError, match="gives 3 scores a pair, a reranker gives one"):
        load_cross_encoder(str(tmp_path / "three"))


def test_a_kept_folder_and_the_folder_it_was_made_of_score_alike(folder: Path, builder: Builder) -> None:
    reference = builder.artefacts.put_folder(folder)
    asked = [Query("q", "valve leak")]
    runs = [
        builder.node(reranked(dense(20, view="truncated"), name, depth=10, blend=1.0)).search(asked)["q"]
        for name in (reference, str(folder))
    ]
    assert runs[0].documents == runs[1].documents
    assert runs[0].scores.tolist() == runs[1].scores.tolist()
    assert runs[0].documents != builder.node(dense(20, view="truncated")).search(asked)["q"].documents


def test_a_recipe_refuses_a_reranker_that_has_changed_since(folder: Path, builder: Builder, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    facts = {"fingerprint": fingerprint(str(copy))}
    made = reranked(dense(20), str(copy), depth=10, blend=0.5, facts=facts)
    assert builder.node(made)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    with pytest.raises(ResurveyError, match="is no longer the reranker that the recipe was made with"):
        Builder(builder.index, builder.artefacts).node(made)
