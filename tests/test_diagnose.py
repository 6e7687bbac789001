"""Every finding on constructed cases where the truth is known; levels only where the interval allows one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from resurvey.diagnose import levels
from resurvey.diagnose.examine import Patient, examine
from resurvey.diagnose.geometry import effective_rank, random_pairs, rogue_finding, spread_finding, together
from resurvey.diagnose.hubness import hub_finding
from resurvey.diagnose.levels import BANDS, Band, band, finding
from resurvey.diagnose.retrieval import narrowness, rare_queries, retrieval_findings
from resurvey.diagnose.scores import separation_finding
from resurvey.errors import ResurveyError
from resurvey.search.builder import Builder
from resurvey.search.index import Index
from resurvey.search.recipe import BASE, LEXICAL, RRF, untouched
from resurvey.types import (
    Document,
    Finding,
    Floats,
    Interval,
    Query,
    Ranking,
    Run,
    diagnosis_from_json,
    silent,
    to_json,
)

SEED = 13


def unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def run(name: str, orders: Mapping[str, Sequence[str]]) -> Run:
    return Run(
        name,
        {q: Ranking(list(o), np.arange(len(o), 0, -1, dtype=np.float32)) for q, o in orders.items()},
    )


# levels


@pytest.mark.parametrize("row", BANDS, ids=lambda row: row.id)
def test_bands_leave_no_gap_and_worsen_in_one_direction(row: Band) -> None:
    low, high = sorted((row.healthy, row.confirmed))
    values = np.linspace(low - 1, high + 1, 4001)
    levels = [row.level(float(value)) for value in (values if row.rising else values[::-1])]
    assert set(levels) == {"healthy", "suspect", "confirmed"}
    changes = [(a, b) for a, b in itertools.pairwise(levels) if a != b]
    assert changes == [("healthy", "suspect"), ("suspect", "confirmed")]


@pytest.mark.parametrize("row", BANDS, ids=lambda row: row.id)
def test_thresholds_themselves_belong_to_the_milder_band(row: Band) -> None:
    assert row.level(row.healthy) == "healthy"
    assert row.level(row.confirmed) == "suspect"


def test_every_finding_has_its_own_band_with_a_source() -> None:
    assert len({row.id for row in BANDS}) == len(BANDS)
    assert all(row.source and row.unit for row in BANDS)


@pytest.mark.parametrize(
    ("low", "high", "level"),
    [(0.61, 0.7, "healthy"), (0.51, 0.59, "suspect"), (0.3, 0.49, "confirmed"), (0.55, 0.65, "unknown"), (0.4, 0.7, "unknown")],
)  # fmt: skip
def test_a_level_is_given_only_where_the_interval_lies_in_one_band(low: float, high: float, level: str) -> None:
    found = finding("R19-quality", (low + high) / 2, Interval(low, high), "Read.", queries=50)
    assert found.level == level
    assert ("The interval spans more than one level" in found.reading) == (level == "unknown")
    assert found.suggests == ("ranker" if level in ("suspect", "confirmed") else "")


def test_an_interval_around_a_whole_band_is_unknown_although_both_ends_are_named() -> None:
    assert finding("R19-quality", 0.55, Interval(0.45, 0.65), "").level == "unknown"


def test_how_many_more_queries_would_tell_follows_the_square_root_law() -> None:
    found = finding("R19-quality", 0.65, Interval(0.55, 0.75), "Read.", queries=50)
    assert found.reading == "Read. The interval spans more than one level; about 150 more queries would tell."
    words = finding("R14-corpus", 2.4, Interval(1.8, 3.0), "Read.", queries=100, of="documents")
    assert words.reading.endswith("about 125 more documents would tell.")
    exact = finding("R19-quality", 0.65, Interval(0.55, 0.75), "Read.", queries=50, needed=70)
    assert exact.reading.endswith("about 20 more queries would tell.")
    on_it = finding("R19-quality", 0.6001, Interval(0.5, 0.7), "Read.", queries=50)
    assert on_it.reading.endswith("; it lies on a threshold.")


def test_what_cannot_be_trusted_has_no_level_however_clear_it_looks() -> None:
    found = finding("R19-quality", 0.1, Interval(0.1, 0.1), "Read.", known=False)
    assert (found.level, found.suggests, found.reading) == ("unknown", "", "Read.")


def test_a_value_without_interval_is_levelled_by_itself() -> None:
    assert finding("R15-vocabulary", 3.0, None, "").level == "confirmed"
    assert band("R15-vocabulary").level(3.0) == "confirmed"


def test_the_users_own_thresholds_level_instead_as_long_as_they_are_in_force() -> None:
    assert finding("R12-hubs", 3, None, "").level == "suspect"
    with levels.using(levels.parse(["R12-hubs 5 10", "R18-recall 0.9 0.7"])):
        own = finding("R12-hubs", 3, None, "")
        assert (own.level, own.source) == ("healthy", levels.YOURS)
        assert finding("R18-recall", 0.75, None, "").level == "suspect"
        assert finding("R19-quality", 0.55, None, "").level == "suspect"
    assert finding("R12-hubs", 3, None, "").level == "suspect"


def test_thresholds_that_cannot_be_are_all_named_at_once() -> None:
    with pytest.raises(ResurveyError) as raised:
        levels.parse(["R99 1 2", "R12-hubs five", "R12-hubs 9 3", "R18-recall 0.7 0.9", "R12-hubs 1.2.3 4"])
    told = str(raised.value)
    assert "'R99 1 2' names no finding; there are R10-spread" in told
    assert "'R12-hubs five' must be a finding and two numbers" in told
    assert "'R12-hubs 9 3': what is healthy must lie below what is confirmed" in told
    assert "'R18-recall 0.7 0.9': what is healthy must lie above what is confirmed" in told
    assert "'R12-hubs 1.2.3 4' must be a finding and two numbers" in told


# geometry


def test_random_directions_spread_by_the_root_of_the_dimensions() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(3000, 64)))
    found = spread_finding(vectors, SEED)
    assert found.value == pytest.approx(1 / 8, rel=0.1)
    assert found.interval is not None
    assert found.value in found.interval
    assert sum(found.evidence["histogram"]) == 1000
    assert found.evidence["mean"] == pytest.approx(0, abs=0.02)
    assert found.evidence["effective_rank"] == pytest.approx(64, rel=0.05)


def test_more_pairs_are_drawn_where_a_thousand_leave_the_level_open() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(3000, 97)))  # spread by 0.1015
    found = spread_finding(vectors, SEED)
    assert (found.evidence["pairs"], found.level) == (20_000, "suspect")
    assert spread_finding(unit(np.random.default_rng(1).normal(size=(3000, 64))), SEED).evidence["pairs"] == 1000


def test_a_narrow_cone_is_confirmed_and_centring_suggested() -> None:
    rows = np.random.default_rng(1).normal(size=(500, 32)) * 0.05
    rows[:, 0] += 1
    found = spread_finding(unit(rows), SEED)
    assert found.value is not None
    assert found.value < 0.05
    assert (found.level, found.suggests) == ("confirmed", "center")
    assert found.evidence["mean"] > 0.85


@pytest.mark.parametrize(
    ("rank", "auc", "level", "says"),
    [
        (20, 0.99, "confirmed", "only 20 of 384 directions are used"),
        (
            100,
            0.99,
            "healthy",
            "Nor is it one here: 100 of 384 directions are used, and relevant documents stand above",
        ),
        (100, 0.9, "confirmed", "It may be one here: relevant documents stand above random ones 90 %"),
        (100, None, "unknown", "judged queries would tell"),
    ],
)
def test_a_narrow_spread_is_levelled_with_the_rank_and_with_what_scores_tell(
    rank: int, auc: float | None, level: str, says: str
) -> None:
    narrow = finding("R10-spread", 0.05, Interval(0.04, 0.06), "Narrow.", effective_rank=float(rank), directions=384)
    told = together(narrow, None if auc is None else finding("R10-separation", auc, Interval(auc, auc), ""))
    assert told.level == level
    assert says in told.reading
    assert bool(told.suggests) == (level == "confirmed")
    between = finding("R10-spread", 0.1, Interval(0.09, 0.11), "Narrow.", effective_rank=float(rank), directions=384)
    separated = None if auc is None else finding("R10-separation", auc, Interval(auc, auc), "")
    assert together(between, separated).level == ("unknown" if level == "confirmed" else level)
    wide = finding("R10-spread", 0.3, Interval(0.29, 0.31), "Wide.", effective_rank=2.0, directions=384)
    assert together(wide, None) == wide


def test_a_rogue_dimension_is_found_named_and_taken_away_by_centring() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(800, 64))
    healthy = rogue_finding(unit(rows + 0.5), SEED)  # narrow, and every dimension takes part in it
    assert healthy.level == "healthy"
    assert healthy.value is not None
    assert 3 / 64 < healthy.value < 0.1
    rows[:, 5] += 12
    found = rogue_finding(unit(rows), SEED)
    assert found.evidence["dimensions"][0] == 5
    assert (found.level, found.suggests) == ("confirmed", "center")
    assert found.value is not None
    assert found.value > 0.9
    assert found.evidence["after"]["centred"] < 0.25
    assert found.evidence["after"]["standardised"] < 0.25
    assert "(5, " in found.reading


def test_a_rogue_dimension_is_confirmed_in_random_halves_and_a_healthy_map_never_is() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(1000, 48)) + 0.3
    ill = rows.copy()
    ill[:, 7] += 9
    levels = {"ill": list[str](), "healthy": list[str]()}
    for _ in range(20):
        half = rng.permutation(len(rows))[:500]
        levels["ill"].append(rogue_finding(unit(ill[half]), SEED).level)
        levels["healthy"].append(rogue_finding(unit(rows[half]), SEED).level)
    assert levels["ill"].count("confirmed") >= 19
    assert "confirmed" not in levels["healthy"]


def test_pairs_are_of_different_rows() -> None:
    assert np.allclose(random_pairs(np.eye(3, dtype=np.float32), SEED), 0)
    assert random_pairs(np.eye(3, dtype=np.float32), SEED).shape == (1000,)


def test_effective_rank_counts_the_directions_that_are_used() -> None:
    rng = np.random.default_rng(2)
    flat = np.zeros((1000, 20), dtype=np.float32)
    flat[:, :4] = rng.normal(size=(1000, 4))
    assert effective_rank(flat, SEED) == pytest.approx(4, rel=0.03)
    assert effective_rank(np.ones((50, 8), dtype=np.float32), SEED) == 1.0


def separated(similar: Floats, *, known: bool = True) -> Finding:
    count = similar.shape[1]
    queries = [Query(f"q{row}", "x") for row in range(len(similar))]
    qrels = {query.id: {"d0": 1, "d1": 1, "d2": 0} for query in queries}
    return separation_finding(queries, qrels, similar, {f"d{c}": c for c in range(count)}, {}, seed=SEED, known=known)


def test_separation_is_the_area_under_the_curve_by_hand() -> None:
    # relevant: 0.8 and 0.4; others: 0.9, 0.5, 0.4, 0.1, each of which 200 draws surely hit
    found = separated(np.array([[0.8, 0.4, 0.9, 0.5, 0.4, 0.1]] * 3, dtype=np.float32))
    wins = 3 + 0 + 1 + 0.5  # 0.8 beats three; 0.4 beats one and ties with one
    assert found.value == pytest.approx(wins / 8)
    assert found.level == "confirmed"


def test_perfect_separation_is_healthy_and_reversed_is_confirmed() -> None:
    apart = np.zeros((20, 50), dtype=np.float32)
    apart[:, :2] = 1
    assert (separated(apart).value, separated(apart).level) == (1.0, "healthy")
    assert "nearly always for 100 % of the queries" in separated(apart).reading
    assert (separated(-apart).value, separated(-apart).level) == (0.0, "confirmed")
    assert separated(apart, known=False).level == "unknown"


def test_separation_without_a_judged_query_is_unknown_and_says_so() -> None:
    found = separation_finding(
        [Query("q", "x")], {"q": {"d0": 0}}, np.ones((1, 3), np.float32), {"d0": 0}, {}, seed=SEED, known=True
    )
    assert (found.value, found.level, found.reading) == (None, "unknown", "No judged query to measure it on.")


# hubness


DOCUMENTS = [Document(f"d{place}", f"text {place}", f"title {place}") for place in range(300)]


def test_what_centring_does_to_hubs_stands_beside() -> None:
    found = hub_finding(planted(120, 30), DOCUMENTS, planted(120, 0))
    assert (found.value, found.evidence["centred"]["hubs"]) == (1, 0)
    assert "Centred, 0 and skewness" in found.reading
    assert found.evidence["centred"]["skewness"] < found.evidence["skewness"]


def planted(lists: int, hub_in: int, hubs: Sequence[str] = ("d0",)) -> Run:
    """Top-10 lists of ten documents each, the hubs in the first `hub_in` of them."""
    orders = {}
    for place in range(lists):
        own = [f"d{1 + len(hubs) + (9 * place + step) % (299 - len(hubs))}" for step in range(10)]
        orders[f"q{place}"] = [*hubs, *own][:10] if place < hub_in else own
    return run("dense", orders)


def test_a_planted_hub_is_found_named_and_counted() -> None:
    found = hub_finding(planted(120, 50), DOCUMENTS)
    assert found.value == 1
    assert found.evidence["hubs"] == [{"document": "d0", "title": "title 0", "lists": 50}]
    assert "1 documents are in more than 20 % of 120 top-10 lists: 'title 0'" in found.reading
    assert found.level == "suspect"
    assert found.evidence["skewness"] > 2


def test_a_document_near_a_fifth_of_the_lists_is_a_hub_only_when_enough_lists_say_so() -> None:
    near = hub_finding(planted(120, 30), DOCUMENTS)
    assert near.value == 1
    assert near.interval == Interval(0, 1)
    assert near.level == "unknown"
    assert "about 126 more queries would tell" in near.reading  # 1.96² × .2 × .8 / .05² = 246
    more = hub_finding(planted(480, 120), DOCUMENTS)
    assert (more.interval, more.level) == (Interval(1, 1), "suspect")
    none = hub_finding(planted(480, 48), DOCUMENTS)
    assert (none.interval, none.level) == (Interval(0, 0), "healthy")


def test_hubs_that_say_the_same_are_counted_and_evenness_is_the_robin_hood_index() -> None:
    even = {f"q{p}": [f"d{(10 * p + s) % 120}" for s in range(10)] for p in range(120)}
    some = DOCUMENTS[:120]
    assert hub_finding(run("dense", even), some).evidence["robin_hood"] == 0
    same = [f"d{s}" for s in range(10)]
    found = hub_finding(run("dense", {f"q{p}": same for p in range(120)}), some)
    assert found.evidence["robin_hood"] == pytest.approx(1 - 10 / 120)
    text = "how to open the valve of the pump and close it again"
    alike = [Document(d.id, text if d.id in ("d3", "d4") else f"{d.id} {text[::-1]}", d.title) for d in some]
    alike = [dataclasses.replace(d, title="") for d in alike]
    other = [
        dataclasses.replace(d, text=" ".join(f"{d.id}{w}" for w in range(9))) if d.id not in ("d3", "d4") else d
        for d in alike
    ]
    told = hub_finding(run("dense", {f"q{p}": same for p in range(120)}), other)
    assert told.evidence["near_duplicates"] == 2
    assert "2 of the hubs are near-duplicates" in told.reading
    assert "Hubs have 9 words" in told.reading


def test_a_document_in_exactly_a_fifth_of_the_lists_is_no_hub() -> None:
    found = hub_finding(planted(120, 24), DOCUMENTS)
    assert (found.value, found.level, found.evidence["hubs"]) == (0, "unknown", [])
    assert "it lies on a threshold" in found.reading


def test_only_the_first_ten_make_a_hub() -> None:
    orders = {f"q{p}": [f"d{1 + (10 * p + s) % 299}" for s in range(10)] + ["d0"] for p in range(120)}
    assert hub_finding(run("dense", orders), DOCUMENTS).value == 0


def test_every_hub_counts_although_only_the_largest_are_listed() -> None:
    orders = {f"q{p}": [f"d{(p * 10 + s) % 30}" for s in range(10)] for p in range(120)}  # 30 hubs in a third each
    found = hub_finding(run("dense", orders), DOCUMENTS)
    assert found.value == 30
    assert len(found.evidence["hubs"]) == 20
    assert found.level == "confirmed"
    assert found.evidence["orphans"] == pytest.approx(0.9)


def test_fewer_than_a_hundred_lists_are_too_few_for_a_level() -> None:
    found = hub_finding(planted(99, 60), DOCUMENTS)
    assert (found.value, found.level) == (1, "unknown")
    assert "99 queries are fewer than the 100 this needs: 1 more would tell." in found.reading
    assert hub_finding(planted(100, 60), DOCUMENTS).level == "suspect"


# retrieval


def ranks(wanted: Sequence[int | None], depth: int = 30) -> Run:
    """Query q<n> has its document d<n> at the given rank, or nowhere."""
    orders = {}
    for place, rank in enumerate(wanted):
        order = [f"x{step}" for step in range(depth)]
        if rank is not None:
            order[rank - 1] = f"d{place}"
        orders[f"q{place}"] = order
    return run("any", orders)


def measured(
    dense: Sequence[int | None], lexical: Sequence[int | None], fused: Sequence[int | None],
    rare: frozenset[str] = frozenset(), *, known: bool = True, documents: int = 10_000,
) -> dict[str, Finding]:  # fmt: skip
    queries = [Query(f"q{place}", "x") for place in range(len(dense))]
    qrels = {query.id: {f"d{query.id[1:]}": 1} for query in queries}
    runs = {"dense": ranks(dense), "lexical": ranks(lexical), "fused": ranks(fused)}
    return {found.id: found for found in retrieval_findings(runs, queries, qrels, rare, known, documents)}


def test_lift_has_the_sign_of_what_fusion_changes() -> None:
    up = measured([2] * 30, [1] * 30, [1] * 30)["R16-lift"]
    down = measured([1] * 30, [9] * 30, [2] * 30)["R16-lift"]
    gain = 100 * (1 - 1 / np.log2(3))
    assert up.value == pytest.approx(gain)
    assert down.value == pytest.approx(-gain)
    assert (up.level, down.level) == ("confirmed", "healthy")
    assert "Do not fuse with equal weights: it harms here, by 36.9 to 36.9 points." in down.reading
    assert "harms" not in up.reading
    unsure = measured([1] * 29 + [9], [9] * 30, [1] * 28 + [9, 1])["R16-lift"]
    assert "harms" not in unsure.reading
    assert up.evidence["mean_rank"] == {"dense": 2.0, "lexical": 1.0, "fused": 1.0}


def test_a_document_that_is_nowhere_counts_as_rank_101() -> None:
    assert measured([None] * 12, [1] * 12, [1] * 12)["R16-lift"].evidence["mean_rank"]["dense"] == 101.0


def test_literal_lift_is_measured_where_the_rare_tokens_are() -> None:
    rare = frozenset(f"q{place}" for place in range(15))
    found = measured([2] * 40, [1] * 40, [1] * 15 + [2] * 25, rare)["R17-literal-lift"]
    assert found.value == pytest.approx(100 * (1 - 1 / np.log2(3)))
    assert found.evidence["rest"] == pytest.approx(0)
    assert "+36.9 (+36.9 to +36.9) points over 15 queries with literal or rare tokens" in found.reading
    assert "+0.0 (+0.0 to +0.0) over the other 25." in found.reading
    assert "The lift is where the rare tokens are: hybrid first." in found.reading
    everywhere = measured([2] * 40, [1] * 40, [1] * 40, rare)["R17-literal-lift"]
    assert "The lift is everywhere" in everywhere.reading
    nowhere = measured([1] * 40, [1] * 40, [1] * 40, rare)["R17-literal-lift"]
    assert "No lift where rare tokens are" in nowhere.reading


def test_where_the_lift_is_is_said_only_as_far_as_the_intervals_tell() -> None:
    rare = frozenset(f"q{place}" for place in range(15))
    scattered = measured([2, 1] * 20, [1] * 40, [1, 2] * 20, rare)["R17-literal-lift"]
    assert "Whether words add anything there, so few queries cannot tell." in scattered.reading
    some = [2] * 15 + [2, 1] * 12 + [2]
    fused = [1] * 15 + [1, 2] * 12 + [1]
    beside = measured(some, [1] * 40, fused, rare)["R17-literal-lift"]
    assert "The lift is where the rare tokens are" in beside.reading
    half = measured([2] * 40, [1] * 40, [1, 2, 2] * 5 + [1, 2, 2] * 8 + [2], rare)["R17-literal-lift"]
    assert "The lift is everywhere" in half.reading


def test_too_few_rare_queries_are_not_measured() -> None:
    found = measured([2] * 40, [1] * 40, [1] * 40, frozenset(f"q{p}" for p in range(9)))["R17-literal-lift"]
    assert (found.value, found.level) == (None, "unknown")
    assert found.reading.startswith("Only 9 queries hold literal or rare tokens, too few to measure (at least 1 more")


def test_recall_counts_what_is_found_at_all() -> None:
    found = measured([1] * 90 + [None] * 10, [1] * 100, [1] * 100)["R18-recall"]
    assert found.value == pytest.approx(0.9)
    assert found.reading.startswith("90.0 % of the relevant documents are among the first 100")


def test_what_a_better_order_can_win_is_in_the_top_twenty_but_not_first() -> None:
    found = measured([1] * 40 + [2] * 20 + [20] * 20 + [21] * 10 + [None] * 10, [1] * 100, [1] * 100)["R18-ranking"]
    assert found.value == pytest.approx(40)
    assert found.reading.startswith("For 40 % of the queries")


def test_quality_is_the_untouched_dense_search_with_the_others_beside() -> None:
    found = measured([1] * 50, [2] * 50, [None] * 50)["R19-quality"]
    assert (found.value, found.level) == (1.0, "healthy")
    assert found.evidence["means"] == {"dense": 1.0, "lexical": 0.6309, "fused": 0.0}


def test_stand_in_queries_level_nothing_about_retrieval() -> None:
    rare = frozenset(f"q{place}" for place in range(20))
    found = measured([None] * 40, [1] * 40, [1] * 40, rare, known=False)
    assert {f.level for f in found.values()} == {"unknown"}
    assert {f.suggests for f in found.values()} == {""}
    levels = {f.id: f.level for f in measured([None] * 40, [1] * 40, [1] * 40, rare).values()}
    assert levels["R19-quality"] == levels["R16-lift"] == levels["R18-recall"] == "confirmed"


COUNTS = {"common": 30, "word": 30, "everywher": 30, "flang": 2, "seal": 3}


def test_rare_queries_hold_a_code_or_a_word_of_few_passages() -> None:
    queries = [Query("rare", "the flanges"), Query("known", "common seals"), Query("code", "Words F33.1"),
               Query("absent", "common unicorn"), Query("plain", "words everywhere")]  # fmt: skip
    assert rare_queries(queries, lambda stem: COUNTS.get(stem, 0), 30, "english") == {"rare", "code"}
    assert rare_queries(queries, lambda stem: COUNTS.get(stem, 0), 3000, "english") == {"rare", "code", "known"}


def test_narrow_queries_have_rare_words() -> None:
    queries = [Query("narrow", "the flanges"), Query("broad", "common words"), Query("both", "common flanges unicorn"),
               Query("neither", "a unicorn")]  # fmt: skip
    found = narrowness(queries, lambda stem: COUNTS.get(stem, 0), 30, "english")
    assert found == pytest.approx({"narrow": np.log(15), "broad": 0, "both": np.log(15) / 2})


def test_scores_of_narrow_and_broad_queries_stand_side_by_side() -> None:
    """Narrow queries find one document and broad ones many alike: their best cosines fall by more."""
    count = 60
    similar = np.full((count, 40), 0.1, dtype=np.float32)
    similar[: count // 2, 0] = 0.9
    similar[count // 2 :, :20] = 0.5
    queries = [Query(f"q{p}", f"text {p}") for p in range(count)]
    qrels = {q.id: {"d0": 1} for q in queries}
    narrow = {q.id: float(place < count // 2) for place, q in enumerate(queries)}
    rows = {f"d{c}": c for c in range(40)}
    found = separation_finding(queries, qrels, similar, rows, narrow, seed=SEED, known=True)
    thirds = found.evidence["thirds"]
    assert (thirds["narrow"]["queries"], thirds["broad"]["queries"]) == (20, 20)
    assert (thirds["narrow"]["first"], thirds["narrow"]["fall"]) == pytest.approx((0.9, 0.8))
    assert (thirds["broad"]["first"], thirds["broad"]["fall"]) == pytest.approx((0.5, 0.0))
    assert "Narrow queries reach 0.90 and fall by 0.80" in found.reading
    few = separation_finding(queries[:29], qrels, similar[:29], rows, narrow, seed=SEED, known=True)
    assert few.evidence["thirds"] == {}


def test_cosines_of_relevant_and_random_passages_overlap_by_their_shared_area() -> None:
    rows = {f"d{c}": c for c in range(6)}
    queries, qrels = [Query("q", "x"), Query("r", "y")], {"q": {"d0": 1}, "r": {"d0": 1}}
    apart = np.array([[0.9, 0.1, 0.1, 0.1, 0.1, 0.1]] * 2, dtype=np.float32)
    half = apart.copy()
    half[1, 0] = 0.1
    overlaps = [
        separation_finding(queries, qrels, similar, rows, {}, seed=SEED, known=True).evidence["overlap"]
        for similar in (apart, half, np.full_like(apart, 0.1))
    ]
    assert overlaps == [0, 0.5, 1]


# the whole examination


@pytest.fixture
def patient(index: Index, builder: Builder, queries: tuple[Query, ...], qrels: dict[str, dict[str, int]]) -> Patient:
    nodes = untouched(20)
    runs = {name: builder.node(nodes[key]).search(queries) for name, key in (("dense", BASE), ("lexical", LEXICAL), ("fused", RRF))}  # fmt: skip
    return Patient(index, queries, qrels, runs, standin=False, seed=SEED)


def test_an_examination_takes_every_finding_of_the_table_once(patient: Patient) -> None:
    diagnosis = examine(patient, silent)
    assert sorted(f.id for f in diagnosis.findings) == sorted(row.id for row in BANDS)
    assert diagnosis.judged_by == "judgments"
    assert all(f.reading and f.title for f in diagnosis.findings)
    assert diagnosis["R16-lift"].level == "confirmed"  # BM25 beats a random encoder
    assert diagnosis["R16-lift"] in diagnosis.confirmed()


def test_an_examination_is_deterministic_and_survives_json(patient: Patient) -> None:
    diagnosis = examine(patient, silent)
    assert to_json(examine(patient, silent)) == to_json(diagnosis)
    assert diagnosis_from_json(to_json(diagnosis)) == diagnosis


def test_with_stand_ins_nothing_about_quality_is_levelled(patient: Patient) -> None:
    diagnosis = examine(dataclasses.replace(patient, standin=True), silent)
    by_quality = [f for f in diagnosis.findings if f.id[:3] in ("R16", "R17", "R18", "R19") or f.id == "R10-separation"]
    assert len(by_quality) == 6
    assert {f.level for f in by_quality} == {"unknown"}
    assert diagnosis.judged_by == "stand-in queries"
    assert diagnosis.value("R14-queries") is None
    assert diagnosis["R14-corpus"].level != "unknown"


def test_without_queries_only_the_corpus_is_examined(patient: Patient) -> None:
    diagnosis = examine(dataclasses.replace(patient, queries=(), standin=True), silent)
    assert [f.id for f in diagnosis.findings] == [
        "R14-corpus",
        "R15-vocabulary",
        "R10-spread",
        "R11-rogue",
        "R13-collision",
    ]


def test_in_a_small_corpus_neither_recall_nor_hubs_are_levelled() -> None:
    small = measured([1] * 30, [1] * 30, [1] * 30, documents=64)["R18-recall"]
    assert small.level == "unknown"
    assert "With 64 documents in all, that says nothing." in small.reading
    assert measured([1] * 30, [1] * 30, [1] * 30)["R18-recall"].level == "healthy"
    documents = [Document(f"d{place}", "text") for place in range(64)]
    rankings = {
        f"q{place}": Ranking([f"d{step}" for step in range(10)], np.zeros(10, np.float32)) for place in range(120)
    }
    found = hub_finding(Run("dense", rankings), documents)
    assert (found.value, found.level) == (10, "unknown")
    assert "chance alone puts every document in 16 %" in found.reading
