"""A folder of Markdown and text is a corpus: structure kept, paths as ids, broken files named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from resurvey.data.collection import collect, load, save
from resurvey.data.folders import heading
from resurvey.data.read import Sources, read
from resurvey.errors import ResurveyError
from resurvey.types import Document

Write = Callable[[str, str], Path]
FRONT = "---\ntitle: Seals\nyear: 2020\nlive: true\ntags: [a, b]\ndate: 2020-01-02\nnone:\n---\n"


def test_files_become_documents_with_title_text_and_fields(write: Write, tmp_path: Path) -> None:
    write("in/a.md", f"{FRONT}# Head\n\ntext\n")
    write("in/deep/b c.markdown", "\ufefffirst\r\n\r\n## Second ##\r\n\r\nmore\r\n")
    write("in/deep/100%.rst", "Over\n====\n\nwords")
    write("in/plain.txt", "# no heading here\n")
    write("in/.hidden/x.md", "no")
    write("in/.hidden.md", "no")
    write("in/picture.png", "no")
    sources = Sources(tmp_path / "in")
    brought = read(sources)
    assert brought.documents == (
        Document("a.md", "# Head\n\ntext", "Seals", {"year": 2020, "live": True, "date": "2020-01-02"}),
        Document("plain.txt", "# no heading here", "plain"),
        Document("deep/100%25.rst", "Over\n====\n\nwords", "Over", {"folder": "deep"}),
        Document("deep/b%20c.markdown", "first\n\n## Second ##\n\nmore", "Second", {"folder": "deep"}),
    )
    columns = brought.columns[str(tmp_path / "in")]
    assert columns["not read"] == "1 files of other kinds (.png)"
    assert columns["metadata"] == "year, live, date, folder"
    assert [path.name for path in sources.files()] == ["a.md", "plain.txt", "100%.rst", "b c.markdown"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# One", "One"),
        ("text\n### Three ###\n", "Three"),
        ("```\n# code\n```\n# Real", "Real"),
        ("~~~\n# code", ""),
        ("Under\n-----\n# Later", "Under"),
        ("#hashtag\n#\n####### seven", ""),
        ("---\n===\n", ""),
        ("| a |\n|---|", ""),
        ("", ""),
    ],
)
def test_the_first_heading_is_found(text: str, found: str) -> None:
    assert heading(text) == found


def test_broken_pages_are_named_together_with_their_lines(write: Write, tmp_path: Path) -> None:
    write("in/a.md", "---\nok: 1\nbad: [1\n---\ntext")
    write("in/b.md", FRONT)
    write("in/c.txt", "\n\n")
    (tmp_path / "in" / "d.md").write_bytes(b"fine\nx\xff\n")
    write("in/e.md", "---\n" + "[" * 300 + "\n---\nx")
    write("in/f.md", "---\ndate: 2020-99-01\n---\nx")
    (tmp_path / "in" / "g.md").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ResurveyError) as caught:
        read(Sources(tmp_path / "in"))
    said = [str(problem).replace(f"{tmp_path}/in/", "") for problem in caught.value.problems]
    assert [line.split(": ")[0] for line in said] == ["a.md:4", "b.md", "c.txt", "d.md:2", "e.md:1", "f.md:2", "g.md"]
    assert said[0].startswith("a.md:4: has broken front matter: ")
    assert said[1:3] == ["b.md: holds no text", "c.txt: holds no text"]
    assert said[6] == "g.md: cannot be read: No such file or directory"


def test_two_rules_around_text_are_no_front_matter(write: Write, tmp_path: Path) -> None:
    write("in/a.md", "---\njust words\n---\nmore")
    assert read(Sources(tmp_path / "in")).documents[0].text == "---\njust words\n---\nmore"


def test_a_folder_without_texts_is_refused_and_a_beir_folder_is_recognised(tmp_path: Path, write: Write) -> None:
    write("in/corpus.jsonl", "{}")
    with pytest.raises(ResurveyError, match=r"in: holds no .md, .* file; it holds corpus.jsonl: --beir reads that"):
        read(Sources(tmp_path / "in"))


def test_names_that_are_no_utf8_are_ids_and_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with open(os.fsencode(folder) + b"/caf\xe9.md", "w", encoding="utf-8") as file:
        file.write("text")
    sources = Sources(folder)
    brought = read(sources)
    assert brought.documents == (Document("caf%E9.md", "text", "caf%E9"),)
    made = collect(brought, 1)
    save(made, tmp_path / "data", sources)
    assert load(tmp_path / "data") == made
