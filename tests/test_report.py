"""The report: one page that loads nothing, shows everything, and escapes whatever the data brought."""

from __future__ import annotations

import copy
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resurvey import loop, use
from resurvey.data.read import Sources
from resurvey.errors import ResurveyError
from resurvey.evaluate.compare import compare
from resurvey.evaluate.measures import Scores
from resurvey.promote.live import Live, switch
from resurvey.session import Session
from resurvey.show.figures import FIGURES, svg
from resurvey.show.gather import _gain, gather
from resurvey.show.learning import courses, learning_says
from resurvey.show.report import render, slides
from resurvey.show.trust import calibration_says, risk_says
from resurvey.types import Document, Query
from resurvey.workspace import Workspace, create, read_json

EVIL = "<script>alert('&\"')</script>"
EVIL_ID = "<img/src=x/onerror=alert(1)>"
VALUES: dict[str, str | int | float] = {"depth": 20, "folds": 3, "passage_tokens": 32}


@pytest.fixture(scope="module")
def hostile(
    tmp_path_factory: pytest.TempPathFactory,
    documents: tuple[Document, ...],
    queries: tuple[Query, ...],
    model_folder: Path,
) -> Path:
    """A workspace run on documents, ids, queries and an own engine that all try to break out of the page."""
    folder = tmp_path_factory.mktemp("report")
    ids = {d.id: f"{EVIL_ID}{d.id}" for d in documents}
    corpus = [{"_id": ids[d.id], "title": f"{EVIL} {d.title}", "text": f"{d.text} {EVIL}"} for d in documents]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    asked = [{"_id": f"{EVIL_ID}{q.id}", "text": f"{q.text} {EVIL}"} for q in queries]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    judged = "".join(f"{EVIL_ID}q{place}\t{ids[f'd{place // 3}']}\t1\n" for place in range(60))
    (folder / "train.tsv").write_text(judged)
    (folder / "dev.tsv").write_text("")
    (folder / "mine.trec").write_text(f"{EVIL_ID}q0 Q0 {ids['d0']} 1 1.0 mine\n")
    sources = Sources(
        folder / "corpus.jsonl", folder / "queries.jsonl", {"dev": folder / "train.tsv"}, {EVIL: folder / "mine.trec"}
    )
    root = folder / "<b>ws"
    loop.init(root, sources, {"model": str(model_folder), **VALUES})
    loop.run(Session(Workspace.open(root)), "small")
    switch(Workspace.open(root), Live("0003-adapter", 1), "promote")  # so that something is live which moves rankings
    loop.report(Session(Workspace.open(root)))
    return root


@pytest.fixture
def workspace(hostile: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(hostile, tmp_path / hostile.name)
    return Workspace.open(tmp_path / hostile.name)


def test_what_became_of_each_finding_is_shown(page: str, hostile: Path) -> None:
    rows = read_json(hostile / "reports" / "report.json")["cures"]
    ladder = read_json(hostile / "candidates" / "ladder.json")
    assert {r["id"] for r in rows} >= {"R12-hubs", "R18-recall", "R19-quality"}
    for row in rows:
        assert [found["rung"] for found in row["after"]] == ladder["accepted"]
        assert row["became"] in page
    assert "What became of it" in page


@pytest.fixture(scope="module")
def page(hostile: Path) -> str:
    return (hostile / "reports" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def facts(hostile: Path) -> dict[str, Any]:
    return read_json(hostile / "reports" / "report.json")


class Page(HTMLParser):
    """The tags of a page with their attributes, its text, and whether every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_loads_nothing(page: str) -> None:
    assert not re.findall(r"https?:|//\w|@import|url\(", page)
    for tag, attributes in Page(page).tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
        assert not set(attributes) & {"src", "srcset", "data", "action", "xlink:href"}
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]


def test_the_page_is_well_formed(page: str) -> None:
    assert Page(page).open == []
    assert page.lower().startswith("<!doctype html>")


def test_hostile_titles_ids_and_names_are_shown_as_text(page: str) -> None:
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>ws" not in page
    shown = Page(page).text
    assert "<b>ws" in shown
    assert EVIL in shown  # the own engine's name


def test_every_rung_and_every_untouched_pipeline_is_on_the_page(page: str, facts: dict[str, Any]) -> None:
    shown = Page(page).text
    tried = ["passages", "center", "adapter", "hybrid", "identifiers", "rewrite", "ranker", "duplicates"]
    assert [rung["treatment"] for rung in facts["rungs"]] == tried
    for rung in facts["rungs"]:
        assert rung["id"] in shown
        assert rung["reason"] in shown
        if rung["comparison"]:
            assert f"{100 * rung['comparison']['difference']:+.1f}" in shown
    assert list(facts["baselines"]) == ["base", "bm25", "rrf", EVIL]
    for name, mean in facts["baselines"].items():
        assert name in shown
        assert f"{mean:.3f}" in shown


def test_every_finding_is_on_the_page_with_level_and_reading(page: str, facts: dict[str, Any]) -> None:
    shown = " ".join(Page(page).text.split())
    assert len(facts["findings"]) >= 10
    for finding in facts["findings"]:
        assert finding["id"] in shown
        assert " ".join(finding["reading"].split()) in shown
        assert f'class="{finding["level"]}"' in page


def test_the_verdict_the_gate_and_the_plan_are_on_the_page(page: str, facts: dict[str, Any]) -> None:
    shown = Page(page).text
    assert facts["verdict"] in " ".join(shown.split())  # a headline, and what to be careful about below it
    assert facts["gate"]["outcomes"]
    for outcome in facts["gate"]["outcomes"]:
        assert outcome["candidate"] in shown
        assert all(refusal in shown for refusal in outcome["refusals"])
    for step in (*facts["plan"]["steps"], *facts["plan"]["avoid"]):
        assert step["reason"] in shown


def test_the_json_beside_the_page_equals_the_facts(hostile: Path, facts: dict[str, Any]) -> None:
    found = gather(Workspace.open(hostile))
    assert facts == json.loads(json.dumps(found, allow_nan=False))
    assert (hostile / "reports" / "report.html").read_text() == render(found)


def spoiled(value: Any) -> Any:
    """The same facts with every text that says something turned hostile."""
    if isinstance(value, dict):
        ours = {key for key in value if key in ("kind", "judged_by") or (key == "id" and value[key].startswith("R"))}
        return {key: found if key in ours else spoiled(found) for key, found in value.items()}
    if isinstance(value, list):
        return [spoiled(found) for found in value]
    return f"{EVIL}{value}" if isinstance(value, str) and value else value


def test_no_text_of_the_facts_can_break_out_of_the_page(facts: dict[str, Any], page: str) -> None:
    made = render(spoiled(facts))
    assert "<script" not in made
    assert Page(made).open == []
    drawn = {"g", "path", "text", "tspan", "use", "defs", "style"}  # a longer label is drawn in more pieces
    assert [t for t, _ in Page(made).tags if t not in drawn] == [t for t, _ in Page(page).tags if t not in drawn]
    assert Page(made).text.count("alert") > 50


def test_every_picture_is_drawn_wide_and_narrow_in_the_pages_colours_and_told_in_words(
    page: str, facts: dict[str, Any]
) -> None:
    drawn = [picture for picture in FIGURES if picture.there(facts)]
    assert [picture.name for picture in drawn] == [
        "ladder",
        "slices",
        "ranks",
        "calibration",
        "risk",
        "scores",
        "hubs",
        "vocabulary",
    ]
    assert page.count('<svg class="wide"') == page.count('<svg class="narrow"') == len(drawn)
    assert "var(--good)" in page
    assert not re.findall(r"#0101\w\w", page)
    labels = [attributes.get("aria-label") or "" for tag, attributes in Page(page).tags if tag == "figure"]
    assert len(labels) == len(drawn)
    assert all(len(label) > 40 for label in labels)


def test_no_two_elements_share_an_id_and_every_link_has_its_target(page: str) -> None:
    tags = Page(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    wanted = {(attributes["href"] or "")[1:] for _, attributes in tags if "href" in attributes}
    assert wanted <= set(ids)


def test_pictures_are_the_same_every_time(facts: dict[str, Any]) -> None:
    for picture in FIGURES:
        if picture.there(facts):
            assert svg(picture, facts, narrow=True) == svg(picture, facts, narrow=True)


def test_slides_are_pictures_and_lie_beside_the_page(hostile: Path, facts: dict[str, Any]) -> None:
    made = slides(facts)
    assert set(made) == {path.stem for path in (hostile / "reports" / "figures").glob("*.png")}
    assert all(data.startswith(b"\x89PNG") and len(data) > 5_000 for data in made.values())


def test_the_ladder_shows_the_gain_over_the_best_untouched_pipeline(facts: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in facts["ladder"]}
    best = rows[facts["best_untouched"]]
    assert best["gain"] is None
    for row in rows.values():
        if row["gain"]:
            assert row["gain"]["low"] <= row["gain"]["points"] <= row["gain"]["high"]
            assert row["gain"]["points"] == pytest.approx(100 * (row["mean"] - best["mean"]))
    assert [row["name"] for row in rows.values() if row["live"]] == [facts["live"]]


def test_ten_queries_show_what_moved(facts: dict[str, Any], page: str) -> None:
    shown = Page(page).text
    assert 0 < len(facts["examples"]) <= 10
    for example in facts["examples"]:
        assert example["query"] in shown
        before, after = (example[side]["rank"] or 10**6 for side in ("before", "after"))
        assert {"won": after < before, "lost": after > before, "still failing": after > 10}[example["kind"]]
        for side in ("before", "after"):
            place = example[side]["rank"]
            right = [step for step, hit in enumerate(example[side]["top"], start=1) if hit["right"]]
            assert (right[0] == place) if 0 < place <= 3 else not right
    assert "<mark>" in page


def test_where_failures_are_adds_up_to_the_queries(facts: dict[str, Any]) -> None:
    assert {sum(row.values()) for row in facts["ranks"].values()} == {facts["against"]["queries"]}


def test_what_the_sample_cannot_show_and_what_comes_next_are_on_the_page(page: str, facts: dict[str, Any]) -> None:
    shown = " ".join(Page(page).text.split())
    assert facts["limits"]
    assert facts["next"]
    assert all(" ".join(sentence.split()) in shown for sentence in facts["limits"])
    assert all(step["command"] in shown and step["why"] in shown for step in facts["next"])
    assert f"Is the embedding model the bottleneck? {facts['answer']['short'].capitalize()}" in shown


def test_what_is_live_is_marked(workspace: Workspace) -> None:
    switch(workspace, Live("0004-hybrid", 1), "promote")
    page = loop.report(Session(workspace))
    text = page.read_text()
    assert read_json(page.with_suffix(".json"))["live"] == "0004-hybrid"
    assert re.search(r"0004-hybrid\s*<strong>live</strong>", text)
    assert text.count("<strong>live</strong>") == 1


def test_before_the_gate_the_report_says_that_nothing_was_promoted(workspace: Workspace) -> None:
    (workspace.root / "gate.json").unlink()
    workspace.live.unlink()
    found = gather(workspace)
    assert (found["gate"], found["live"]) == (None, None)
    assert "Not promoted yet: resurvey run DIR." in Page(render(found)).text


def test_a_report_without_findings_or_plan_is_still_whole(facts: dict[str, Any]) -> None:
    bare = copy.deepcopy(facts) | dict.fromkeys(("plan", "gate", "live", "answer", "against", "proof"))
    bare |= {"findings": [], "rungs": [], "examples": [], "ranks": {}, "slices": [], "ladder": []}
    assert Page(render(bare)).open == []


def test_there_is_no_report_before_anything_was_tried(tmp_path: Path) -> None:
    with pytest.raises(ResurveyError, match="has no candidates yet\nNext: resurvey run"):
        gather(create(tmp_path / "ws"))


def test_hostile_ids_survive_search(workspace: Workspace) -> None:
    hits = use.search(Session(workspace), "valve pump", "bm25", 3).hits
    assert all(hit.document.startswith(EVIL_ID) for hit in hits)


def test_a_slice_of_one_query_has_no_interval_and_stops_no_report(facts: dict[str, Any]) -> None:
    one = compare(Scores("a", "m", ("q",), np.array([0.1])), Scores("b", "m", ("q",), np.array([0.9])))
    assert _gain(one) is None
    row = {"name": "lone", "queries": 1, "before": 0.1, "after": 0.9, "gain": None}
    found = copy.deepcopy(facts) | {"slices": [*facts["slices"], row]}
    assert "lone" in Page(render(found)).text
    json.dumps(found, allow_nan=False)


def test_a_run_of_your_own_that_answers_few_queries_says_how_many(facts: dict[str, Any]) -> None:
    (own,) = [row for row in facts["ladder"] if row["kind"] == "your engine"]
    assert own["says"] == f"your run covers 1 of {facts['gated_on']} queries, the rest count as 0"


def test_a_training_is_drawn_with_its_best_look(facts: dict[str, Any]) -> None:
    rows = [{"step": s, "of": 9, "loss": 1.0, "held out": h, "seconds": 1.0} for s, h in ((0, 0.5), (4, 0.8), (9, 0.7))]
    blind = [{"step": 9, "of": 9, "loss": 1.0, "held out": None, "seconds": 1.0}]
    assert courses(facts) == []
    told = copy.deepcopy(facts)
    told["rungs"][0]["detail"] |= {"log": rows}
    told["rungs"][1]["detail"] |= {"log": blind, "halves": [{"log": rows}, {"log": rows[:2]}]}
    names = [name for name, _ in courses(told)]
    assert names == [told["rungs"][0]["id"], f"{told['rungs'][1]['id']}, half 1", f"{told['rungs'][1]['id']}, half 2"]
    assert "from 0.500 to 0.800 after 4 of 9 steps" in learning_says(told)
    made = render(told)
    assert "While the encoder learned" in made
    assert made.count('<svg class="wide"') == render(facts).count('<svg class="wide"') + 1
    assert "learning" in slides(told)


def test_how_far_probabilities_hold_is_drawn_and_said(facts: dict[str, Any]) -> None:
    told = copy.deepcopy(facts)
    measured = {"error": 0.034, "noise": 0.02, "bins": [{"count": 9, "said": 0.2, "true": 0.3}] * 3}
    points = [(0.1, 1.0, 0.4), (0.8, 0.5, 0.05)]
    curve = [{"threshold": t, "coverage": c, "risk": r} for t, c, r in points]
    told["confidence"] = {"name": "9-x", "queries": 60, "hits": measured, "found": measured, "curve": curve}
    assert "A hit's is off by 3.4 points on average (perfect ones would seem 2.0 off on as many)" in calibration_says(
        told
    )
    assert risk_says(told).startswith("Answering all queries, 40 % have nothing relevant among the first ten; ")
    assert "at least 80 % sure, 50 % of the queries, 5 % have." in risk_says(told)
    assert "What is it worth to answer less?" in render(told)
    assert {"calibration", "risk"} <= set(slides(told))
    told["confidence"] = {"name": "9-x", "queries": 60, "why": "nobody judged anything"}
    assert "No hit has a probability: nobody judged anything." in render(told)


def test_words_with_another_meaning_are_shown_with_what_the_encoder_takes_them_for(facts: dict[str, Any]) -> None:
    word = {
        "term": "persistence<", "kind": "yours", "passages": 9, "collides": True, "bare": 0.5, "own": 0.8,
        "web": ["keeping", "living"], "beside": ["registry", "startup"],
        "senses": [{"passages": 5, "words": ["boot"], "example": "x"}, {"passages": 5, "words": [], "example": "a driver"}],
    }  # fmt: skip
    told = copy.deepcopy(facts)
    (found,) = [f for f in told["findings"] if f["id"] == "R13-collision"]
    found["evidence"] = {"terms": [word]}
    text = Page(render(told)).text
    assert "Which words mean something else here?" in text
    assert "persistence< (yours)keeping, livingregistry, startupsense 1: bootsense 2: a driver" in text
    found["evidence"] = {"terms": []}
    assert "Which words mean something else here?" not in Page(render(told)).text
