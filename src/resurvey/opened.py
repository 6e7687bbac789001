"""An opened workspace: its collection, encoder, index and builder, each built when first asked for.

All that searching needs, and nothing that diagnoses, decides or trains: what serves stands on this alone. Loading the
encoder takes seconds; a command that needs none of it pays nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resurvey.errors import Problem, ResurveyError
from resurvey.types import Document, Progress, silent
from resurvey.workspace import Workspace

if TYPE_CHECKING:
    from resurvey.data.collection import Collection
    from resurvey.protocols import Encoder
    from resurvey.search.builder import Builder
    from resurvey.search.index import Index
    from resurvey.search.snapshots import Rule
    from resurvey.search.store import Store

MOST_CHECKED = 300
"""Judged queries on which int8 must rank as float32 does."""
INT8_PAYS_FROM = 4_000_000
"""Characters of a corpus from which embedding it in int8 saves more than making and checking int8 takes."""
JUDGING_PAYS_FROM = 1_500_000
"""The same for an encoder that only judges: it is calibrated and checked on less, and once."""
JUDGING_CALIBRATION, JUDGING_CHECKED = 100, 300


class Opened:
    """The collection, the encoder, the index and the builder of one workspace."""

    def __init__(self, workspace: Workspace, progress: Progress = silent, snapshot: int | None = None) -> None:
        self.workspace = workspace
        self.settings = workspace.settings
        self.progress = progress
        self.snapshot = snapshot
        """Opened exactly as it was published; None: the documents as they are now."""

    @functools.cached_property
    def brought(self) -> Collection:
        """What was brought, as it was."""
        from resurvey.data import collection

        return collection.load(self.workspace.data)

    @functools.cached_property
    def collection(self) -> Collection:
        """What was brought, with the documents as they are now."""
        from resurvey.search.corpus import current

        if self.snapshot is not None:
            return self._with(self._store.documents())
        return current(self.workspace, self.brought)

    def _with(self, documents: Sequence[Document]) -> Collection:
        from resurvey.data.collection import with_documents

        return with_documents(self.brought, documents)

    @property
    def rule(self) -> Rule:
        """How documents become passages and terms here."""
        from resurvey.search.snapshots import Rule

        tokens, language = self.settings.integer("passage_tokens"), self.settings.text("language")
        return Rule(self.encoder, self.encoder.fingerprint, tokens, language)

    @functools.cached_property
    def _store(self) -> Store:
        """The tables as a snapshot names them: the one asked for, or the one of the documents as they are now."""
        from resurvey.search.corpus import Corpus
        from resurvey.search.snapshots import advance, get
        from resurvey.search.store import Store
        from resurvey.upkeep import tidy

        corpus = Corpus(self.workspace)
        corpus.heal()
        if self.snapshot is not None:
            return Store(corpus.folder, get(corpus.folder, self.snapshot))
        state = corpus.state()
        self.progress("reading documents", 0, 1)
        snapshot = advance(corpus, state, corpus.placed(state.at), self.rule)
        opened = Store(corpus.folder, snapshot)
        tidy(self.workspace)
        return opened

    @property
    def weights(self) -> bool:
        """Whether the encoder's weights are here, so that it could be trained; those of an endpoint are not."""
        return not self.settings.text("endpoint_url")

    @functools.cached_property
    def encoder(self) -> Encoder:
        """The encoder the settings name."""
        from resurvey.search.endpoint import endpoint_of, open_endpoint

        self.progress("loading the encoder", 0, 1)
        folder = self.workspace.index / "engines"
        if (endpoint := endpoint_of(self.settings)) is not None:
            return open_endpoint(endpoint, folder)
        return self._opened(self.settings.text("model"))

    def _opened(self, name: str, *, judging: bool = False) -> Encoder:
        """A model compiled where that pays, in the precision of the settings."""
        from resurvey.search.compiled import CompiledEncoder
        from resurvey.search.encode import open_encoder

        # What was brought decides, not what it has become: a write must not change the encoder that serves.
        folder, size = self.workspace.index / "engines", sum(len(d.full_text) for d in self.brought.documents)
        engine, precision = self.settings.text("engine"), self.settings.text("precision")
        if precision == "int8":
            return self._int8(open_encoder(name, folder, engine=engine), folder)
        found = open_encoder(name, folder, engine=engine, precision=precision, characters=size)
        enough = size >= (JUDGING_PAYS_FROM if judging else INT8_PAYS_FROM)
        pays = precision == "auto" and enough and isinstance(found, CompiledEncoder)
        return self._int8(found, folder, briefly=judging and size < INT8_PAYS_FROM) if pays else found

    def _int8(self, encoder: Encoder, folder: Path, *, briefly: bool = False) -> Encoder:
        """The encoder in int8 where the user's own rankings allow it, else as it is; the lineage says which and why.

        Args:
            briefly: calibrate and check on less, and try once.
        """
        from resurvey.data.chunk import cut
        from resurvey.precision import KEPT, Evidence, int8, sample
        from resurvey.search.compiled import CompiledEncoder, refusal
        from resurvey.workspace import digest

        if not isinstance(encoder, CompiledEncoder):
            raise ResurveyError(
                [
                    Problem(
                        str(self.workspace.root),
                        "precision int8 needs the OpenVINO engine, and this model runs on torch",
                    )
                ],
                'set precision = "float32" in resurvey.toml',
            )
        tokens = self.settings.integer("passage_tokens")
        how = ("briefly",) if briefly else ()
        place = folder / digest(encoder.fingerprint, "int8", self.workspace.brought_key(), str(tokens), *how)[:16]
        new = refusal(place) is None

        def evidence() -> Evidence:
            self.progress("checking int8", 0, 1)
            parts = cut(self.collection.documents, encoder, tokens)
            owners = [passage.document for passage in parts.passages]
            queries = {query.id: query.text for query in self.collection.judged("train", "dev")[:MOST_CHECKED]}
            qrels = self.collection.merged("train", "dev")
            seed = self.settings.integer("seed")
            if not briefly:
                return parts.texts, sample(parts.texts, owners, queries, qrels, seed)
            some = parts.texts[:: max(1, len(parts.texts) // JUDGING_CALIBRATION)]
            return some[:JUDGING_CALIBRATION], sample(parts.texts, owners, queries, qrels, seed, JUDGING_CHECKED)

        found = int8(encoder, place, evidence, attempts=1 if briefly else len(KEPT))
        if new and not briefly and (why := refusal(place)) is not None:
            self.workspace.record("int8 refused", encoder=encoder.fingerprint, why=why)
        return found

    @functools.cached_property
    def index(self) -> Index:
        """The index of the corpus as it is now, or of the snapshot that was asked for.

        Raises:
            ResurveyError: when documents would be split and the settings forbid it, or the snapshot is of another encoder.
        """
        from resurvey.search.index import index_at
        from resurvey.search.snapshots import refuse_other

        documents = self._store.documents()
        if tuple(documents) != self.collection.documents:  # written between two looks
            self.__dict__["collection"] = self._with(documents)
        refuse_other(self._store.snapshot, self.encoder, self.workspace.root)
        index = index_at(self.workspace.index, self._store, documents, self.encoder, self.settings)
        long = index.cut.long_documents
        if long and self.settings.text("rechunk") == "never":
            lost = f"{long} documents are longer than a passage ({index.cut.lost_tokens} tokens would be lost), and `rechunk` is never"
            raise ResurveyError(
                [Problem(str(self.workspace.root), lost)],
                'set rechunk = "auto" in resurvey.toml, or bring shorter documents',
            )
        index.progress = self.progress
        return index

    @functools.cached_property
    def builder(self) -> Builder:
        """Builds retrievers of recipes over the index."""
        from resurvey.search.builder import Builder

        return Builder(self.index, self.workspace.artefacts, self.adapted, self.workspace.root / "state.db")

    def adapted(self, folder: Path, judging: bool = False) -> Encoder:
        """An adapted model's encoder, compiled beside the base's where that pays; in int8 sooner where it only judges."""
        return self._opened(str(folder), judging=judging)
