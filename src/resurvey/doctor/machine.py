"""What the machine offers: processor, memory, disk, a file system that keeps its word, a terminal, a network's settings."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resurvey.doctor.check import Found

GIB = 2**30
LEAST_MEMORY = 1 * GIB
"""torch and the default encoder alone take about half of it."""
LEAST_DISK = 1 * GIB
FAST = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_bf16"}
"""Flags of x86 processors that the matrix libraries make use of."""
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
LOCAL_DISK = "keep the workspace on a local disk, not on a network or shared folder"


def processor() -> Iterator[Found]:
    """Cores this process may use, and the vector instructions that make embedding fast."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    info = Path("/proc/cpuinfo")
    flags = set(re.findall(r"\w+", info.read_text(errors="replace"))) & FAST if info.exists() else set()
    told = ", ".join(sorted(flags)) or "no vector instructions named"
    yield Found("processor", "ok", f"{platform.machine()}, {cores} cores, {told}", required=False)


def memory() -> Iterator[Found]:
    """Free memory; less than 1 GiB will not hold an encoder and its vectors."""
    free, whole = _memory()
    if whole is None:
        yield Found("memory", "ok", "this system does not say", required=False)
        return
    found = whole if free is None else free
    remedy = "close other programs, or give the container more memory"
    what = f"{found / GIB:.1f} GiB free of {whole / GIB:.1f}, {LEAST_MEMORY / GIB:.0f} is needed"
    yield Found("memory", "ok" if found >= LEAST_MEMORY else "wrong", what, remedy)


def _memory() -> tuple[int | None, int | None]:
    """Bytes free and in all, the container's limit counted; None where the system does not say."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None, None
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    info = Path("/proc/meminfo")
    told = re.search(r"MemAvailable:\s*(\d+) kB", info.read_text()) if info.exists() else None
    free = int(told[1]) * 1024 if told else None
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if free is not None and limit.exists() and used.exists() and (most := limit.read_text().strip()).isdigit():
        whole, free = min(whole, int(most)), min(free, int(most) - int(used.read_text()))
    return free, whole


def disk(folder: Path) -> Iterator[Found]:
    """Free room where the workspace is or would be."""
    free = shutil.disk_usage(folder).free
    what = f"{free / GIB:.1f} GiB free, {LEAST_DISK / GIB:.0f} is needed: {folder}"
    yield Found("disk", "ok" if free >= LEAST_DISK else "wrong", what, f"make room in {folder}")


def file_system(folder: Path) -> Iterator[Found]:
    """Whether locks exclude, and a replaced file is the old one or the new one: tried, not looked up."""
    name = "file system"
    try:
        probe = Path(tempfile.mkdtemp(prefix=".resurvey-doctor-", dir=folder))
    except OSError as error:
        yield Found(name, "wrong", f"{error.strerror}: {folder}", f"give yourself the right to write in {folder}")
        return
    try:
        broken = [promise for promise, kept in (("locks", _locks), ("atomic rename", _replaces)) if not kept(probe)]
    except OSError as error:
        broken = [str(error.strerror or error)]
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    if broken:
        yield Found(name, "wrong", f"no {', no '.join(broken)}: {folder}", LOCAL_DISK)
    else:
        yield Found(name, "ok", f"locks, fsync and atomic rename work: {folder}")


def _locks(probe: Path) -> bool:
    """Whether a lock that is held cannot be had a second time, and can be had again when let go."""
    import filelock

    first, second = filelock.FileLock(probe / "lock"), filelock.FileLock(probe / "lock")
    with first.acquire(timeout=0):
        try:
            second.acquire(timeout=0)
        except filelock.Timeout:
            pass
        else:
            second.release()
            return False
    with second.acquire(timeout=1):
        return True


def _replaces(probe: Path) -> bool:
    """Whether a reader keeps the old file while a new one takes its place; both are synced on the way."""
    from resurvey.workspace import write_bytes

    path = probe / "file"
    write_bytes(path, b"old")
    with path.open("rb") as reader:
        write_bytes(path, b"new")
        return reader.read() == b"old" and path.read_bytes() == b"new"


def terminal() -> Iterator[Found]:
    """What the output goes to: its width, its colours, and whether it can show every letter."""
    columns = shutil.get_terminal_size((80, 24)).columns
    shown = sys.stdout.isatty()
    plain = not shown or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    encoding = sys.stdout.encoding or "utf-8"
    what = f"{columns} columns" if shown else "no terminal, 80 columns"
    what += f", {'no colour' if plain else 'colour'}, {encoding}"
    try:
        "–…·é".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        yield Found("terminal", "wrong", f"{what} cannot show every letter", "export PYTHONUTF8=1")
        return
    yield Found("terminal", "ok", what, required=False)


def network() -> Iterator[Found]:
    """Which settings decide whether hub names can be fetched; never their values, which may hold passwords."""
    proxies = [name for name in PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    through = f"proxy settings: {', '.join(proxies)}" if proxies else "no proxy set"
    offline = any(os.environ.get(name, "").upper() in {"1", "TRUE", "YES", "ON"} for name in OFFLINE)
    hub = "hub off: only models on disk" if offline else "hub on: named models are fetched"
    yield Found("network", "ok", f"{hub}; {through}", required=False)
