"""Keys: who may search, write, or look behind the scenes. Kept as hashes; a key itself is shown once.

A key is 256 random bits, so one SHA-256 is hash enough. `keys.json` is read again when it changes, so that what is
revoked is revoked at once. Knows nothing about HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from resurvey.errors import Problem, ResurveyError
from resurvey.workspace import Workspace, read_json, write_json

FILE = "keys.json"
SCOPES = ("search", "write", "admin")
"""What a key may do: search and embed; bring documents and events as well; read metrics."""
NAME = re.compile(r"[\w.-]{1,64}")
BEGINS = "rsv_"


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is kept."""

    name: str
    scopes: tuple[str, ...]
    hash: str
    made: str

    def may(self, scope: str) -> bool:
        """Whether it has a scope; `admin` has them all."""
        return scope in self.scopes or "admin" in self.scopes


def add(workspace: Workspace, name: str, scopes: Sequence[str]) -> str:
    """Make a key; returns it, and keeps its hash alone.

    Raises:
        ResurveyError: with all that is wrong with the name and the scopes.
    """
    problems = []
    if not NAME.fullmatch(name):
        problems.append(Problem(repr(name), "is no name of a key: 1 to 64 letters, digits, dots, dashes"))
    problems += [
        Problem(repr(scope), f"is no scope, must be one of {', '.join(SCOPES)}")
        for scope in scopes
        if scope not in SCOPES
    ]
    if not scopes:
        problems.append(Problem("--scope", f"names nothing, must be one of {', '.join(SCOPES)}"))
    with _writing(workspace):
        there = read(workspace)
        if any(key.name == name for key in there):
            problems.append(Problem(name, "is there already"))
        if problems:
            raise ResurveyError(problems, f"resurvey keys {workspace.root} add NAME --scope search,write")
        token = BEGINS + secrets.token_urlsafe(32)
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        _write(workspace, [*there, Key(name, tuple(dict.fromkeys(scopes)), hashed(token), made)])
    return token


def revoke(workspace: Workspace, name: str) -> None:
    """Take a key back; a running service refuses it from the next request on.

    Raises:
        ResurveyError: when there is none of that name; names those there are.
    """
    with _writing(workspace):
        there = read(workspace)
        if all(key.name != name for key in there):
            known = ", ".join(key.name for key in there) or "none"
            raise ResurveyError(
                [Problem(name, f"is no key; there are: {known}")], f"resurvey keys {workspace.root} list"
            )
        _write(workspace, [key for key in there if key.name != name])


def read(workspace: Workspace) -> list[Key]:
    """All keys, oldest first."""
    path = workspace.root / FILE
    if not path.exists():
        return []
    return [Key(row["name"], tuple(row["scopes"]), row["hash"], row["made"]) for row in read_json(path)["keys"]]


def hashed(token: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Keyring:
    """The keys of a workspace as they are now."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._path: Path = workspace.root / FILE
        self._read_at: tuple[int, int] | None = None
        self._keys: list[Key] = []

    @property
    def keys(self) -> list[Key]:
        """All of them; the file is read when it has changed."""
        try:
            found = self._path.stat()
            now = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            self._keys, self._read_at = [], None
            return self._keys
        if now != self._read_at:
            self._keys, self._read_at = read(self._workspace), now
        return self._keys

    def of(self, token: str) -> Key | None:
        """The key that a text is; every key is looked at, whichever it is, so that time tells nothing."""
        wanted, found = hashed(token), None
        for key in self.keys:
            if hmac.compare_digest(key.hash, wanted):
                found = key
        return found


def _writing(workspace: Workspace) -> filelock.BaseFileLock:
    """Not the workspace's lease: a key must be revocable while a long command runs."""
    return filelock.FileLock(workspace.root / f".{FILE}.lock", timeout=10)


def _write(workspace: Workspace, keys: Sequence[Key]) -> None:
    write_json(workspace.root / FILE, {"format": 1, "keys": [asdict(key) for key in keys]})
