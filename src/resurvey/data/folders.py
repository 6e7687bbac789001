"""A folder of Markdown and text files as documents: one a file, named by its path, headings kept."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from resurvey.data.columns import Columns
from resurvey.data.lines import Problems, read_text
from resurvey.data.records import scalars
from resurvey.types import Document

MARKDOWN = (".md", ".markdown")
UNDERLINED = (*MARKDOWN, ".rst")
SUFFIXES = (*UNDERLINED, ".txt")
MOST_FRONT = 20_000
"""Characters of front matter; more than any page has, and little enough to parse at once."""
MOST_BRACKETS = 200
"""Nested brackets cost the parser the square of their number."""
UNSAFE = re.compile(r"[\s\0%\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Found:
    """The files below a folder: those that are read, and those of other kinds."""

    texts: tuple[Path, ...]
    others: tuple[Path, ...]


def walk(folder: Path, problems: Problems) -> Found:
    """All files below `folder` in a stable order; hidden ones are skipped, links to folders not followed."""
    texts: list[Path] = []
    others: list[Path] = []

    def unreadable(error: OSError) -> None:
        problems.add(Path(error.filename), 0, f"cannot be read: {error.strerror}")

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                kind = texts if Path(name).suffix.lower() in SUFFIXES else others
                kind.append(Path(place) / name)
    return Found(tuple(texts), tuple(others))


def read_folder(folder: Path, problems: Problems) -> tuple[dict[str, Document], Columns]:
    """The files of a folder as documents by id, and what played which role."""
    found = walk(folder, problems)
    if not found.texts:
        hint = "; it holds corpus.jsonl: --beir reads that" if (folder / "corpus.jsonl").is_file() else ""
        problems.add(folder, 0, f"holds no {', '.join(SUFFIXES)} file{hint}")
    documents: dict[str, Document] = {}
    fields: dict[str, None] = {}
    for path in found.texts:
        document = _document(path, folder, problems)
        if document is not None:
            documents[document.id] = document
            fields.update(dict.fromkeys(document.metadata))
    roles = {"id": ("path",), "title": ("front matter, heading", "file name"), "text": ("the file",)}
    if found.others:
        kinds = sorted({path.suffix.lower() or "no suffix" for path in found.others})
        roles["not read"] = (f"{len(found.others):,} files of other kinds ({' '.join(kinds[:8])})",)
    return documents, Columns(folder, "corpus", roles, tuple(fields))


def _document(path: Path, folder: Path, problems: Problems) -> Document | None:
    text = read_text(path, problems)
    if text is None:
        return None
    front, body = _parts(path, text, problems) if path.suffix.lower() in MARKDOWN else ({}, text)
    if not body.strip():
        problems.add(path, 0, "holds no text")
        return None
    relative = path.relative_to(folder)
    id = UNSAFE.sub(_escaped, relative.as_posix())
    given = front.pop("title", None)
    headed = path.suffix.lower() in UNDERLINED
    title = given.strip() if isinstance(given, str) and given.strip() else (heading(body) if headed else "")
    inside = UNSAFE.sub(lambda m: m.group() if m.group() in " %" else _escaped(m), relative.parent.as_posix())
    metadata = {**scalars(front), **({"folder": inside} if inside != "." else {})}
    name = UNSAFE.sub(lambda m: m.group() if m.group() in " %" else _escaped(m), path.stem)
    return Document(id, body.strip(), title or name, metadata)


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape"))


def _parts(path: Path, text: str, problems: Problems) -> tuple[dict[str, Any], str]:
    """Front matter between two lines of `---`, and the rest."""
    end = text.find("\n---\n", 3) if text.startswith("---\n") else -1
    if end < 0:
        return {}, text
    value = _front(path, text[4 : end + 1], problems)
    if not isinstance(value, dict):
        return {}, text  # two rules around plain text are no front matter
    fields = {name: str(v) if isinstance(v, datetime.date) else v for name, v in value.items()}
    return fields, text[end + 5 :]


def _front(path: Path, front: str, problems: Problems) -> Any:
    """The value of front matter; no fields, with a problem, where it is broken or too much to parse."""
    if len(front) > MOST_FRONT or sum(map(front.count, "[{")) > MOST_BRACKETS:
        what = f"has front matter of more than {MOST_FRONT:,} characters or {MOST_BRACKETS} brackets"
        problems.add(path, 1, what)
        return {}
    try:
        return yaml.safe_load(front) if front.strip() else {}
    except Exception as error:  # besides YAMLError, the values' own constructors raise what they like
        mark = getattr(error, "problem_mark", None)
        problems.add(path, 2 + (mark.line if mark else 0), f"has broken front matter: {_reason(error)}")
        return {}


def _reason(error: Exception) -> str:
    said = getattr(error, "problem", None) or str(error).strip() or type(error).__name__
    return str(said).splitlines()[0][:200]


def heading(text: str) -> str:
    """The first heading: `# Heading`, or a line that is underlined; outside fenced code. Empty where none is."""
    before = ""
    for line in _outside_code(text):
        if line.startswith("#"):
            words = line.lstrip("#")
            if len(line) - len(words) <= 6 and words[:1].isspace() and words.strip():
                return words.strip().rstrip("#").strip()
        rule = line.strip()
        if before and len(rule) >= 3 and rule[0] in "=-~^" and set(rule) == {rule[0]}:
            return before
        before = rule if any(character.isalnum() for character in rule) and not line.startswith("    ") else ""
    return ""


def _outside_code(text: str) -> Iterator[str]:
    fence = ""
    for line in text.split("\n"):
        start = line.lstrip()[:3]
        if start in ("```", "~~~"):
            fence = "" if fence == start else fence or start
        elif not fence:
            yield line
