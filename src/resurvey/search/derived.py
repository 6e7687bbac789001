"""Derived files: what an index computes from its vectors and can compute again, kept below one folder.

A file's name carries the key of all it was made from, so that a file that is there is the right one. Of each
kind the few used last are kept: going back to the corpus or the encoder of yesterday computes nothing anew. Knows nothing
about what is in the files.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

KEPT = 4


class Derived:
    """Files named `<kind>-<key>.<suffix>` below `folder`; those of one kind and key belong together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, kind: str, key: str, suffix: str) -> Path:
        """Where the file of this kind and key is or will be; of its kind, the keys used longest ago go."""
        name = f"{kind}-{key[:16]}"
        last: dict[str, float] = {}
        for file in self.folder.glob(f"{kind}-*"):
            with contextlib.suppress(FileNotFoundError):
                last[file.stem] = max(last.get(file.stem, 0.0), file.stat().st_mtime)
        for old in sorted((stem for stem in last if stem != name), key=lambda stem: -last[stem])[KEPT - 1 :]:
            for file in self.folder.glob(f"{old}.*"):
                file.unlink(missing_ok=True)
        for file in self.folder.glob(f"{name}.*"):
            with contextlib.suppress(FileNotFoundError):
                os.utime(file)
        return self.folder / f"{name}.{suffix}"
