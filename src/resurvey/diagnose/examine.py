"""The examination: every diagnostic taken on one index, as one `Diagnosis`.

Knows which measurements there are and what each needs; how each is taken is its own module's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from resurvey.diagnose.codes import literal_finding
from resurvey.diagnose.collision import collision_finding
from resurvey.diagnose.failures import failures
from resurvey.diagnose.geometry import rogue_finding, spread_finding, together
from resurvey.diagnose.hubness import TOP, hub_finding
from resurvey.diagnose.metadata import metadata_finding
from resurvey.diagnose.retrieval import narrowness, rare_queries, retrieval_findings
from resurvey.diagnose.scores import separation_finding
from resurvey.diagnose.terms import choose
from resurvey.diagnose.vocabulary import vocabulary_finding, web_code
from resurvey.search.dense import Dense, similarities
from resurvey.search.fields import Fields
from resurvey.search.index import Index
from resurvey.search.store import WORDS
from resurvey.types import Diagnosis, Finding, Json, Progress, Qrels, Query, Run

JUDGMENTS, STAND_INS = "judgments", "stand-in queries"
MOST_SEPARATED = 500


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined: an index, queries with judgments, and what the untouched branches return."""

    index: Index
    queries: Sequence[Query]
    qrels: Qrels
    runs: Mapping[str, Run]
    """`lexical`, `dense` (at first truncated documents, as untouched) and `fused` (RRF of both)."""
    standin: bool
    seed: int
    rare: frozenset[str] | None = None
    """Queries with rare words; None where nobody has looked yet."""
    terms: Sequence[str] = ()
    """Words that the user wants looked at."""


def examine(patient: Patient, progress: Progress) -> Diagnosis:
    """Take every measurement. Without judgments nothing about quality is levelled."""
    index, queries = patient.index, patient.queries
    known = not patient.standin
    texts = [document.full_text for document in index.documents]
    progress("examining vocabulary", 0, 3)
    findings: list[Finding] = [literal_finding("R14-corpus", texts, "corpus")]
    if known and queries:
        findings.append(literal_finding("R14-queries", [query.text for query in queries], "queries"))
    tokenizer = index.encoder if getattr(index.encoder, "tokens_known", True) else None
    findings.append(vocabulary_finding(texts, index.language, patient.seed, tokenizer))
    progress("examining geometry", 1, 3)
    findings += [spread_finding(index.truncated, patient.seed), rogue_finding(index.truncated, patient.seed)]
    progress("reading words in their contexts", 1, 3)
    findings.append(_collision(patient))
    if queries:
        findings.append(_separation(patient, queries, "truncated"))
        progress("examining retrieval", 2, 3)
        findings += _of_runs(patient, Dense(index, "truncated", "center", TOP).search(queries))
        fields = Fields.of(index.documents)
        run, seed = patient.runs["dense"], patient.seed
        by_field = metadata_finding(run, queries, patient.qrels, fields, index.rows, seed=seed, known=known)
        if known:
            findings[-1] = replace(findings[-1], evidence=findings[-1].evidence | {"failures": _failures(patient)})
        findings.append(by_field)
    progress("examining retrieval", 3, 3)
    findings = _beside(findings)
    return Diagnosis(tuple(findings), JUDGMENTS if known else STAND_INS)


def follow_up(patient: Patient, apart: Sequence[Query]) -> list[Finding]:
    """What an accepted treatment can have changed, taken again (R22): the order, and the map where it is a new one.

    Args:
        patient: with the index as the treatment left it, and as `dense` what the pipeline now returns, out of fold.
        apart: queries that the map never learned from; empty where the map is as it was.
    """
    findings = _of_runs(patient)
    if apart:
        index = patient.index
        findings += [
            spread_finding(index.passages, patient.seed),
            rogue_finding(index.passages, patient.seed),
            _separation(patient, apart, "passages"),
        ]
    return _beside(findings)


def _beside(findings: Sequence[Finding]) -> list[Finding]:
    """The same, the spread of cosines levelled beside what else is known of the map."""
    separation = next((row for row in findings if row.id == "R10-separation"), None)
    return [together(row, separation) if row.id == "R10-spread" else row for row in findings]


def _failures(patient: Patient) -> Json:
    """Failing queries by cause; beside what a better order could win."""
    index = patient.index
    documents = {document.id: document for document in index.documents}
    return failures(patient.queries, patient.qrels, documents, patient.runs, index.encoder, index.language)


def _collision(patient: Patient) -> Finding:
    """Words that mean something else here."""
    index = patient.index
    texts, store, code = index.cut.texts, index.vectors, web_code(index.language)
    return collision_finding(
        choose(texts, code, patient.terms), texts,
        asks=lambda words: store.vectors(words, "query"), reads=lambda words: store.vectors(words, "passage"),
        finds=lambda vectors: index.nearest("passages").search(vectors, TOP)[0], passages=index.passages,
        code=code, seed=patient.seed,
    )  # fmt: skip


def _separation(patient: Patient, queries: Sequence[Query], view: str) -> Finding:
    """Whether the scores of some queries say anything."""
    index, asked = patient.index, queries[:MOST_SEPARATED]
    similar = similarities(index, asked, view, "none")
    narrow = narrowness(asked, index.postings(WORDS).count, len(index.owners), index.language)
    return separation_finding(
        asked, patient.qrels, similar, index.rows, narrow, seed=patient.seed, known=not patient.standin
    )


def rare(index: Index, queries: Sequence[Query]) -> frozenset[str]:
    """Queries with rare words or codes, by the index' own counts."""
    return rare_queries(queries, index.postings(WORDS).count, len(index.owners), index.language)


def _of_runs(patient: Patient, centred: Run | None = None) -> list[Finding]:
    """Hubs, what words would add, what limits the result, how good it is."""
    index, queries = patient.index, patient.queries
    some = patient.rare if patient.rare is not None else rare(index, queries)
    hubs = hub_finding(patient.runs["dense"], index.documents, centred)
    known = not patient.standin
    return [hubs, *retrieval_findings(patient.runs, queries, patient.qrels, some, known, len(index.documents))]
