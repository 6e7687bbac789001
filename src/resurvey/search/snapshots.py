"""Snapshots that follow each other: the next one takes over what did not change.

Only documents whose title or text is new are cut and analysed; where metadata alone changed, not even the passages'
table is touched. The one who builds holds a lock of its own, so that writes go on meanwhile. Knows nothing about
vectors or about what is live.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resurvey.data.chunk import cut
from resurvey.errors import Problem, ResurveyError
from resurvey.protocols import Encoder, Tokenizer
from resurvey.search.analyse import fingerprint
from resurvey.search.corpus import Corpus, Head
from resurvey.search.store import (
    DOCUMENTS,
    IDENTIFIERS,
    PASSAGES,
    WORDS,
    Snapshot,
    in_use,
    lost,
    next_number,
    passage_table,
    read_snapshot,
    settled,
    snapshots,
)
from resurvey.search.tables import Tables, Version, held
from resurvey.types import Document
from resurvey.workspace import BUILDER, digest, sync

PATIENCE = 3600.0
"""Seconds that one builder waits for another."""
PART = 4
"""A table of which one in so many rows changes is written anew."""
COLUMNS = (WORDS, IDENTIFIERS)
Placed = Sequence[tuple[int, Document]]


@dataclass(frozen=True, slots=True)
class Rule:
    """How documents become passages and terms."""

    encoder: Tokenizer
    name: str
    """The encoder's fingerprint: another tokenizer cuts otherwise."""
    tokens: int
    """Of a passage at most; 0: as many as the encoder reads."""
    language: str

    @property
    def budget(self) -> int:
        """Tokens of a passage at most."""
        return min(self.tokens or self.encoder.max_tokens, self.encoder.max_tokens)

    @property
    def key(self) -> str:
        """Hash of all that decides."""
        return digest(self.name, str(self.budget), self.language, fingerprint())


@contextlib.contextmanager
def building(folder: Path, seconds: float = PATIENCE) -> Iterator[None]:
    """Hold the right to make and remove what is below `index/`, documents apart.

    Raises:
        ResurveyError: when another command has it for longer than `seconds`.
    """
    with held(folder / BUILDER, seconds):
        yield


def get(folder: Path, number: int) -> Snapshot:
    """A published snapshot.

    Raises:
        ResurveyError: when it is not there.
    """
    path = folder / "snapshots" / f"{number}.json"
    found = read_snapshot(path) if path.exists() else None
    if found is None:
        raise lost(folder, number)
    return found


def advance(corpus: Corpus, head: Head, placed: Placed, rule: Rule, *, anew: bool = False) -> Snapshot:
    """The snapshot of these documents: one that is there, or the next one, made of the last that the rule made.

    Args:
        head: the state of the corpus.
        placed: all its documents with their places, in order.
        anew: take nothing over, not even a snapshot that would do.

    Raises:
        ResurveyError: when the language has no stemmer.
    """
    folder = corpus.folder
    key, texts = digest(head.key, rule.key), digest(head.texts, rule.key)
    with building(folder):
        there = snapshots(folder)
        for snapshot in reversed(there):
            if snapshot.key == key and not anew:
                return snapshot
        heal(folder)
        alike = [snapshot for snapshot in there if snapshot.rule == rule.key and not anew]
        same = next((snapshot for snapshot in reversed(alike) if snapshot.texts == texts), None)
        if same is not None:
            language, passages = same.language, same.versions[PASSAGES]
        elif alike:
            language = alike[-1].language
            passages = _followed(corpus, alike[-1], placed, rule)
        else:
            language = settled(rule.language, [document for _, document in placed])
            parts = cut([document for _, document in placed], rule.encoder, rule.tokens)
            passages = corpus.tables.create(PASSAGES, passage_table(placed, parts, language), COLUMNS)
        versions = {DOCUMENTS: head.at, PASSAGES: passages}
        about = (language, texts, rule.key, rule.budget, head.version, rule.name)
        made = Snapshot(next_number(folder), key, versions, *about)
        publish(folder, made)
        return made


def refuse_other(snapshot: Snapshot, encoder: Encoder, root: Path) -> None:
    """Refuse to read or follow a snapshot with another encoder, as many dimensions as it may have.

    Raises:
        ResurveyError: when the snapshot was made with another one, or with the same one before its weights changed.
    """
    if snapshot.encoder in ("", encoder.fingerprint):
        return
    what = (
        f"snapshot {snapshot.number} holds vectors of encoder {snapshot.encoder[:12]}, and {encoder.name} is now "
        f"{encoder.fingerprint[:12]}: another model, or its weights, prompts or precision have changed; their spaces do not mix"
    )
    raise ResurveyError([Problem(str(root), what)], f"put that encoder back, or resurvey run {root} makes all anew")


def publish(folder: Path, made: Snapshot) -> None:
    """Tag what a snapshot names, then write it: all else is on disk already."""
    tables = Tables(folder / "lance")
    for at in made.versions.values():
        tables.tag(at, _tag(made))
    made.write(folder)
    sync(folder)


def heal(folder: Path) -> None:
    """Remove from the passages what no snapshot names: a killed builder left it. Under the builder's lock."""
    tables = Tables(folder / "lance")
    newest: dict[str, int] = {}
    for snapshot in snapshots(folder):
        at = snapshot.versions[PASSAGES]
        newest[at.table] = max(newest.get(at.table, 0), at.number)
    for name, number in newest.items():
        tables.heal(Version(name, number))


def retire(folder: Path, kept: Collection[int], head: Head | None, *, forced: bool = False) -> None:
    """Remove all snapshots but those kept, and tables that nothing names any more. Under the builder's lock.

    Args:
        forced: also what somebody reads at this moment.
    """
    tables = Tables(folder / "lance")
    left = []
    for snapshot in snapshots(folder):
        if snapshot.number in kept or (not forced and in_use(folder, snapshot.number)):
            left.append(snapshot)
            continue
        (folder / "snapshots" / f"{snapshot.number}.json").unlink(missing_ok=True)
        for at in snapshot.versions.values():
            tables.untag(at, _tag(snapshot))
    tables.drop(named(left, head))


def named(left: Sequence[Snapshot], head: Head | None) -> set[str]:
    """The tables that these snapshots and the head name; the head's last two, since somebody may be reading."""
    there = {at.table for snapshot in left for at in snapshot.versions.values()}
    began = sorted(head.tables, key=lambda name: head.tables[name]) if head else []
    return there | set(began[-2:])


def _followed(corpus: Corpus, base: Snapshot, placed: Placed, rule: Rule) -> Version:
    """The passages' table after what changed since another snapshot."""
    before = {row: (d.id, d.title, d.text) for row, d in corpus.placed(base.versions[DOCUMENTS])}
    fresh = [(row, d) for row, d in placed if before.get(row) != (d.id, d.title, d.text)]
    staying = {row for row, _ in placed} - {row for row, _ in fresh}
    gone = sorted(set(before) - staying)
    parts = cut([document for _, document in fresh], rule.encoder, rule.tokens)
    new = passage_table(fresh, parts, base.language)
    at, tables = base.versions[PASSAGES], corpus.tables
    if at.full or tables.newest(at.table) != at.number or PART * (len(gone) + len(fresh)) > len(before):
        old = tables.open(at).to_arrow()
        kept = old.filter(pc.invert(pc.is_in(old["document"], pa.array(gone, pa.int64()))))
        whole = pa.concat_tables([kept.cast(new.schema), new]).sort_by("row")
        return tables.create(PASSAGES, whole, COLUMNS)

    def remove(table: Any) -> None:
        for part in np.array_split(np.array(gone, dtype=np.int64), 1 + len(gone) // 1000):
            if len(part):
                table.delete(f"document IN ({', '.join(map(str, part.tolist()))})")

    return tables.change(at, remove, lambda table: table.add(new) if len(new) else None)


def _tag(snapshot: Snapshot) -> str:
    return f"snapshot-{snapshot.number}"


def newest(folder: Path) -> Snapshot | None:
    """The snapshot published last."""
    return next(reversed(snapshots(folder)), None)


def latest_like(folder: Path, number: int) -> int:
    """The newest snapshot that was cut and analysed as this one was, or of all where this one is gone."""
    there = snapshots(folder)
    like = next((snapshot.rule for snapshot in there if snapshot.number == number), None)
    return max((snapshot.number for snapshot in there if like in (None, snapshot.rule)), default=number)
