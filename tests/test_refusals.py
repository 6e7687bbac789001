"""Spaces do not mix: another encoder, weights that changed, a recipe of another space are refused, with what mends it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import make_model
from test_refresh import VALUES

from resurvey import loop, use
from resurvey.data.read import beir
from resurvey.errors import ResurveyError
from resurvey.opened import Opened
from resurvey.promote.live import Live, live, switch
from resurvey.promote.registry import Registry
from resurvey.refresh import refresh
from resurvey.search import recipe
from resurvey.search.corpus import Corpus
from resurvey.types import Candidate, Document
from resurvey.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, beir_folder: Path) -> Workspace:
    """Dense search is live; the model lies beside the workspace."""
    model = make_model(tmp_path / "mine")
    loop.init(tmp_path / "ws", beir(beir_folder), {**VALUES, "model": str(model)})
    workspace = Workspace.open(tmp_path / "ws")
    opened = Opened(workspace)
    made = recipe.recipe(recipe.dense(20), opened.encoder)
    Registry(workspace).add(Candidate("0001-mine", "mine", "base", made, True, "", None), {}, "key")
    switch(workspace, Live("0001-mine", opened.index.store.snapshot.number), "test")
    use.search(opened, "valve", "live", 3)
    opened.index.store.close()
    return workspace


def exchange(workspace: Workspace, tmp_path: Path) -> None:
    """Other weights of as many dimensions where the model was."""
    place = Path(workspace.settings.text("model"))
    shutil.rmtree(place)
    shutil.copytree(make_model(tmp_path / "other", seed=8), place)


def kept(workspace: Workspace) -> list[str]:
    return sorted(str(path) for path in workspace.index.rglob("*.npy"))


def test_weights_that_changed_are_refused_wherever_a_snapshot_is_opened(workspace: Workspace, tmp_path: Path) -> None:
    before = kept(workspace)
    exchange(workspace, tmp_path)
    with pytest.raises(ResurveyError, match="its weights, prompts or precision have changed") as caught:
        use.search(Opened(workspace, snapshot=1), "valve", "live", 3)
    assert f"resurvey run {workspace.root}" in caught.value.next
    assert kept(workspace) == before


def test_a_write_is_not_embedded_into_another_space(workspace: Workspace, tmp_path: Path) -> None:
    Corpus(workspace).upsert([Document("new", "zeppelin")])
    exchange(workspace, tmp_path)
    before = kept(workspace)
    with pytest.raises(ResurveyError, match="their spaces do not mix") as caught:
        refresh(workspace)
    assert f"resurvey run {workspace.root}" in caught.value.next
    assert (kept(workspace), live(workspace)) == (before, Live("0001-mine", 1))


def test_a_recipe_of_another_space_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    exchange(workspace, tmp_path)
    with pytest.raises(ResurveyError, match=r"was made with encoder .* their spaces do not mix") as caught:
        use.search(Opened(workspace), "valve", "live", 3)
    assert caught.value.next == "resurvey run DIR"
