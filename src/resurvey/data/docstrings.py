"""A collection every machine has: the API reference of packages installed beside this one.

A query is the summary line of a docstring; its document is the name, the signature and the rest of
the documentation without that line. Real text, real jargon, literal names, and three packages'
worth of sides, so that nothing tested was written by those who wrote what was trained on. Knows
nothing about what is done with it.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resurvey.types import Progress, silent

STANDARD = (
    "argparse array ast asyncio base64 bisect calendar codecs collections concurrent.futures configparser contextlib "
    "copy csv dataclasses datetime decimal difflib email.message enum fractions functools glob hashlib heapq html "
    "http.client inspect io ipaddress itertools json linecache locale logging math multiprocessing operator os "
    "os.path pathlib pickle pprint queue random re sched secrets shelve shutil signal socket sqlite3 statistics "
    "string struct subprocess tarfile tempfile textwrap threading time timeit tokenize traceback types typing "
    "unicodedata unittest unittest.mock urllib.parse urllib.request uuid warnings weakref xml.etree.ElementTree "
    "zipfile zlib"
)
SCIPY = (
    "cluster.hierarchy cluster.vq fft integrate interpolate io linalg ndimage optimize signal sparse sparse.csgraph "
    "sparse.linalg spatial spatial.distance special stats"
)
SKLEARN = (
    "cluster covariance datasets decomposition ensemble feature_extraction.text feature_selection linear_model "
    "manifold metrics metrics.pairwise mixture model_selection naive_bayes neighbors pipeline preprocessing svm tree "
    "utils"
)
NUMPY = "numpy numpy.fft numpy.lib.stride_tricks numpy.linalg numpy.ma numpy.polynomial numpy.random numpy.testing"

MODULES: dict[str, tuple[str, ...]] = {
    "train": (*STANDARD.split(), *(f"scipy.{name}" for name in SCIPY.split())),
    "dev": tuple(f"sklearn.{name}" for name in SKLEARN.split()),
    "test": tuple(NUMPY.split()),
}
"""Which side each module's entries are on: sides share no package."""

MOST = 2000
SUMMARY_WORDS, REST_WORDS = 4, 15
LONGEST = 800
"""Characters kept of one entry, up to the end of a paragraph: the demo embeds all of them on a laptop."""
SIGNATURE_LINE = re.compile(r"^[\w.]+\(.*\)(\s*->.*)?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One documented function or class: its name, signature, summary line, and the rest."""

    name: str
    signature: str
    summary: str
    rest: str
    side: str

    @property
    def package(self) -> str:
        """The package it is in."""
        return self.name.split(".")[0]


def entries(progress: Progress = silent) -> list[Entry]:
    """Every documented public name of `MODULES` with a usable summary, in a stable order."""
    found: list[Entry] = []
    seen: set[int] = set()
    modules = [(side, name) for side, names in MODULES.items() for name in names]
    for place, (side, name) in enumerate(modules):
        progress("reading documentation", place, len(modules))
        for path, thing in _public(name):
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            entry = _entry(path, thing, side)
            if entry is not None:
                found.append(entry)
    return found


def _public(name: str) -> Iterator[tuple[str, Any]]:
    """Dotted names and things: what a module offers, and the public methods of its classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = importlib.import_module(name)
        except ImportError:
            return
        for key in sorted(getattr(module, "__all__", None) or vars(module)):
            try:
                thing = getattr(module, key, None)
            except ImportError:  # a name that must be enabled first
                continue
            if key.startswith("_") or not callable(thing):
                continue
            yield f"{name}.{key}", thing
            if inspect.isclass(thing):
                methods = ((k, inspect.unwrap(v)) for k, v in vars(thing).items() if callable(v))
                yield from ((f"{name}.{key}.{k}", v) for k, v in methods if not k.startswith("_"))


def _entry(name: str, thing: Any, side: str) -> Entry | None:
    paragraphs = re.split(r"\n\s*\n", (inspect.getdoc(thing) or "").strip())
    signature = _signature(thing)
    while len(paragraphs) > 1 and SIGNATURE_LINE.match(paragraphs[0]):  # written in C: the first line is the signature
        signature = signature or paragraphs[0][paragraphs[0].index("(") :]
        paragraphs = paragraphs[1:]
    summary = " ".join(paragraphs[0].split())
    rest = _first(paragraphs[1:])
    if len(summary.split()) < SUMMARY_WORDS or len(rest.split()) < REST_WORDS:
        return None
    return Entry(name, signature, summary, rest, side)


def _signature(thing: Any) -> str:
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return ""
    return re.sub(r" at 0x[0-9a-f]+", "", text)  # an address is another one every time


def _first(paragraphs: Sequence[str]) -> str:
    """Whole paragraphs up to `LONGEST` characters; at least one."""
    kept: list[str] = []
    for paragraph in paragraphs:
        if kept and sum(map(len, kept)) + len(paragraph) > LONGEST:
            break
        kept.append(paragraph[:LONGEST])
    return "\n\n".join(kept).strip()


def chosen(found: Sequence[Entry], most: int, seed: int) -> list[Entry]:
    """At most `most` entries, drawn at random, with equal summaries on one side only."""
    owner: dict[str, str] = {}
    for entry in found:
        owner.setdefault(entry.summary.lower(), entry.side)
    clean = [entry for entry in found if owner[entry.summary.lower()] == entry.side]
    if len(clean) <= most:
        return clean
    places = np.random.default_rng(seed).choice(len(clean), most, replace=False)
    return [clean[place] for place in sorted(places)]


def write(folder: Path, most: int = MOST, seed: int = 13, progress: Progress = silent) -> int:
    """Write the collection as a BEIR folder, whole or not at all; returns the number of documents.

    Args:
        folder: must not be there yet.
    """
    rows = chosen(entries(progress), most, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        partial.chmod(0o755)
        _write_rows(partial, rows)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return len(rows)


def _write_rows(folder: Path, rows: Sequence[Entry]) -> None:
    documents = [
        {
            "_id": e.name,
            "title": e.name,
            "text": f"{e.signature}\n\n{e.rest}".strip(),
            "metadata": {"package": e.package},
        }
        for e in rows
    ]
    asked: dict[str, str] = {}
    judged: dict[str, list[str]] = {side: [] for side in MODULES}
    for entry in rows:
        query = asked.setdefault(entry.summary.lower(), f"q{len(asked) + 1}")
        judged[entry.side].append(f"{query}\t{entry.name}\t1\n")
    text = {entry.summary.lower(): entry.summary for entry in reversed(rows)}
    queries = [{"_id": id, "text": text[summary]} for summary, id in asked.items()]
    for name, lines in (("corpus", documents), ("queries", queries)):
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(content, encoding="utf-8")
    (folder / "qrels").mkdir()
    for side, lines_ in judged.items():
        content = "query-id\tcorpus-id\tscore\n" + "".join(lines_)
        (folder / "qrels" / f"{side}.tsv").write_text(content, encoding="utf-8")
