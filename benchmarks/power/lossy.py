"""A file system that forgets what was not synced: what a power loss leaves, without cutting any power.

    python -m power.lossy START MOUNT AFTER FAIL_AT SEED

Files and folders live in memory, as copied from START. `fsync` of a file makes its bytes durable, `fsync` of a folder
its names: entries made, renamed, linked and removed. At the FAIL_AT-th change (0: never) the power fails: what is left
is written to AFTER, and every call from then on is an input/output error. Of what was not synced, SEED decides how much
survived all the same: nothing, about half (a file's bytes cut anywhere, a folder's changes in any order), or all of it.
A rename is two changes of names, and each folder keeps or loses its own. When unmounted, the number of changes is
written beside AFTER. Knows nothing about who writes.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SURVIVE = (0.0, 0.0, 0.5, 1.0)
"""Shares of what was not synced that are there all the same; a real disk may have written any of it."""
BLOCK = 4096
PATIENCE = 20.0


@dataclass(eq=False)
class Node:
    """A file or a folder, as it is and as it is on disk."""

    folder: bool
    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    entries: dict[str, Node] = field(default_factory=dict)
    kept: dict[str, Node] = field(default_factory=dict)
    links: int = 1
    times: list[int] = field(default_factory=lambda: [time.time_ns()] * 2)
    number: int = field(default_factory=itertools.count(2).__next__)


def load(folder: Path) -> Node:
    """A folder as a tree, all of it durable."""
    node = Node(True)
    for path in sorted(folder.iterdir()):
        child = load(path) if path.is_dir() else Node(False, bytearray(path.read_bytes()), path.read_bytes())
        node.entries[path.name] = node.kept[path.name] = child
    return node


def dump(node: Node, folder: Path, luck: random.Random, share: float) -> None:
    """What a power loss leaves of a tree."""
    folder.mkdir(parents=True)
    for name in sorted({*node.entries, *node.kept}):
        now, before = node.entries.get(name), node.kept.get(name)
        child = now if now is before or luck.random() < share else before
        if child is None:
            continue
        if child.folder:
            dump(child, folder / name, luck, share)
        else:
            (folder / name).write_bytes(_left(child, luck, share))


def _left(node: Node, luck: random.Random, share: float) -> bytes:
    if bytes(node.data) == node.durable or luck.random() >= share:
        return node.durable
    return (
        bytes(node.data) if share == 1 or luck.random() < share else bytes(node.data[: luck.randint(0, len(node.data))])
    )


class Lossy:
    """The calls of the file system; names and meanings are FUSE's."""

    use_ns = True

    def __init__(self, start: Path, after: Path, fail_at: int, seed: int) -> None:
        self.root = load(start)
        self.after = after
        self.fail_at = fail_at
        self.luck = random.Random(seed)
        self.changes = 0
        self.lost = False
        self._open: dict[int, Node] = {}
        self._handles = itertools.count(1)

    def _node(self, path: str) -> Node:
        if self.lost:
            raise OSError(errno.EIO, path)
        node = self.root
        for part in path.split("/"):
            if part:
                if part not in node.entries:
                    raise OSError(errno.ENOENT, path)
                node = node.entries[part]
        return node

    def _place(self, path: str) -> tuple[Node, str]:
        folder, _, name = path.rpartition("/")
        return self._node(folder), name

    def _change(self) -> None:
        """Count a change; fail when its time has come, before it happens."""
        self.changes += 1
        if self.changes == self.fail_at:
            self.lost = True
            dump(self.root, self.after, self.luck, self.luck.choice(SURVIVE))
        if self.lost:
            raise OSError(errno.EIO, "no power")

    def _opened(self, node: Node) -> int:
        handle = next(self._handles)
        self._open[handle] = node
        return handle

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """What a file or folder is."""
        node = self._open[fh] if fh in self._open else self._node(path)
        kind = stat.S_IFDIR | 0o755 if node.folder else stat.S_IFREG | 0o644
        accessed, modified = node.times
        return {"st_mode": kind, "st_nlink": node.links, "st_size": len(node.data), "st_ino": node.number,
                "st_uid": os.getuid(), "st_gid": os.getgid(), "st_blocks": -(-len(node.data) // 512),
                "st_atime": accessed, "st_mtime": modified, "st_ctime": modified}  # fmt: skip

    def readdir(self, path: str, _: int) -> list[str]:
        """Names in a folder."""
        return [".", "..", *self._node(path).entries]

    def opendir(self, path: str) -> int:
        """A handle for `fsyncdir`."""
        return self._opened(self._node(path))

    def releasedir(self, _: str, fh: int) -> int:
        """A folder is read."""
        self._open.pop(fh, None)
        return 0

    def mkdir(self, path: str, _: int) -> int:
        """A new folder."""
        self._change()
        folder, name = self._place(path)
        if name in folder.entries:
            raise OSError(errno.EEXIST, path)
        folder.entries[name] = Node(True)
        return 0

    def create(self, path: str, _: int, __: Any = None) -> int:
        """A new file, opened."""
        self._change()
        folder, name = self._place(path)
        folder.entries[name] = Node(False)
        return self._opened(folder.entries[name])

    def open(self, path: str, flags: int) -> int:
        """A file, opened."""
        node = self._node(path)
        if flags & os.O_TRUNC:
            self.truncate(path, 0)
        return self._opened(node)

    def read(self, _: str, size: int, offset: int, fh: int) -> bytes:
        """Bytes of an opened file."""
        if self.lost:
            raise OSError(errno.EIO, "no power")
        return bytes(self._open[fh].data[offset : offset + size])

    def write(self, _: str, data: bytes, offset: int, fh: int) -> int:
        """Bytes into an opened file."""
        self._change()
        node = self._open[fh]
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(data)] = data
        node.times[1] = time.time_ns()
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Another length."""
        self._change()
        node = self._open[fh] if fh in self._open else self._node(path)
        del node.data[length:]
        node.data.extend(bytes(length - len(node.data)))
        return 0

    def release(self, _: str, fh: int) -> int:
        """A file is closed: nothing becomes durable by that."""
        self._open.pop(fh, None)
        return 0

    def fsync(self, _: str, __: int, fh: int) -> int:
        """The file's bytes are durable; its name is not."""
        self._change()
        self._open[fh].durable = bytes(self._open[fh].data)
        return 0

    def fsyncdir(self, _: str, __: int, fh: int) -> int:
        """The folder's names are durable; what the files hold is not."""
        self._change()
        self._open[fh].kept = dict(self._open[fh].entries)
        return 0

    def rename(self, old: str, new: str) -> int:
        """Another name, in place of whatever had it."""
        self._change()
        (source, name), (target, other) = self._place(old), self._place(new)
        if name not in source.entries:
            raise OSError(errno.ENOENT, old)
        there = target.entries.get(other)
        if there is not None and there.folder and there.entries:
            raise OSError(errno.ENOTEMPTY, new)
        target.entries[other] = source.entries.pop(name)
        return 0

    def link(self, target: str, source: str) -> int:
        """A second name."""
        self._change()
        folder, name = self._place(target)
        if name in folder.entries:
            raise OSError(errno.EEXIST, target)
        folder.entries[name] = self._node(source)
        folder.entries[name].links += 1
        return 0

    def unlink(self, path: str) -> int:
        """One name less."""
        self._change()
        folder, name = self._place(path)
        if name not in folder.entries:
            raise OSError(errno.ENOENT, path)
        folder.entries.pop(name).links -= 1
        return 0

    def rmdir(self, path: str) -> int:
        """One folder less."""
        self._change()
        folder, name = self._place(path)
        if folder.entries[name].entries:
            raise OSError(errno.ENOTEMPTY, path)
        del folder.entries[name]
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """When it was read and changed."""
        self._node(path).times = list(times or [time.time_ns()] * 2)
        return 0

    def chmod(self, *_: Any) -> int:
        """All may do all."""
        return 0

    chown = chmod

    def flush(self, *_: Any) -> int:
        """Nothing is written by that."""
        return 0

    def statfs(self, _: str) -> dict[str, int]:
        """Room enough."""
        return {"f_bsize": BLOCK, "f_frsize": BLOCK, "f_blocks": 2**20, "f_bfree": 2**19, "f_bavail": 2**19,
                "f_files": 2**20, "f_ffree": 2**19, "f_favail": 2**19, "f_namemax": 255}  # fmt: skip


def available() -> str:
    """Why such a file system cannot be mounted here; nothing when it can."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse is not there or not ours"
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError) as error:
        return f"{error} (apt-get install fuse3, or make test as root)"
    return (
        "" if shutil.which("fusermount3") else "fusermount3 is not there: apt-get install fuse3, or make test as root"
    )


@contextlib.contextmanager
def mounted(start: Path, mount: Path, after: Path, fail_at: int = 0, seed: int = 0) -> Iterator[None]:
    """`start` mounted at `mount`, in a process of its own; afterwards `after` is what the power loss left, if any."""
    mount.mkdir(exist_ok=True)
    arguments = [str(path) for path in (start, mount, after)] + [str(fail_at), str(seed)]
    command = [sys.executable, "-m", "power.lossy", *arguments]
    process = subprocess.Popen(command, cwd=Path(__file__).parent.parent, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE
    while not os.path.ismount(mount):
        assert process.poll() is None, "the file system was not mounted"
        assert time.monotonic() < until, "the file system is not mounted yet"
        time.sleep(0.01)
    try:
        yield
    finally:
        for _ in range(50):  # whoever was killed a moment ago may still hold a file
            if subprocess.run(["fusermount3", "-u", mount], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        process.wait(PATIENCE)


def changes(after: Path) -> int:
    """How many changes there were until the file system was unmounted."""
    return int(after.with_suffix(".changes").read_text())


def main() -> None:
    """Mount, and serve until unmounted."""
    import mfusepy

    start, mount, after = (Path(argument) for argument in sys.argv[1:4])
    calls = type("Calls", (Lossy, mfusepy.Operations), {})
    served = calls(start, after, int(sys.argv[4]), int(sys.argv[5]))
    mfusepy.FUSE(served, str(mount), foreground=True, nothreads=True, hard_remove=True)
    after.with_suffix(".changes").write_text(str(served.changes))


if __name__ == "__main__":
    main()
