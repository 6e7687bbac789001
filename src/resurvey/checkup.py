"""The check-up before anything is embedded: what would be cut off, what is there twice, what it costs, and the checklist.

Embeds a handful of passages to time it, nothing else. Reads what `run` has found since, where it ran.
"""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np

from resurvey.data.audit import audit, code_share
from resurvey.data.chunk import Cut, cut
from resurvey.data.duplicates import duplicates
from resurvey.diagnose.checklist import Seen, checklist
from resurvey.diagnose.prompts import gain, said, wanted
from resurvey.errors import CheckRefusedError, Problem
from resurvey.promote.registry import Registry
from resurvey.protocols import Encoder
from resurvey.search.compiled import CompiledEncoder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.language import AUTO, detect, shares
from resurvey.search.scorers import LocalScorer, is_endpoint, open_scorer
from resurvey.session import Session
from resurvey.treat.duplicates import told_apart
from resurvey.types import Candidate, Json

TIMED = 48
"""Passages that are embedded to see how fast this machine is."""
SAMPLED = 2000
"""Texts of which the share of code is counted, at most."""
PAIRS = 300
"""Judged queries whose pairs with their answers are counted for a reranker, at most."""
TWINS = 5
"""Clusters of near-duplicates that are named."""


def check(session: Session) -> Json:
    """All facts of the check-up; `refused` says whether documents would be cut off without a word."""
    documents, queries = session.collection.documents, tuple(session.collection.queries.values())
    encoder, settings, progress = session.encoder, session.settings, session.progress
    progress("counting tokens", 0, 4)
    texts = [document.full_text for document in documents]
    of_documents = audit([(d.id, text) for d, text in zip(documents, texts, strict=True)], encoder)
    of_queries = audit([(query.id, query.text) for query in queries], encoder)
    parts = cut(documents, encoder, settings.integer("passage_tokens"))
    progress("looking for near-duplicates", 1, 4)
    language = settings.text("language")
    language = detect(texts, settings.integer("seed")) if language == AUTO else language
    twins = duplicates(documents, lambda document: told_apart(document, language))
    progress("timing", 3, 4)
    cost = _cost(encoder, parts, settings.integer("seed"))
    judged = sum(len(session.collection.judged(side)) for side in ("train", "dev"))
    tried = {candidate.treatment: candidate for candidate in Registry(session.workspace).all()}
    seen = Seen(
        encoder=encoder.name,
        limit=encoder.max_tokens,
        limit_known=bool(getattr(encoder, "limit_known", True)),
        prompts=bool(encoder.prompt("query") or encoder.prompt("passage")),
        documents_over=of_documents.over,
        queries_over=of_queries.over,
        lost=of_documents.lost,
        passage_tokens=min(settings.integer("passage_tokens") or encoder.max_tokens, encoder.max_tokens),
        splits=settings.text("rechunk") != "never",
        passages=len(parts.passages),
        seconds=cost["seconds"],
        megabytes=cost["bytes"] / 1e6,
        judged=judged,
        measure=settings.text("measure"),
        compared=_verdict(tried.get("encoder")),
        trained=_verdict(tried.get("contrast")),
        prompted=_prompted(session),
        reranker=settings.text("reranker"),
        pairs=_pairs(session, parts),
    )
    return {
        "documents": len(documents),
        "encoder": encoder.name,
        "limit": encoder.max_tokens,
        "limit known": seen.limit_known,
        "truncation": {"documents": asdict(of_documents), "queries": asdict(of_queries)},
        "near-duplicates": {
            "clusters": len(twins),
            "documents": sum(len(cluster.documents) for cluster in twins),
            "largest": [list(c.documents) for c in sorted(twins, key=lambda c: -len(c.documents))[:TWINS]],
        },
        "languages": {"corpus": shares(texts), "queries": shares([query.text for query in queries])},
        "code": {"corpus": code_share(texts[:SAMPLED]), "queries": code_share(q.text for q in queries[:SAMPLED])},
        "embedding": cost,
        "checklist": checklist(seen),
        "refused": bool(of_documents.over) and seen.limit_known,
    }


def _prompted(session: Session) -> str:
    """What the encoder's prompts bring, or those that its name asks for; nothing where there are none, or no weights."""
    encoder = session.encoder
    own = encoder.prompt("query"), encoder.prompt("passage")
    wants = wanted(encoder.name)
    if not isinstance(encoder, SentenceEncoder | CompiledEncoder) or not (any(own) or wants):
        return ""
    asked = own if any(own) or wants is None else wants[1]
    session.progress("measuring prompts", 3, 4)
    found = gain(
        encoder.prompted("", ""), encoder.prompted(*asked), session.collection.judged("train", "dev"),
        session.collection.merged("train", "dev"), session.collection.documents, session.settings.integer("seed"),
    )  # fmt: skip
    return said(found)


def _pairs(session: Session, parts: Cut) -> tuple[int, int, int] | None:
    """Judged queries with the longest passage of each answer, as a local reranker would read them."""
    name = session.settings.text("reranker")
    if not name or is_endpoint(name):
        return None
    scorer = open_scorer(name, session.workspace.artefacts)
    assert isinstance(scorer, LocalScorer)
    longest: dict[str, str] = {}
    for passage, text in zip(parts.passages, parts.texts, strict=True):
        longest[passage.document] = max(longest.get(passage.document, ""), text, key=len)
    qrels = session.collection.merged("train", "dev")
    over = every = 0
    for query in session.collection.judged("train", "dev")[:PAIRS]:
        texts = [longest[d] for d, grade in qrels[query.id].items() if grade > 0 and d in longest]
        over += int((scorer.lengths(query.text, texts) > scorer.limit).sum())
        every += len(texts)
    return (over, every, scorer.limit) if every else None


def refuse(session: Session, facts: Json) -> None:
    """Say no where documents would be cut off.

    Raises:
        CheckRefusedError: with how many, how much, and what to do.
    """
    if not facts["refused"]:
        return
    root = session.workspace.root
    raise CheckRefusedError([Problem(str(root), _lost(facts))], _remedy(session))


def _lost(facts: Json) -> str:
    found = facts["truncation"]["documents"]
    share = 100 * found["lost"] / max(1, found["tokens"])
    return (
        f"{found['over']:,} of {found['texts']:,} documents are longer than the {found['limit']} tokens that "
        f"{facts['encoder']} reads; embedded whole, {found['lost']:,} tokens ({share:.1f} %) would be lost without a word"
    )


def _remedy(session: Session) -> str:
    if session.settings.text("rechunk") == "never":
        return 'set rechunk = "auto" in resurvey.toml, or bring shorter documents'
    return f"resurvey run {session.workspace.root} splits them into passages; an encoder that reads more is another way"


def _verdict(candidate: Candidate | None) -> str:
    """What a rung said, where it was tried on numbers."""
    if candidate is None or not (candidate.comparison or "points" in candidate.reason):
        return ""
    return f"{'adopted' if candidate.kept else 'not adopted'}: {candidate.reason}"


def _cost(encoder: Encoder, parts: Cut, seed: int) -> Json:
    """Seconds and bytes that embedding all passages takes, from a timed sample of all lengths."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(parts.texts))[:TIMED])
    sample = [parts.texts[place] for place in chosen]
    encoder.encode(sample[:1], "passage")
    started = time.perf_counter()
    encoder.encode(sample, "passage")
    spent = time.perf_counter() - started
    share = sum(map(len, sample)) / max(1, sum(map(len, parts.texts)))
    return {
        "passages": len(parts.passages),
        "tokens": parts.tokens,
        "seconds": round(spent / max(share, 1e-9), 1),
        "passages a second": round(len(sample) / spent, 1),
        "bytes": 4 * encoder.dimensions * len(parts.passages),
    }
