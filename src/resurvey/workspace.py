"""The workspace: the folder that is the contract between stages.

Every write is atomic (a temporary file, fsync, rename, fsync of the folder). A stage is *current*
when its manifest's key (hashes of inputs, settings and code) matches and its outputs still carry
the hashes it wrote; manifests come last, so a killed stage simply runs again. This module knows
nothing about what the stages compute.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import filelock

from resurvey import settings
from resurvey.errors import Problem, ResurveyError
from resurvey.types import Json

FORMAT = 1
MARK = "workspace.json"
LOCK = ".lock"
WRITER, BUILDER = INDEX_LOCKS = (".writer", ".building")
"""Below `index/`: held by whoever writes documents, and by whoever makes or removes what follows from them."""
HEAD = "head.json"
"""Below `index/`: the newest acknowledged documents."""
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")
"""What an unfinished write is called until it has its name."""
WRITTEN = ("", "manifests", "candidates", "candidates/*", "reports", "reports/*", "artefacts", "index/*", "index/*/*")
"""Folders in which a killed command may have left one."""


def digest(*parts: str | bytes) -> str:
    """Hex SHA-256 of the parts, each framed by its length so that no two lists collide."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8") if isinstance(part, str) else part
        sha.update(f"{len(data)}:".encode())
        sha.update(data)
    return sha.hexdigest()


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Hex SHA-256 over the relative names and the bytes of all files below a folder, in the order of their names."""
    files = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    return digest("folder", *(part for name, path in files for part in (name, file_digest(path))))


@functools.cache
def code_digest() -> str:
    """Hex SHA-256 of the package's own source: a changed program trusts no older stage."""
    root = Path(__file__).parent
    sources = sorted(root.rglob("*.py"))
    return digest(*(part for path in sources for part in (str(path.relative_to(root)), path.read_bytes())))


def canonical(value: Json | Sequence[Any]) -> str:
    """JSON with sorted keys and no spaces: equal values, equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sync(path: Path) -> None:
    """Put one file's bytes, or one folder's names, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Put every file and folder below `folder` on disk, and `folder` itself."""
    for place, _, files in os.walk(folder):
        for name in files:
            sync(Path(place, name))
        sync(Path(place))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; each one's name is on disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    sync(folder.parent)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` at the end: afterwards that file is whole and on disk, or as it was."""
    make_folder(path.parent)
    name = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")  # known before it is there: Ctrl-C leaves nothing
    try:
        with open(name, "xb", opener=functools.partial(os.open, mode=0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            name.unlink()
        if isinstance(error, OSError) and error.errno:  # name the file that was meant, not the temporary one
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    sync(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`: afterwards the file is whole and on disk, or as it was."""
    with writing(path) as file:
        file.write(data)


def write_json(path: Path, value: Json) -> None:
    """Put `value` at `path` as readable JSON, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode("utf-8"))


def read_json(path: Path) -> Json:
    """The JSON object at `path`.

    Raises:
        ResurveyError: when the file is missing or holds no JSON object.
    """
    again = f"remove {path} and run again"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ResurveyError([Problem(str(path), "is missing")], "the command that writes it, again") from error
    except ValueError as error:
        raise ResurveyError([Problem(str(path), f"is damaged: {error}")], again) from error
    if not isinstance(value, dict):
        raise ResurveyError([Problem(str(path), "is damaged: it holds no JSON object")], again)
    return cast(Json, value)


class Artefacts:
    """What was learned, kept by content: a reference is `sha256:<hex>` and never changes.

    A file is kept under the hash of its bytes, a folder (a trained model) under that of its names and bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verified: set[str] = set()

    def put(self, data: bytes) -> str:
        """Keep `data`; the same bytes are kept once."""
        name = hashlib.sha256(data).hexdigest()
        path = self.folder / name
        if not path.exists():
            write_bytes(path, data)
        return f"sha256:{name}"

    def get(self, reference: str) -> bytes:
        """The bytes of a reference, verified.

        Raises:
            ResurveyError: when they are missing or no longer the bytes that were kept.
        """
        path = self._there(reference)
        data = path.read_bytes()
        self._matches(path, hashlib.sha256(data).hexdigest())
        return data

    def put_folder(self, folder: Path) -> str:
        """Keep a copy of all files below `folder`; the same names and bytes are kept once.

        The copy takes its name when all of it is on disk: a killed writer leaves none, or a whole one.
        """
        assert any(path.is_file() for path in folder.rglob("*")), f"{folder} holds no file"
        name = folder_digest(folder)
        place = self.folder / name
        if place.is_dir():
            return f"sha256:{name}"
        unfinished = self.folder / f".{name}.{uuid.uuid4().hex[:8]}"
        try:
            for path in sorted(found for found in folder.rglob("*") if found.is_file()):
                with path.open("rb") as source, writing(unfinished / path.relative_to(folder)) as copy:
                    shutil.copyfileobj(source, copy)
            for inner in (*(found for found in unfinished.rglob("*") if found.is_dir()), unfinished):
                sync(inner)
            self._matches(unfinished.with_name(name), folder_digest(unfinished))
            os.rename(unfinished, place)
        except OSError:
            if not place.is_dir():  # else another writer has kept the same bytes meanwhile
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        sync(self.folder)
        return f"sha256:{name}"

    def folder_of(self, reference: str) -> Path:
        """The folder of a reference, to be read only; all of it is verified when first asked for.

        Raises:
            ResurveyError: when it is missing, or no longer what was kept.
        """
        place = self._there(reference)
        if reference not in self._verified:
            self._matches(place, folder_digest(place))
            self._verified.add(reference)
        return place

    def _there(self, reference: str) -> Path:
        path = self.folder / reference.removeprefix("sha256:")
        if not path.exists():
            raise ResurveyError(
                [Problem(str(path), "the recipe names this artefact, and it is missing")], "resurvey treat DIR"
            )
        return path

    @staticmethod
    def _matches(path: Path, found: str) -> None:
        if found != path.name:
            raise ResurveyError(
                [Problem(str(path), "its content no longer matches its name")],
                f"remove {path}, then resurvey treat DIR",
            )


class Workspace:
    """One opened workspace folder. Constructing it reads nothing; `open` checks it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.index = root / "index"
        self.candidates = root / "candidates"
        self.reports = root / "reports"
        self.diagnosis = root / "diagnosis.json"
        self.plan = root / "plan.json"
        self.live = root / "live.json"
        self.lineage = root / "lineage.jsonl"
        self.artefacts = Artefacts(root / "artefacts")

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """The workspace at `root`.

        Raises:
            ResurveyError: when there is none, or one of another format.
        """
        mark = root / MARK
        if not mark.exists():
            raise ResurveyError([Problem(str(root), "is not a workspace")], f"resurvey init {root} --corpus FILE")
        found = read_json(mark).get("format")
        if found != FORMAT:
            raise ResurveyError(
                [Problem(str(mark), f"has format {found}, this resurvey reads format {FORMAT}")],
                "install the resurvey that wrote it, or init anew",
            )
        return cls(root)

    @functools.cached_property
    def settings(self) -> settings.Settings:
        """The settings of this workspace, read once."""
        return settings.load(self.root / settings.FILE)

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the workspace for writing; a second writer is told at once.

        Raises:
            ResurveyError: when another command holds it.
        """
        lock = filelock.FileLock(self.root / LOCK)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise ResurveyError(
                [Problem(str(self.root), "another resurvey command is writing here")],
                "wait for it to end, then the same command again",
            ) from error
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Remove what killed writers left half written; below `index/` only while nobody writes there without the lease."""
        with contextlib.ExitStack() as locks:
            quiet = self.index.is_dir() and all(_free(self.index / name, locks) for name in INDEX_LOCKS)
            for folder in WRITTEN:
                if folder.startswith("index") and not quiet:
                    continue
                for path in self.root.glob(f"{folder}/.*" if folder else ".*"):
                    if not TEMPORARY.fullmatch(path.name):
                        continue
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink(missing_ok=True)

    def data_key(self) -> str:
        """Hash of the data as it is now: of all that was brought, and of what documents have become since."""
        brought, become = self.brought_key(), self.documents_key()
        return digest(brought, become) if become else brought

    def documents_key(self) -> str:
        """Hash of what the documents have become; empty while they are as they were brought."""
        head = self.index / HEAD
        facts = read_json(head) if head.exists() else {"key": "", "origin": ""}
        return "" if facts["key"] == facts["origin"] else str(facts["key"])

    def brought_key(self) -> str:
        """Hash of all that was brought: the manifest of `data/`, whose rows carry the files' hashes."""
        path = self.data / "manifest.json"
        return str(read_json(path).get("origin") or file_digest(path))  # where documents were forgotten: as it was

    def key(self, *parts: str) -> str:
        """A stage's key: its inputs with the settings and the code."""
        return digest(canonical(self.settings.making), code_digest(), *parts)

    def current(self, stage: str, key: str) -> bool:
        """Whether `stage` ran with this key and its outputs are still what it wrote."""
        path = self.root / "manifests" / f"{stage}.json"
        if not path.exists():
            return False
        manifest = read_json(path)
        outputs: Mapping[str, str] = manifest.get("outputs", {})
        return manifest.get("key") == key and all(
            (self.root / name).exists() and file_digest(self.root / name) == hash for name, hash in outputs.items()
        )

    def publish(self, stage: str, key: str, outputs: Sequence[Path], seconds: float) -> None:
        """Declare `stage` done: written last, after every output is on disk."""
        hashes = {str(path.relative_to(self.root)): file_digest(path) for path in outputs}
        manifest = {"stage": stage, "key": key, "outputs": hashes, "seconds": round(seconds, 3)}
        write_json(self.root / "manifests" / f"{stage}.json", manifest)

    def manifest(self, stage: str) -> Json | None:
        """What `publish` wrote for a stage, current or not."""
        path = self.root / "manifests" / f"{stage}.json"
        return read_json(path) if path.exists() else None

    def record(self, what: str, **facts: Any) -> None:
        """Append one dated line to the lineage: what was read or decided, and with which numbers."""
        line = json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "what": what, **facts})
        with self.lineage.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a killed writer's half line must not take this one with it
                    file.write(b"\n")
            file.write(line.encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def recorded(self, what: str) -> list[Json]:
        """The lineage's lines about `what`, oldest first; a torn last line is passed over."""
        if not self.lineage.exists():
            return []
        found: list[Json] = []
        for line in self.lineage.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if entry.get("what") == what:
                    found.append(entry)
        return found


def _free(path: Path, locks: contextlib.ExitStack) -> bool:
    """Whether nobody holds a lock file; held until `locks` ends, where it is there at all."""
    if not path.exists():
        return True
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return False
    locks.callback(lock.release)
    return True


def create(root: Path) -> Workspace:
    """Write the mark that makes `root` a workspace; everything else must be there already."""
    workspace = Workspace(root)
    write_json(root / MARK, {"format": FORMAT})
    return workspace
