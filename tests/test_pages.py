"""The report in a browser: nothing leaves the page, nothing sticks out, everybody can read it, paper included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from resurvey import loop
from resurvey.data.read import Sources
from resurvey.session import Session
from resurvey.types import Document, Query
from resurvey.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTHS, SCHEMES = (390, 1024, 1920), ("light", "dark")
EVIL = "<script>fetch('https://example.org/')</script>"
LONG = "a-name-without-any-place-to-break-it-" * 4


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    documents: tuple[Document, ...],
    queries: tuple[Query, ...],
    model_folder: Path,
) -> Path:
    """The report of a real run whose data would like to break out, sideways and otherwise."""
    folder = tmp_path_factory.mktemp("pages")
    rows = {
        "corpus": [{"_id": f"{LONG}{d.id}", "title": f"{EVIL} {d.title}", "text": d.text} for d in documents],
        "queries": [{"_id": q.id, "text": f"{q.text} {EVIL}"} for q in queries],
    }
    for name, found in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    (folder / "dev.tsv").write_text("".join(f"q{place}\t{LONG}d{place // 3}\t1\n" for place in range(0, 60, 2)))
    (folder / "mine.trec").write_text(f"q0 Q0 {LONG}d0 1 1.0 mine\n")
    runs = {EVIL: folder / "mine.trec"}
    sources = Sources(folder / "corpus.jsonl", folder / "queries.jsonl", {"dev": folder / "dev.tsv"}, runs)
    root = folder / f"{LONG}ws"
    loop.init(root, sources, {"model": str(model_folder), "depth": 20, "folds": 3, "passage_tokens": 32})
    return loop.run(Session(Workspace.open(root)), "small").report


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_is_whole_quiet_and_open_to_everybody(
    width: int, scheme: Literal["light", "dark"], browser: Browser, report: Path
) -> None:
    from browser import opened

    with opened(browser, report, width, scheme) as found:
        assert found.sticks_out() == 0
        assert found.barriers() == []
        assert found.page.title()
        assert found.requests == []
        assert found.complaints == []


def test_the_report_works_on_paper(browser: Browser, report: Path) -> None:
    from browser import PAPER, opened

    with opened(browser, report, PAPER, "light", paper=True) as found:
        assert found.sticks_out() == 0
        printed = found.page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "10mm"))
        assert printed.startswith(b"%PDF")
        assert len(printed) > 10_000
        assert (found.requests, found.complaints) == ([], [])


def test_nothing_is_cut_off_on_paper(browser: Browser, report: Path) -> None:
    from browser import PAPER, opened

    with opened(browser, report, PAPER, "light", paper=True) as found:
        assert found.cut_off() == []


BAD = """<!doctype html><title>bad</title>
<p style="width: 3000px; color: #eee; background: #fff">wide and faint</p><input>
<div style="overflow: auto; width: 100px"><p style="width: 900px">cut off</p></div>
<img src="https://example.org/spy.png"><script src="other.js"></script><script>throw new Error("broken")</script>"""


def test_the_browser_notices_what_the_other_tests_look_for(browser: Browser, tmp_path: Path) -> None:
    from browser import opened

    (tmp_path / "bad.html").write_text(BAD)
    with opened(browser, tmp_path / "bad.html", 390, "light") as found:
        assert found.sticks_out() > 2500
        assert found.cut_off() == ["DIV.: 900 in 100"]
        rules = {barrier.split(":")[0] for barrier in found.barriers()}
        assert rules >= {"color-contrast", "html-has-lang", "image-alt", "label"}
        assert sorted(address.rpartition("/")[2] for address in found.requests) == ["other.js", "spy.png"]
        assert any("broken" in complaint for complaint in found.complaints)


def test_six_pictures_are_saved_for_looking_at(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!doctype html><title>page</title><p>some words")
    script = Path(__file__).parent / "browser.py"
    ended = subprocess.run(
        [sys.executable, script, tmp_path / "page.html", tmp_path / "seen"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    names = {path.name for path in (tmp_path / "seen").iterdir()}
    assert names == {f"page-{width}-{scheme}.png" for width in WIDTHS for scheme in SCHEMES}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "seen").iterdir())
