"""Passage sizes: compared on judged queries, the better one found where one is planted, adopted only when asked."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag import Bag
from conftest import WORDS
from test_cli import call

from resurvey import chunking, loop, settings
from resurvey.data.chunk import cut
from resurvey.data.read import Sources, beir
from resurvey.errors import ResurveyError
from resurvey.search.encode import SentenceEncoder
from resurvey.session import Session
from resurvey.settings import changed, render
from resurvey.types import Document
from resurvey.workspace import Workspace


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of 240 words of which sixteen answer a query; the rest is what others are asked for."""
    folder, rng = tmp_path_factory.mktemp("long"), np.random.default_rng(5)
    (folder / "qrels").mkdir()
    documents, queries, rows = [], [], []
    for place in range(30):
        needle = rng.choice(WORDS[:10], 3, replace=False).tolist()
        hay = rng.choice(WORDS[:10], 224).tolist()
        at = 16 * (place % 3)
        documents.append({"_id": f"d{place}", "text": " ".join([*hay[:at], *(needle * 6)[:16], *hay[at:]])})
        queries.append({"_id": f"q{place}", "text": " ".join(needle)})
        rows.append(f"q{place}\td{place}\t1\n")
    for name, found in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    return folder


@pytest.fixture
def session(long_folder: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    loop.init(tmp_path / "ws", beir(long_folder), {"model": str(model_folder), "passage_tokens": 250, "depth": 20})
    monkeypatch.setattr(Session, "encoder", Bag())  # of words alone: what a passage says is what it holds
    return Session(Workspace.open(tmp_path / "ws"))


def test_a_size_that_finds_more_is_found_and_taken_only_when_asked(session: Session) -> None:
    facts = chunking.compare_sizes(session, [16, 30])
    assert [row["size"] for row in facts["sizes"]] == [16, 30, 250]
    assert (facts["present"], facts["best"], facts["queries"]) == (250, 16, 15)
    small, middle, present = facts["sizes"]
    assert small["passages"] > middle["passages"] > present["passages"] == 30
    assert small["dense"] > present["dense"] + 0.2
    assert small["against present"]["interval"]["low"] > 0
    assert small["against present"]["difference"] == pytest.approx(small["dense"] - present["dense"])
    assert small["against present"]["p_corrected"] >= small["against present"]["p"]
    assert "against present" not in present
    both = small["both against present"]
    assert both["difference"] == pytest.approx(small["both"] - present["both"])
    assert both["interval"]["low"] <= both["difference"] <= both["interval"]["high"]
    path = session.workspace.root / "resurvey.toml"
    before = path.read_text()
    assert chunking.adopt(session, {**facts, "best": None}) is False
    assert path.read_text() == before
    assert chunking.adopt(session, facts)
    assert settings.load(path).integer("passage_tokens") == 16
    assert len(path.read_text().splitlines()) == len(before.splitlines()), "one line changed, its comment stands"
    assert not any((session.workspace.index / "sizes").iterdir()), "what was only compared is gone"


def test_the_vectors_of_a_size_are_there_when_it_is_adopted(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = chunking.compare_sizes(session, [16])
    chunking.adopt(session, facts)
    again = Session(Workspace.open(session.workspace.root))
    monkeypatch.setattr(Bag, "encode", lambda *_: pytest.fail("something was embedded again"))
    assert len(again.index.passages) == facts["sizes"][0]["passages"]


def test_a_size_that_is_no_better_is_not_adopted(session: Session) -> None:
    facts = chunking.compare_sizes(session, [240])
    assert facts["best"] is None


def test_without_sizes_what_the_encoder_reads_is_halved(session: Session) -> None:
    assert chunking.sizes_of(session, []) == [250, 500, 1000]


def test_a_size_hardly_different_from_the_present_one_is_not_embedded(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bag, "max_tokens", 508)  # its halves are 254 and 127
    assert chunking.sizes_of(session, []) == [127, 250, 508]
    assert chunking.sizes_of(session, [245]) == [245, 250], "what is named is compared"


def test_sizes_that_cannot_be_are_all_named_at_once(session: Session) -> None:
    with pytest.raises(ResurveyError) as error:
        chunking.compare_sizes(session, [3, 40, 9000])
    assert [problem.what.split()[0] for problem in error.value.problems] == ["3", "9000"]


def test_too_few_judged_queries_are_said(model_folder: Path, tmp_path: Path, long_folder: Path) -> None:
    loop.init(tmp_path / "ws", Sources(long_folder / "corpus.jsonl"), {"model": str(model_folder)})
    session = Session(Workspace.open(tmp_path / "ws"))
    with pytest.raises(ResurveyError, match="0 judged queries are too few"):
        chunking.compare_sizes(session, [16])


def test_the_command_shows_every_size_and_what_to_do_next(session: Session) -> None:
    root = session.workspace.root
    told = call("chunks", root, "--sizes", "16,30")
    assert told.code == 0
    assert all(len(line) <= 80 for line in told.out.splitlines())
    assert "16 tokens are better than 250" in told.out
    assert f"Next: resurvey chunks {root} --adopt" in " ".join(told.out.split())
    found: dict[str, Any] = json.loads(call("chunks", root, "--sizes", "16", "--adopt", "--json").out)
    assert (found["best"], found["adopted"]) == (16, True)
    same = call("chunks", root, "--sizes", "16")
    assert "No size is better than 16 tokens" in same.out
    assert call("chunks", root, "--sizes", "some").code == 2


def test_a_setting_is_changed_where_it_stands() -> None:
    text = render({"seed": 7})
    found = changed(text, "passage_tokens", 64)
    assert tomllib.loads(found) == {"seed": 7, "passage_tokens": 64}
    assert tomllib.loads(changed(found, "passage_tokens", 32)) == {"seed": 7, "passage_tokens": 32}
    assert [a for a, b in zip(text.splitlines(), found.splitlines(), strict=True) if a != b] == [
        "# passage_tokens = 128"
    ]
    assert tomllib.loads(changed("seed = 3", "language", "german")) == {"seed": 3, "language": "german"}
    assert changed("", "seed", 4) == "seed = 4\n"
    for name, value, wrong in (("sed", 1, "is not a setting"), ("seed", -1, "must be at least 0")):
        with pytest.raises(ResurveyError, match=wrong):
            changed(text, name, value)


@pytest.mark.parametrize(
    ("between", "after"),
    [("\n\n", "valve"), ("\n# pump ", "# pump"), ("\ndef pump", "def pump"), ("\nclass pump", "class pump")],
)
def test_a_passage_ends_where_the_document_begins_something_new(
    between: str, after: str, encoder: SentenceEncoder
) -> None:
    """A part that begins late enough in a window closes it, although sentences end later."""
    first, later = "pump seal. " * 5, "valve seal. " * 20
    parts = cut([Document("d", f"{first.strip()}{between}{later}")], encoder, 20)
    assert parts.texts[0].strip() == first.strip()
    assert parts.texts[1].strip().startswith(after)
