"""Fuzz: every reader over damaged files; each must be read whole or refused, at once, with nothing made.

    python benchmarks/fuzz.py [--examples 200000] [--seed 1] [--folder /dev/shm] [--reader NAME]

A file is a valid one with a few edits (bytes, lines, tokens, encodings, compression), or random
bytes. Fails when anything but `ResurveyError` is raised, when a file takes longer than a second, when
what was read cannot be written, or when a refused `init` (every 40th file) leaves anything behind.
Prints one line a reader, and exits 1 with the first failures and the files that caused them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import pyarrow as pa
import pyarrow.parquet as pq

from resurvey import loop
from resurvey.data.read import Brought, Sources, read
from resurvey.errors import ResurveyError

MEMORY = 6 << 30
SECONDS = 1.0
HANG = 20
INIT_EVERY = 40
KEPT = 5
DOCUMENTS = [
    {"id": "d1", "title": "Pump", "text": "seal and valve", "year": 2001, "brand": "Acme"},
    {"id": "d2", "title": "Rotor", "text": 'he said "turn it", twice\nand again', "year": 2002, "brand": "Ünit"},
    {"id": "d3", "title": "", "text": "rotor; bearing | gear, belt", "year": 2003, "brand": "Acme"},
]
QUERIES = [{"id": "q1", "text": "leaking seal"}, {"id": "q2", "text": "noise of the rotor"}]
GRADES = [{"query": "q1", "document": "d1", "grade": 2}, {"query": "q2", "document": "d2", "grade": 0}]
PAIRS = [
    {"query": "how to turn", "positive": "seal and valve", "negative": "d3"},
    {"query": "leaking seal", "positive": "d2", "negative": ""},
]
ANSWERS = [{"query": "q1", "passages": '["d1", "d2"]', "answer": "turn it", "reference": "turn"}]
Rows = list[dict[str, str]] | list[dict[str, str | int]] | list[dict[str, object]]
TOKENS = [
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r\n", b"\r", b"\n", b"\n\n", b"\t", b",", b";", b"|", b'"', b'""',
    b"{", b"}", b"[", b"]", b":", b"null", b"true", b"NaN", b"1e999", b"-1", b"5", b"\\ud800", b"\\u0000", b"\xe2\x80\xa8",
    b"---\n", b"<top>", b"</top>", b"<num>", b"<title>", b"<topic number=", b"# ", b"===", b"```", b"&#0;", b"&#xD800;",
    b"id", b"_id", b"text", b"title", b"query", b"score", b"metadata", b"!!python/object", b"&a [*a]", b"<<: ", b"\x1c",
    b"9" * 5000, b"[" * 3000, b"{\"a\":" * 2000, b"a" * 200_000, "\u3000\u00a0é😀".encode(),
]  # fmt: skip


def main() -> None:
    """Fuzz every reader; exits 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=200_000, help="files in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="a fast place for the files")
    parser.add_argument("--reader", default="", help="only this one")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _hanging)
    sys.setrecursionlimit(1000)
    place = arguments.folder if arguments.folder.is_dir() else None
    failures: list[str] = []
    with tempfile.TemporaryDirectory(dir=place) as folder:
        root = Path(folder)
        readers = {name: seed for name, seed in seeds(root / "good").items() if arguments.reader in ("", name)}
        each = -(-arguments.examples // len(readers))
        total = 0
        for name, seed in readers.items():
            counts, worst, failed = _fuzz(name, seed, each, arguments.seed, root)
            failures += failed
            total += sum(counts.values())
            said = ", ".join(f"{counts[key]:,} {key}" for key in ("read", "refused", "made", "not made", "failed"))
            print(f"{name:34} {each:8,} files: {said}; slowest {worst:.2f} s", flush=True)
        print(f"{total:,} files, {len(failures)} failures")
    print("\n".join(failures[:20]))
    sys.exit(1 if failures else 0)


@dataclass(frozen=True, slots=True)
class Seed:
    """One reader's valid sources, and the file among them that is damaged."""

    sources: Sources
    file: Path


def _fuzz(name: str, seed: Seed, count: int, start: int, root: Path) -> tuple[Counter[str], float, list[str]]:
    counts: Counter[str] = Counter()
    failures: list[str] = []
    worst = 0.0
    good = seed.file.read_bytes()
    for number in range(count):
        rng = random.Random(f"{start}/{name}/{number}")
        seed.file.write_bytes(damaged(good, rng))
        init = number % INIT_EVERY == 0
        signal.alarm(HANG)
        began = time.perf_counter()
        try:
            outcome = _init(seed.sources, root / "made") if init else _read(seed.sources)
        except Exception as error:  # anything else is what is looked for
            outcome = "failed"
            failures.append(_kept(name, number, seed.file, f"{type(error).__name__}: {error}", len(failures)))
        seconds = time.perf_counter() - began
        signal.alarm(0)
        if seconds > SECONDS and not init:
            failures.append(_kept(name, number, seed.file, f"took {seconds:.1f} s", len(failures)))
        worst = max(worst, seconds)
        counts[outcome] += 1
    seed.file.write_bytes(good)
    return counts, worst, failures


def _read(sources: Sources) -> str:
    try:
        brought = read(sources)
    except ResurveyError as error:
        str(error).encode()
        return "refused"
    check(brought)
    return "read"


def check(brought: Brought) -> None:
    """What was read whole can be written and named."""
    assert brought.documents
    known = {document.id for document in brought.documents}
    asked = {query.id for query in brought.queries}
    for document in brought.documents:
        document.full_text.encode()
        assert document.full_text
        assert document.id.split() == [document.id]
    for query in brought.queries:
        query.text.encode()
        assert query.text.strip()
    for rows in brought.judgments.values():
        assert all(row.query in asked and row.document in known and 0 <= row.grade <= 4 for row in rows)
    assert all(answer.query in asked and set(answer.passages) <= known for answer in brought.answers)


def _init(sources: Sources, root: Path) -> str:
    before = set(root.parent.iterdir())
    try:
        loop.init(root, sources, {"model": "bundled"})
    except ResurveyError:
        assert set(root.parent.iterdir()) == before, "something was left behind"
        return "not made"
    assert (root / "data" / "manifest.json").is_file()
    shutil.rmtree(root)
    return "made"


def _kept(name: str, number: int, file: Path, what: str, before: int) -> str:
    """The failure as a line; of the first ones the file is kept in the system's temporary folder."""
    if before >= KEPT:
        return f"{name} {number}: {what[:300]}"
    with tempfile.NamedTemporaryFile(prefix="fuzz-", suffix=file.suffix, delete=False) as kept:
        kept.write(file.read_bytes())
    return f"{name} {number}: {what[:300]} ({kept.name})"


def _hanging(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"no end after {HANG} s")


def damaged(good: bytes, rng: random.Random) -> bytes:
    """A file with one to six edits, or random bytes, or the file as it was."""
    kind = rng.random()
    if kind < 0.1:
        return rng.randbytes(rng.randrange(200))
    data = good
    if kind > 0.12:
        for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
            data = rng.choice(EDITS)(data, rng)
    if rng.random() < 0.02:
        data = gzip.compress(data)
        return data if rng.random() < 0.5 else _flip(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(TOKENS) + data[place:]


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    first = rng.randrange(len(data) + 1)
    return first, min(len(data), first + rng.choice([1, 2, 8, 40]))


def _delete(data: bytes, rng: random.Random) -> bytes:
    first, last = _span(data, rng)
    return data[:first] + data[last:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    first, last = _span(data, rng)
    return data[:last] + data[first:last] * rng.choice([1, 2, 100]) + data[last:]


def _lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    change = rng.randrange(4)
    if change == 0:
        rng.shuffle(lines)
    elif change == 1:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    elif change == 2:
        del lines[rng.randrange(len(lines))]
    return rng.choice([b"\n", b"\n", b"\r\n", b"\r"]).join(lines)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _encode(data: bytes, rng: random.Random) -> bytes:
    return data.decode("utf-8", "replace").encode(rng.choice(["utf-16", "latin-1", "utf-8-sig"]), "replace")


EDITS: list[Callable[[bytes, random.Random], bytes]] = [
    _flip, _flip, _insert, _insert, _insert, _delete, _repeat, _lines, _lines, _cut, _encode,
]  # fmt: skip


def _csv(rows: Rows, separator: str) -> bytes:
    def cell(value: object) -> str:
        return '"' + str(value).replace('"', '""') + '"' if separator != "\t" else str(value).replace("\n", " ")

    lines = [separator.join(rows[0]), *(separator.join(cell(value) for value in row.values()) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def _jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _json(rows: Rows) -> bytes:
    return json.dumps(rows, indent=1).encode()


def _parquet(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


def _arrow(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


WRITERS: dict[str, Callable[[Rows], bytes]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": lambda rows: _csv(rows, ","),
    "tsv": lambda rows: _csv(rows, "\t"),
    "parquet": _parquet,
    "": lambda rows: _csv(rows, ";"),
}
TOPICS = (
    b"<top>\n<num> Number: q1\n<title> leaking seal\n<desc> Description:\nA &amp; b\n</top>\n<top><num>q2</num>"
    b'<title>noise</title></top>\n<topic number="7"><query>a</query><question>b?</question></topic>\n'
)
PAGE = b"---\ntitle: Seals\nyear: 2020\ntags: [a, b]\ndate: 2020-01-02\n---\n# Head\n\ntext of it\n\n```\n# no\n```\n\nSub\n===\n"
QRELS, RUN = b"q1 0 d1 2\nq2 0 d2 0\n", b"q1 Q0 d1 1 2.5 old\nq1 Q0 d3 2 1.5 old\n"


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def seeds(root: Path) -> dict[str, Seed]:
    """Every reader by name: each kind of file in each format."""
    whole = Sources(_put(root / "corpus.jsonl", _jsonl(DOCUMENTS)), _put(root / "queries.jsonl", _jsonl(QUERIES)))
    found: dict[str, Seed] = {}
    for name, write in WRITERS.items():
        corpus, queries, judgments, pairs, answers = (
            _put(root / f"{kind}-{name}" / f"{kind}.{name}".rstrip("."), write(rows))
            for kind, rows in (("corpus", DOCUMENTS), ("queries", QUERIES), ("judgments", GRADES), ("pairs", PAIRS),
                               ("answers", ANSWERS))
        )  # fmt: skip
        label = name or "unnamed"
        found[f"corpus {label}"] = Seed(replace(whole, corpus=corpus), corpus)
        found[f"queries {label}"] = Seed(replace(whole, queries=queries), queries)
        found[f"judgments {label}"] = Seed(replace(whole, judgments={"": judgments}), judgments)
        found[f"pairs {label}"] = Seed(replace(whole, pairs=pairs, add_texts=name != "csv"), pairs)
        found[f"answers {label}"] = Seed(replace(whole, answers=answers, add_texts=name != "csv"), answers)
    topics, qrels = _put(root / "t.topics", TOPICS), _put(root / "j.qrels", QRELS)
    run, lines = _put(root / "r.trec", RUN), _put(root / "q.txt", b"leaking seal\nnoise\n")
    found["queries topics"] = Seed(replace(whole, queries=topics), topics)
    found["queries txt"] = Seed(replace(whole, queries=lines), lines)
    found["judgments qrels"] = Seed(replace(whole, judgments={"": qrels}), qrels)
    found["run trec"] = Seed(replace(whole, runs={"old": run}), run)
    _put(root / "pages" / "b" / "other.txt", b"plain text\n")
    for suffix in ("md", "rst", "txt"):
        page = _put(root / f"pages-{suffix}" / "a b" / f"page.{suffix}", PAGE)
        found[f"folder {suffix}"] = Seed(Sources(root / f"pages-{suffix}"), page)
    for part in ("state.json", "data-00000-of-00001.arrow"):
        saved = root / f"saved-{part[:5]}"
        _put(saved / "dataset_info.json", b"{}")
        _put(saved / "data-00000-of-00001.arrow", _arrow(DOCUMENTS))
        _put(saved / "state.json", b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": null}')
        found[f"dataset {part}"] = Seed(Sources(saved), saved / part)
    split = root / "splits"
    for side in ("train", "test"):
        _put(split / side / "data.arrow", _arrow(GRADES[:1] if side == "train" else GRADES[1:]))
        _put(split / side / "state.json", b'{"_data_files": [{"filename": "data.arrow"}]}')
    listed = _put(split / "dataset_dict.json", b'{"splits": ["train", "test"]}')
    found["dataset splits"] = Seed(replace(whole, judgments={"": split}), listed)
    return found


if __name__ == "__main__":
    main()
