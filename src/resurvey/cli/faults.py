"""What a machine can refuse, as messages: the value, the rule, the next command.

A full disk reaches us as an OSError, as a RuntimeError of the store or as a MemoryError of a matrix library;
the table below reads all of them. What is not in the table is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from resurvey.errors import STOPPED, Problem, ResurveyError, StoppedError

AGAIN = "then the same command again"
ROOM = f"make room there, {AGAIN}"
RIGHTS = f"give yourself the right to it (chmod, chown), {AGAIN}"
NUMBER = re.compile(r"(?:os error |Errno )(\d+)")
PATH = re.compile(r"(/[^\s:,'\"()]+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: the errno or the words by which it is known, what it is, what to do."""

    known_by: int | str
    what: str
    next: str


FAULTS: tuple[Fault, ...] = (
    Fault(errno.ENOSPC, "the disk is full", ROOM),
    Fault(errno.EDQUOT, "your share of the disk is used up", ROOM),
    Fault(errno.EFBIG, "a file would grow beyond what this system allows", f"raise the limit (ulimit -f), {AGAIN}"),
    Fault(errno.EACCES, "permission is missing", RIGHTS),
    Fault(errno.EPERM, "permission is missing", RIGHTS),
    Fault(errno.EROFS, "the file system is read-only", f"make it writable, or copy the workspace elsewhere, {AGAIN}"),
    Fault(errno.EISDIR, "is a folder, and a file must be written there", f"remove or rename it, {AGAIN}"),
    Fault(errno.ENOTDIR, "is a file, and a folder must be there", "name another place, or remove the file"),
    Fault(errno.EEXIST, "is there already", "name another place, or remove it"),
    Fault(errno.ENOTEMPTY, "is there already and is not empty", "name a new folder"),
    Fault(errno.ENOENT, "is missing: something removed it while the command ran", f"leave the workspace alone, {AGAIN}"),
    Fault(errno.EMFILE, "too many files are open", f"ulimit -n 4096, {AGAIN}"),
    Fault(errno.EIO, "the disk does not answer", f"check the disk, {AGAIN}"),
    Fault(errno.ENOLCK, "the file system has no locks", "resurvey doctor DIR; keep the workspace on a local disk"),
    Fault(errno.ENOMEM, "the memory is used up", f"close other programs, {AGAIN}"),
    Fault(r"No space left|disk is full", "the disk is full", ROOM),
    Fault(r"Permission denied|readonly database", "permission is missing", RIGHTS),
    Fault(r"Read-only file system", "the file system is read-only", f"make it writable, {AGAIN}"),
    Fault(r"database is locked", "another program holds it", f"wait for it to end, {AGAIN}"),
    Fault(
        r"can't allocate memory|out of memory|malloc of size|bad_alloc|Unable to allocate",
        "the memory is used up",
        f"close other programs, or bring fewer documents, {AGAIN}",
    ),
)  # fmt: skip


def message_for(error: BaseException, where: str = "") -> ResurveyError | None:
    """What to tell the user about an exception, or None where it is a defect of ours."""
    if isinstance(error, ResurveyError):
        return error
    if _interrupted(error):
        return StoppedError(STOPPED)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "resurvey").startswith("resurvey"):
        return ResurveyError([Problem(str(error.name), "is not installed")], "resurvey doctor says how to get it")
    if isinstance(error, MemoryError):
        return ResurveyError("the memory is used up", f"close other programs, or bring fewer documents, {AGAIN}")
    fault = _fault(error)
    if fault is None:
        return None
    return ResurveyError([Problem(_place(error, where), fault.what)], fault.next)


@contextlib.contextmanager
def told_about(root: Path) -> Iterator[None]:
    """Turn what the machine refuses into messages; `root` is the place where nothing better is known."""
    try:
        yield
    except Exception as error:
        known = message_for(error, str(root))
        if known is None:
            raise
        raise known from error


@contextlib.contextmanager
def still_there(root: Path, mark: str) -> Iterator[None]:
    """Notice when the workspace itself was taken away while a command ran in it, whatever that led to."""
    was = root.stat().st_ino
    try:
        yield
    except Exception as error:
        if (root / mark).exists():
            raise
        raise _gone(root, was) from error
    if not (root / mark).exists():
        raise _gone(root, was)


def _gone(root: Path, was: int) -> ResurveyError:
    """The workspace was taken away; a folder that our own writing made again in its place goes, too."""
    ours = {"index", "candidates", "manifests", "reports", "artefacts", "lineage.jsonl", ".lock"}
    with contextlib.suppress(OSError):
        if root.stat().st_ino != was and {path.name for path in root.iterdir() if path.suffix != ".json"} <= ours:
            shutil.rmtree(root)
    return ResurveyError(
        [Problem(str(root), "the workspace was removed or moved while the command ran")],
        f"if that was a mistake: resurvey init {root}, or go on where it is now",
    )


def _fault(error: BaseException) -> Fault | None:
    """The row for an error: by its number first, by its words where a library kept only those."""
    if not isinstance(error, OSError | RuntimeError | ValueError) and type(error).__module__ not in {
        "sqlite3",
        "pyarrow.lib",
    }:
        return None
    text = str(error)
    told = NUMBER.search(text)
    number = getattr(error, "errno", None) or (int(told[1]) if told else None)
    for row in FAULTS:
        if row.known_by == number or (isinstance(row.known_by, str) and re.search(row.known_by, text)):
            return row
    if isinstance(error, OSError) and error.strerror:
        return Fault(0, error.strerror, f"mend that, {AGAIN}")
    return None


def _place(error: BaseException, where: str) -> str:
    filename = getattr(error, "filename", None)
    if filename:
        return str(filename)
    told = PATH.search(str(error))
    return where or (told[1] if told else "")


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is what this error began with, whoever caught it on the way."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
