"""Limits: how many requests a key may send. A token bucket for each, shared by all workers of a service.

A bucket refills at the rate and holds twice as many tokens as a second brings, at least one. Buckets lie in one small
file that the workers map; keys whose hashes fall into one place share a bucket. Knows nothing about HTTP.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

PLACES = 4096
BUCKET = struct.Struct("dd")
BURST = 2.0


class Buckets:
    """Buckets of one service; `path` is the file that several workers share, None for one alone."""

    def __init__(self, rate: float, path: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.most = max(1.0, BURST * rate)
        self._clock = clock
        self._file = -1
        size = PLACES * BUCKET.size
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(self._file, size)
        self._map = mmap.mmap(self._file, size)

    def wait(self, key: str) -> float:
        """Seconds until the key may send a request; 0 where it may now, which is counted."""
        if self.rate <= 0:
            return 0.0
        at = zlib.crc32(key.encode()) % PLACES * BUCKET.size
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            now = self._clock()
            tokens, then = BUCKET.unpack_from(self._map, at)
            tokens = self.most if then == 0 else min(self.most, tokens + max(0.0, now - then) * self.rate)
            missing = max(0.0, 1.0 - tokens)
            BUCKET.pack_into(self._map, at, tokens - (not missing), now)
        finally:
            if self._file >= 0:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        return missing / self.rate
