"""The map: everything is drawn where the encoder puts it; the page is looked at in a real browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import SCHEMES, WIDTHS, opened
from conftest import write_beir
from playwright.sync_api import Browser
from test_cli import call

from resurvey import atlas, loop
from resurvey.atlas import MOST, chart, coordinates
from resurvey.data.read import Sources, beir
from resurvey.session import Session
from resurvey.show.atlas import render
from resurvey.types import Document, Query
from resurvey.workspace import Workspace, read_json, write_json

HOSTILE = "</script><script>alert(1)</script> & \u2028 “x”"


@pytest.fixture(scope="module")
def root(
    documents: tuple[Document, ...],
    queries: tuple[Query, ...],
    qrels: dict[str, dict[str, int]],
    model_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    root = folder / "ws"
    loop.init(
        root, beir(write_beir(folder / "beir", documents, queries, qrels)), {"model": str(model_folder), "depth": 20}
    )
    session = Session(Workspace.open(root))
    loop.diagnose(session)
    diagnosis = read_json(session.workspace.diagnosis)
    for finding in diagnosis["findings"]:
        if finding["id"] == "R12-hubs":
            finding["evidence"]["hubs"] = [{"document": "d3", "title": "hub", "lists": 40}]
        if finding["id"] == "R13-collision":
            word = {"term": "valve", "web": ["trumpet"], "beside": ["pump"], "collides": True}
            finding["evidence"]["terms"] = [word, {**word, "term": "seal", "collides": False}]
    write_json(session.workspace.diagnosis, diagnosis)
    return root


@pytest.fixture(scope="module")
def facts(root: Path) -> dict[str, Any]:
    return chart(Session(Workspace.open(root)))


def test_neighbours_stay_neighbours() -> None:
    """Three heaps in many dimensions are three heaps on the page."""
    rng = np.random.default_rng(1)
    heaps = np.repeat(np.eye(3, 32, dtype=np.float32), 40, axis=0)
    vectors = heaps + rng.normal(scale=0.05, size=heaps.shape).astype(np.float32)
    places = coordinates(vectors, 13)
    assert places.min() == 0
    assert places.max() == 1
    middles = places.reshape(3, 40, 2).mean(axis=1)
    spread = np.linalg.norm(places.reshape(3, 40, 2) - middles[:, None], axis=2).max()
    apart = min(np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert apart > 2 * spread
    assert (places == coordinates(vectors, 13)).all()
    assert coordinates(vectors[:3], 13).shape == (3, 2)
    assert coordinates(vectors[:0], 13).shape == (0, 2)


def test_everything_is_on_the_map_with_what_is_said_of_it(facts: dict[str, Any], root: Path) -> None:
    session = Session(Workspace.open(root))
    passages, queries = facts["passages"], facts["queries"]
    assert len(passages["x"]) == len(passages["text"]) == len(session.index.owners) == facts["all"]["passages"]
    assert {d for d, lists in zip(passages["document"], passages["hub"], strict=True) if lists} == {"d3"}
    assert facts["words"]["word"] == ["valve"], "only words that mean something else"
    judged = session.collection.judged("train", "dev")
    assert queries["text"] == [query.text for query in judged]
    qrels = session.collection.merged("train", "dev")
    base = session.trial.run({"stage": "dense", "view": "truncated", "transform": "none", "depth": 20})
    for query, rank, right in zip(judged, queries["rank"], queries["right"], strict=True):
        (wanted,) = [d for d, grade in qrels[query.id].items() if grade > 0]
        assert passages["document"][right] == wanted
        top = list(base[query.id].documents[:10])
        assert rank == (top.index(wanted) + 1 if wanted in top else 0)


def test_a_query_stands_in_the_middle_of_its_nearest_passages(root: Path) -> None:
    session = Session(Workspace.open(root))
    facts = chart(session)
    text = facts["queries"]["text"][0]
    similar = session.index.passages @ session.encoder.encode([text], "query")[0]
    nearest = np.argsort(-similar, kind="stable")[:3]
    for axis in "xy":
        middle = np.mean([facts["passages"][axis][place] for place in nearest])
        assert facts["queries"][axis][0] == pytest.approx(middle, abs=1e-3)


def test_fields_of_few_values_and_of_numbers_give_colours(facts: dict[str, Any], root: Path) -> None:
    fields = {field["name"]: field for field in facts["fields"]}
    assert sorted(fields["line"]["values"]) == ["0", "1", "2"]
    index = Session(Workspace.open(root)).index
    for row, code in enumerate(fields["line"]["codes"]):
        assert fields["line"]["values"][code] == str(index.documents[index.owners[row]].metadata["line"])
    assert fields["year"]["ordered"]
    assert len(fields["year"]["values"]) == 5
    years = [index.documents[index.owners[row]].metadata["year"] for row in range(len(index.owners))]
    assert all(
        a <= b
        for (a, _), (b, _) in zip(
            *[iter(sorted(zip(fields["year"]["codes"], years, strict=True), key=lambda p: p[1]))] * 2, strict=False
        )
    )


def test_of_many_passages_a_sample_is_drawn_and_hubs_are_in_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "MOST", 6)
    found = chart(Session(Workspace.open(root)))
    assert len(found["passages"]["x"]) == 6
    assert found["all"]["passages"] > 6
    assert "d3" in found["passages"]["document"]
    assert MOST == 20_000


def test_texts_cannot_break_out_of_the_page(facts: dict[str, Any]) -> None:
    told = json.loads(json.dumps(facts))
    told["passages"]["text"][0] = told["queries"]["text"][0] = told["words"]["word"][0] = HOSTILE
    page = render(told)
    assert "<script>alert(1)" not in page
    data = page.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["passages"]["text"][0] == HOSTILE


def test_without_queries_or_a_diagnosis_there_is_a_map_of_passages(
    beir_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    loop.init(tmp_path / "ws", Sources(beir_folder / "corpus.jsonl"), {"model": str(model_folder)})
    done = call("map", tmp_path / "ws")
    assert done.code == 0
    assert "0 queries" in done.out
    assert (tmp_path / "ws" / "reports" / "map.html").exists()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_fits_every_window_and_asks_nobody(
    browser: Browser, facts: dict[str, Any], tmp_path: Path, width: int, scheme: Any
) -> None:
    page = tmp_path / "map.html"
    page.write_text(render(facts), encoding="utf-8")
    with opened(browser, page, width=width, scheme=scheme) as shown:
        assert (shown.requests, shown.complaints, shown.sticks_out()) == ([], [], 0)
        assert shown.barriers() == []


def test_the_map_is_searched_coloured_and_walked_around_in(
    browser: Browser, facts: dict[str, Any], tmp_path: Path
) -> None:
    page = tmp_path / "map.html"
    told = json.loads(json.dumps(facts))
    told["passages"]["text"][0] = f"{HOSTILE} unicorn"
    page.write_text(render(told), encoding="utf-8")
    with opened(browser, page, width=1024, scheme="light") as shown:
        tab = shown.page
        before = tab.evaluate("document.getElementById('map').toDataURL()")
        tab.fill("#search", "UNICORN")
        assert tab.inner_text("#told") == "1 found"
        assert HOSTILE.split(maxsplit=1)[0] in tab.inner_text("#list")
        tab.fill("#search", "")
        tab.select_option("#colour", label="line")
        assert tab.locator("#legend li").count() == 3
        tab.click("#in")
        assert tab.evaluate("resurveyMap.state().scale") == pytest.approx(1.6)
        tab.focus("#map")
        tab.keyboard.press("ArrowRight")
        assert tab.evaluate("resurveyMap.state().x") > 0.5
        tab.click("#whole")
        tab.select_option("#colour", value="")
        spot = tab.evaluate(
            "(() => { const c = document.getElementById('map'), s = Math.min(c.clientWidth, c.clientHeight) * 0.92;"
            f"return [({told['words']['x'][0]} - .5) * s + c.clientWidth / 2, (.5 - {told['words']['y'][0]}) * s + c.clientHeight / 2] }})()"
        )
        tab.click("#map", position={"x": spot[0], "y": spot[1]})
        assert tab.inner_text("#told") == "Where you pointed"
        assert "read as trumpet; here beside pump" in tab.inner_text("#list")
        for layer in ("passages", "found", "failing", "hubs", "words"):
            tab.uncheck(f"[data-layer={layer}]")
        tab.evaluate("resurveyMap.draw()")
        assert tab.evaluate("document.getElementById('map').toDataURL()") != before
        assert shown.complaints == []


def test_the_report_shows_a_still_picture_of_the_map_that_was_drawn(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "ws"
    shutil.copytree(root, copy)
    session = Session(Workspace.open(copy))
    loop.treat(session, "small", ["hybrid"])
    page = loop.report(session)
    assert "resurvey map DIR draws" in page.read_text()
    assert call("map", copy).code == 0
    told = page.read_text()
    assert "The map: 30 of 30 passages, " in told
    assert "resurvey map DIR draws" not in told
    assert (copy / "reports" / "figures" / "atlas.png").stat().st_size > 5000


def test_twenty_thousand_points_are_drawn(browser: Browser, tmp_path: Path) -> None:
    rng, count = np.random.default_rng(1), MOST
    x, y = rng.random(count).round(4).tolist(), rng.random(count).round(4).tolist()
    words = [f"passage {place} of many" for place in range(count)]
    told = {
        "workspace": "many", "encoder": "e", "all": {"passages": count, "queries": 0}, "fields": [],
        "passages": {"x": x, "y": y, "document": words, "title": words, "text": words, "hub": [0] * count},
        "queries": {"x": [], "y": [], "text": [], "rank": [], "right": []},
        "words": {"x": [], "y": [], "word": [], "web": [], "beside": []},
    }  # fmt: skip
    page = tmp_path / "map.html"
    page.write_text(render(told), encoding="utf-8")
    with opened(browser, page, width=1024, scheme="light") as shown:
        shown.page.evaluate("resurveyMap.draw()")
        painted = shown.page.evaluate(
            "(() => { const c = document.getElementById('map'), p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "let n = 0; for (let k = 3; k < p.length; k += 4) n += p[k] > 0; return n / (c.width * c.height) })()"
        )
        assert painted > 0.2
        assert shown.complaints == []
