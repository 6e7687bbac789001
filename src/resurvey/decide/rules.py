"""The rules: one literal row each, from what was measured to what to do, or not to do (R40).

Order: the dense branch is settled before others join it, candidates before their order; within
that, larger expected gain first. Where the seed articles disagree, the row says what it overrides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resurvey.search.memory import ASKED_AGAIN
from resurvey.types import Diagnosis

OPEN_BASES = ("BAAI/bge-base-en-v1.5", "intfloat/multilingual-e5-base")
"""Open encoders that train well on a CPU or one GPU (both MIT licensed): English, and a hundred languages."""
RANKING_LIMITED = 20
"""Percent of the queries whose right document is in the top 20 but not first, from which a reranker is worth its time."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may look at beside the findings."""

    diagnosis: Diagnosis
    documents: int
    passages: int
    long_documents: int
    judged: int
    """Judged training queries; 0 where stand-ins serve."""
    asked_again: float = 1.0
    """Share of the judged queries that share a document with another."""
    surplus: int = 0
    """Judged training queries beyond those that treatments are tried on."""
    weights: bool = True
    """Whether the encoder's weights are here, so that it could be trained; those of an endpoint are not."""
    fields: int = 0
    """Metadata fields that documents carry."""
    reranker: bool = False
    """Whether a reranker is configured."""
    encoders: int = 0
    """Other encoders that the settings name."""
    teacher: bool = False
    """Whether somebody is configured whom the encoder could learn from."""

    def value(self, id: str, default: float = 0.0) -> float:
        """A finding's value, or the default where it was not measured."""
        found = self.diagnosis.value(id)
        return default if found is None else found


@dataclass(frozen=True, slots=True)
class Rule:
    """When `when` holds, `treatment` is planned (or, in AVOID, advised against) for `reason`."""

    treatment: str
    phase: int
    when: Callable[[Facts], bool]
    reason: Callable[[Facts], str]
    expected: tuple[float, float] = (0, 0)
    """Points of NDCG@10, from and to, as measured on six collections (docs/decisions.md)."""
    cost: str = ""
    source: str = ""
    overrides: str = ""


RULES: tuple[Rule, ...] = (
    Rule(
        "passages",
        1,
        lambda f: f.passages > f.documents,
        lambda f: f"{f.documents} documents make {f.passages} passages; what one vector cannot hold, it cannot find",
        (0, 3),
        "one vector a passage",
        "article B, measured on two collections",
    ),
    Rule(
        "encoder",
        2,
        lambda f: f.encoders > 0 and f.judged > 0,
        lambda f: f"{f.encoders} other encoders are named; {f.judged} judged queries tell which one your corpus wants",
        (-10, 10),
        "every passage embedded again, once for each",
        "R41, article A",
        overrides="articles A and E change the model by its place on a leaderboard; a leaderboard is not your corpus",
    ),
    Rule(
        "center",
        2,
        lambda f: f.value("R10-spread", 1.0) < 0.2 or f.value("R12-hubs") > 0 or f.value("R11-rogue") > 0.2,
        lambda f: f"random pairs spread by {f.value('R10-spread'):.2f}, {f.value('R12-hubs'):.0f} hubs",
        (-4, 1),
        "seconds, no re-embedding",
        "article A",
        overrides="article A expects an improvement often; measured, it harmed five of six collections",
    ),
    Rule(
        "contrast",
        3,
        lambda f: f.weights and f.judged >= 100,
        lambda f: (
            f"{f.judged + f.surplus} judged queries can teach the encoder; dense search reaches NDCG@10 {f.value('R19-quality'):.2f}"
        ),
        (1, 20),
        "about ten minutes of training on two cores, and every passage embedded again",
        "articles A, C, D, E, measured on five collections",
        overrides="article C asks for 10,000 pairs first; measured, a few hundred already pay",
    ),
    Rule(
        "remine",
        3,
        lambda f: f.weights and f.judged >= 100,
        lambda f: (
            f"what {f.judged + f.surplus} judged queries taught once leaves other passages too high; they are mined again"
        ),
        (0, 2),
        "as long as the first round",
        "articles C and E (two or three rounds)",
    ),
    Rule(
        "synthetic",
        3,
        lambda f: f.weights and f.judged >= 100,
        lambda f: (
            f"{f.judged + f.surplus} judged queries name some of your {f.documents} documents; made ones name others"
        ),
        (-1, 2),
        "as long as the first round, or up to twice that",
        "articles A, C and E",
        overrides="article E trains on thousands of made queries first; measured, they gain little beside judged ones",
    ),
    Rule(
        "pretrain",
        3,
        lambda f: f.weights and f.judged >= 100 and f.passages >= 500,
        lambda f: f"{f.passages} passages hold the words of your field, whoever asks",
        (-1, 2),
        "about ten minutes on two cores, and the first round again",
        "article D; Gururangan et al. 2020",
    ),
    Rule(
        "distil",
        3,
        lambda f: f.weights and f.judged >= 100 and f.teacher,
        lambda f: (
            f"a teacher is configured; {f.judged + f.surplus} judged queries and what it says of their candidates"
        ),
        (-1, 3),
        "the teacher's time for nine texts a query, and as long as the first round",
        "article E; Hofstätter et al. 2020",
        overrides="article E distils from whatever is larger; a teacher that orders your candidates no better is refused",
    ),
    Rule(
        "adapter",
        4,
        lambda f: f.judged >= 40,
        lambda f: f"{f.judged} judged queries show where yours point and where their answers lie; a linear map between",
        (0, 18),
        "seconds to fit, nothing to re-index, one small product a query",
        "measured on three collections",
    ),
    Rule(
        "hybrid",
        5,
        lambda f: f.documents > 0,
        lambda f: f"RRF changes dense by {f.value('R16-lift'):+.1f} points; a learned weight can also refuse to fuse",
        (0, 12),
        "5 ms a query",
        "article D; Bruch et al. 2023",
        overrides="article D fuses always and with equal weights; measured, that costs up to 11 points",
    ),
    Rule(
        "identifiers",
        6,
        lambda f: f.value("R14-queries", f.value("R14-corpus")) > 0,
        lambda f: (
            f"{f.value('R14-queries', f.value('R14-corpus')):.2f} % of the tokens mix letters and digits; "
            "a stemmer parts such codes, so they are searched whole beside the words"
        ),
        (0, 2),
        "an index column, a tenth of a millisecond a query",
        "article D, measured on five collections",
        overrides="article D drops tokens with punctuation; one mixed stream costs up to 1 point",
    ),
    Rule(
        "rewrite",
        7,
        lambda f: f.documents > 0,
        lambda f: (
            f"who asks and who writes word things differently; of {f.documents} documents some explain their own acronyms"
        ),
        (0, 1),
        "a second search of every query that is rewritten",
        "article D, measured on five collections",
        overrides="articles D and E rewrite every query and promise 3 to 5 points; measured, it gains where queries hold acronyms",
    ),
    Rule(
        "ranker",
        8,
        lambda f: f.judged >= 40,
        lambda f: (
            f"for {f.value('R18-ranking'):.0f} % of the queries the right document is in the top 20 but not first"
        ),
        (1, 10),
        "seconds to train, milliseconds a query",
        "article C (reranking), R92",
        overrides="article D puts fine-tuning before reranking; this reranker needs no training of an encoder",
    ),
    Rule(
        "memory",
        9,
        lambda f: f.judged >= 40 and f.asked_again >= ASKED_AGAIN,
        lambda f: f"{f.judged} judged queries tell which documents answer what; new queries resemble them",
        (0, 17),
        "the ranker's, and one product with the judged queries' vectors",
        "measured on three collections",
    ),
    Rule(
        "metadata",
        12,
        lambda f: f.judged >= 40 and f.fields > 0,
        lambda f: f"documents carry {f.fields} fields; judged queries show which values people want",
        (0, 2),
        "seconds, microseconds a query",
        "article B (metadata), R62",
    ),
    Rule(
        "duplicates",
        13,
        lambda f: f.judged >= 40,
        lambda f: f"near-duplicates among {f.documents} documents take each other's places, and make hubs",
        (-1, 1),
        "seconds, microseconds a query",
        "R05",
    ),
    Rule(
        "reranker",
        10,
        lambda f: f.reranker and f.value("R18-ranking", RANKING_LIMITED) >= RANKING_LIMITED,
        lambda f: (
            f"a reranker is configured, and for {f.value('R18-ranking'):.0f} % of the queries the right document is "
            "in the top 20 but not first; it is tried as it is before any is trained"
        ),
        (-3, 5),
        "the latency budget of every query",
        "articles C and D",
        overrides="articles C and D rerank with full trust; alone rerankers often harm, so the weight is measured",
    ),
    Rule(
        "cross-encoder",
        11,
        lambda f: f.judged >= 200 and f.value("R18-ranking") >= RANKING_LIMITED,
        lambda f: (
            f"{f.judged} judged queries can teach one, and for {f.value('R18-ranking'):.0f} % of them the right "
            "document is in the top 20 but not first"
        ),
        (0, 5),
        "up to half an hour to train, the latency budget of every query",
        "articles C and D",
    ),
)

AVOID: tuple[Rule, ...] = (
    Rule(
        "training this encoder",
        0,
        lambda f: not f.weights,
        lambda f: (
            f"its weights are behind an endpoint; all rungs that need none run on your {f.documents} documents. "
            f"To train, init anew with an open base, --model {OPEN_BASES[0]} (or {OPEN_BASES[1]} for languages besides English), and compare"
        ),
        source="R07",
    ),
    Rule(
        "memory of judged queries",
        0,
        lambda f: f.judged >= 40 and f.asked_again < ASKED_AGAIN,
        lambda f: (
            f"only {100 * f.asked_again:.0f} % of the judged queries share a document with another, and from "
            f"{100 * ASKED_AGAIN:.0f} % on they tell about new ones"
        ),
        source="docs/decisions.md",
    ),
    Rule(
        "equal-weight fusion",
        0,
        lambda f: f.value("R16-lift") < 0 and f.judged > 0,
        lambda f: f"RRF costs {-f.value('R16-lift'):.1f} points here",
        source="overrules article D, which fuses everywhere",
    ),
    Rule(
        "tuning the vector index",
        0,
        lambda f: 0 < f.value("R18-recall", 1.0) < 0.95 and f.judged > 0,
        lambda f: (
            f"exact search finds only {100 * f.value('R18-recall'):.0f} % within 100; no index setting finds more"
        ),
        source="article A",
    ),
    Rule(
        "prompt tuning",
        0,
        lambda f: f.judged > 0 and f.value("R19-quality", 1.0) < 0.6,
        lambda f: f"NDCG@10 is {f.value('R19-quality'):.2f} before any prompt sees a passage",
        source="article A",
    ),
    Rule(
        "a ranker trained on stand-in queries",
        0,
        lambda f: f.judged == 0,
        lambda f: (
            f"measured, such rankers lose up to 60 points on real queries; judge some of your {f.documents} documents"
        ),
        source="docs/decisions.md",
    ),
)
