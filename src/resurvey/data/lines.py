"""Bytes of files as text and numbered lines, and everything that is wrong with them.

Knows bytes, encodings and compression; knows nothing about columns, documents or judgments. Nothing
here stops at the first problem: readers append to `Problems` and go on.
"""

from __future__ import annotations

import codecs
import gzip
import shlex
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from resurvey.errors import Problem, ResurveyError

Line = tuple[int, str]
GZIP = b"\x1f\x8b"


@dataclass(slots=True)
class Problems:
    """All that is wrong with what was brought."""

    met: list[tuple[str, int, str]] = field(default_factory=list)
    options: dict[str, int] = field(default_factory=dict)
    """Options that would mend problems, and how many each."""

    def add(self, path: Path | str, line: int, what: str, option: str = "") -> None:
        """Note one problem at a line (0: the file as a whole); `option` would mend it."""
        self.met.append((path_name(path), line, what))
        if option:
            self.options[option] = self.options.get(option, 0) + 1

    @property
    def found(self) -> list[Problem]:
        """The problems: file after file as they were met, in a file by line."""
        files = {file: place for place, file in enumerate(dict.fromkeys(file for file, _, _ in self.met))}
        ordered = sorted(self.met, key=lambda problem: (files[problem[0]], problem[1]))
        return [Problem(f"{file}:{line}" if line else file, what) for file, line, what in ordered]

    def stop(self, next: str = "") -> None:
        """Raise everything found so far, if anything was; without `next` it is to mend and to bring it again."""
        if not self.met:
            return
        mend = "mend the files, then " if sum(self.options.values()) < len(self.met) else ""
        added = " with " + " ".join(shlex.quote(word) for o in self.options for word in o.split(" ", 1))
        again = "the same command" + (added if self.options else " again")
        raise ResurveyError(self.found, next or f"{mend}{again}; nothing was imported")


def shown(value: object, most: int = 60) -> str:
    """A value as an error message shows it: quoted, and cut when long."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def path_name(path: Path | str) -> str:
    """A path as text that can be written, even where the file system's bytes are not UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def read_bytes(path: Path, problems: Problems) -> bytes | None:
    """A file's bytes, unpacked where it is gzip; None when it cannot be read."""
    try:
        if path.is_dir():
            problems.add(path, 0, "is a folder, must be a file")
            return None
        if path.exists() and not path.is_file():
            problems.add(path, 0, "is a pipe or a device, must be a file")
            return None
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        problems.add(path, 0, f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return None
    if not data.startswith(GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        problems.add(path, 0, f"is a broken gzip file: {error}")
        return None


def read_text(path: Path, problems: Problems) -> str | None:
    """A UTF-8 file as text with newlines only; bad bytes are named by line, and replaced. None: no text at all."""
    lines = _decoded(path, problems)
    return None if lines is None else "\n".join(line for line, _ in lines)


def read_lines(path: Path, problems: Problems) -> Iterator[Line]:
    """Numbered, non-blank lines of a UTF-8 file; a byte-order mark is dropped, any line end accepted."""
    for number, (line, good) in enumerate(_decoded(path, problems) or (), start=1):
        if good and line.strip():
            yield number, line


def read_columns(path: Path, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows of a file whose columns stand between white space, as TREC's do."""
    for number, line in read_lines(path, problems):
        yield number, line.split()


def _decoded(path: Path, problems: Problems) -> list[tuple[str, bool]] | None:
    data = read_bytes(path, problems)
    if data is None:
        return None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        problems.add(path, 0, "is UTF-16, must be UTF-8")
        return None
    data = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return [_line(raw, path, number, problems) for number, raw in enumerate(data.split(b"\n"), start=1)]


def _line(raw: bytes, path: Path, number: int, problems: Problems) -> tuple[str, bool]:
    """A line, and whether it is as it was: NUL and what is not UTF-8 are replaced."""
    if b"\0" in raw:
        problems.add(path, number, "holds a NUL byte")
        return raw.decode("utf-8", errors="replace").replace("\0", "\ufffd"), False
    try:
        return raw.decode("utf-8"), True
    except UnicodeDecodeError as error:
        problems.add(path, number, f"is not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}")
        return raw.decode("utf-8", errors="replace"), False
