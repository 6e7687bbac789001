"""Search at the command line within a filter, with the twins a pipeline leaves out, and with help where a filter is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import call

from resurvey import use
from resurvey.search import recipe
from resurvey.search.collapse import dump_clusters
from resurvey.session import Session
from resurvey.workspace import Workspace


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """Ten pages of two sources and five years, nothing judged, nothing tried."""
    folder = tmp_path_factory.mktemp("ask")
    rows = [
        {"_id": f"d{n}", "text": f"replace the valve part p{n}", "source": ("WHO", "CDC")[n % 2], "year": 2020 + n // 2}
        for n in range(10)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert call("init", folder / "ws", "--corpus", folder / "corpus.jsonl", "--model", model_folder).code == 0
    return folder / "ws"


def test_search_finds_only_what_passes_the_filter(root: Path) -> None:
    found = call("search", root, "valve", "--candidate", "rrf", "--filter", "source = 'CDC' and year >= 2022", "--json")
    assert {hit["document"] for hit in found.json["hits"]} == {"d5", "d7", "d9"}
    assert found.json["filter"] == "source = 'CDC' and year >= 2022"
    assert "filter" not in call("search", root, "valve", "--candidate", "rrf", "--json").json


def test_a_wrong_filter_ends_with_the_fields_there_are(root: Path) -> None:
    ended = call("search", root, "valve", "--candidate", "bm25", "--filter", "yeer > 2020 or source = 3")
    assert ended.code == 1
    assert (
        "filter, character 1: no document has a field `yeer`, did you mean `year`? there are `source`, `year`"
        in ended.err
    )
    assert "filter, character 16: `source` holds texts, and 3 is a number" in ended.err
    assert "--filter \"source = 'WHO'\"" in ended.err


def test_twins_are_named_beside_what_is_shown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(Workspace.open(root))
    clusters = session.workspace.artefacts.put(dump_clusters([["d0", "d2", "d3"]]))
    made = recipe.recipe(recipe.collapsed(recipe.lexical(10), clusters), session.encoder)
    monkeypatch.setattr(use, "recipe_of", lambda *_: ("0001-duplicates", made))
    hits = use.search(session, "valve", "live", 10).hits
    shown = [hit.document for hit in hits]
    assert len(set(shown) & {"d0", "d2", "d3"}) == 1
    first = next(document for document in shown if document in ("d0", "d2", "d3"))
    assert use.twins(session, "live", shown) == {first: [d for d in ("d0", "d2", "d3") if d != first]}
    assert use.twins(session, "live", ["d0"], "source = 'WHO'") == {"d0": ["d2"]}
    said = call("search", root, "valve").out
    assert f"{first}, also: " in said
