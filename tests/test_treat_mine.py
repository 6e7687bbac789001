"""Mining: no positive and nothing vetoed is ever a negative, margins hold, counts add up, blocks change nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resurvey.search.candidates import Keeper, Near, Plan, candidates
from resurvey.search.fuse import ReciprocalRank
from resurvey.search.nearest import Exact
from resurvey.treat.mine import cosines, in_passages, mine
from resurvey.treat.negatives import REASONS, Known, Mined, Positives, Rules, positives_of
from resurvey.types import Floats, Ints, Query


@dataclass(frozen=True)
class World:
    """A made-up corpus with judged queries; coordinates are eighths, so that sums are exact and ties happen."""

    queries: Floats
    passages: Floats
    positives: Positives
    known: Known

    def plan(self, block: int, depth: int, several: bool) -> Plan:
        other = np.ascontiguousarray(self.passages[:, ::-1])
        sources = [Near("dense", Exact(self.passages), self.queries, depth)]
        if several:
            sources.append(Near("lexical", Exact(other), self.queries, depth))
        return Plan(tuple(sources), len(self.queries), ReciprocalRank() if several else None, depth, block)

    def mined(self, rules: Rules, block: int = 7, depth: int = 12, several: bool = True) -> Mined:
        blocks = candidates(self.plan(block, depth, several))
        return mine(
            blocks, self.positives, cosines(self.queries, self.passages), rules, known=self.known, scored_by="dense"
        )


def world(seed: int, queries: int = 20, rows: int = 60, bare: bool = False) -> World:
    rng = np.random.default_rng(seed)
    passages = rng.integers(-8, 9, (rows, 6)).astype(np.float32) / 8
    passages[rows // 2 :: 5] = passages[: len(passages[rows // 2 :: 5])]  # near-duplicates
    counts = rng.integers(0, 4, queries)
    answers = [np.sort(rng.permutation(rows)[:count]) for count in counts]
    asked = np.array([passages[a].mean(axis=0) if len(a) else passages[0] for a in answers], dtype=np.float32)
    positives = Positives(np.concatenate([[0], np.cumsum(counts)]), np.concatenate(answers).astype(np.int64))
    known = Known(np.sort(rng.integers(0, rows // 2, rows)), rng.integers(0, rows, rows), passages)
    asked[::4] *= -1  # their positives are dissimilar
    return World(np.round(asked * 8) / 8, passages, positives, Known(None, None, passages) if bare else known)


RULES = st.builds(
    Rules,
    number=st.integers(1, 8),
    depth=st.integers(1, 15),
    skip_top=st.integers(0, 3),
    relative_margin=st.sampled_from([None, 0.5, 0.95, 1.0]),
    absolute_margin=st.sampled_from([None, 0.0, 0.25]),
    max_score=st.sampled_from([None, 0.5, 2.0]),
    min_score=st.sampled_from([None, -0.5, 0.1]),
    near=st.sampled_from([None, 0.5, 1.0]),
    sampling=st.sampled_from(["turns", "top", "random"]),
    seed=st.integers(0, 3),
)


def _answers(made: World, query: int) -> Ints:
    return made.positives.rows[made.positives.offsets[query] : made.positives.offsets[query + 1]]


def _allowed(made: World, query: int, row: int, rules: Rules) -> bool:
    """The rules for one pair, in plain words."""
    answers, score = _answers(made, query), float(made.queries[query] @ made.passages[row])
    if not len(answers) or row in answers:
        return False
    for label in (made.known.documents, made.known.clusters):
        if label is not None and label[row] in label[answers]:
            return False
    hardest = np.float32(min(float(made.queries[query] @ made.passages[a]) for a in answers))
    if rules.relative_margin is not None and score > hardest - abs(hardest) * np.float32(1 - rules.relative_margin):
        return False
    if rules.absolute_margin is not None and score + rules.absolute_margin > hardest:
        return False
    if rules.near is not None and (made.passages[answers] @ made.passages[row]).max() >= rules.near:
        return False
    low, high = rules.min_score, rules.max_score
    return (low is None or score >= low) and (high is None or score <= high)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 500), rules=RULES, several=st.booleans(), bare=st.booleans())
def test_negatives_are_all_that_the_rules_allow_and_no_more(seed: int, rules: Rules, several: bool, bare: bool) -> None:
    made = world(seed, bare=bare)
    found = made.mined(rules, several=several)
    (block,) = candidates(made.plan(99, 12, several))
    left = skipped = 0
    for query in range(len(made.queries)):
        here = slice(block.offsets[query], block.offsets[query + 1])
        ranks = np.where(block.ranks[:, here] > 0, block.ranks[:, here], 99).min(axis=0)
        deep = dict(zip(block.rows[here].tolist(), ranks.tolist(), strict=True))
        allowed = {row for row, rank in deep.items() if rank <= rules.depth and _allowed(made, query, row, rules)}
        taken = [row for row in found.negatives[query].tolist() if row >= 0]
        assert set(taken) <= allowed
        assert len(set(taken)) == len(taken) == min(rules.number, max(0, len(allowed) - rules.skip_top))
        skipped += min(len(allowed), rules.skip_top)
        left += len(allowed) - min(len(allowed), rules.skip_top)
        scores = [float(made.queries[query] @ made.passages[row]) for row in taken]
        assert scores == sorted(scores, reverse=True)
        assert found.scores[query, : len(taken)].tolist() == scores
        if rules.sampling != "random":
            turn = deep if rules.sampling == "turns" else dict.fromkeys(deep, 0)
            keys = [(turn[row], -float(made.queries[query] @ made.passages[row]), row) for row in allowed]
            first = sorted(keys)[rules.skip_top : rules.skip_top + rules.number]
            assert taken == [row for _, _, row in sorted(first, key=lambda key: key[1:])]
    assert (found.log["skipped"], found.log["left"]) == (skipped, left)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 500), rules=RULES, block=st.integers(1, 25), several=st.booleans())
def test_blocks_of_any_size_give_the_same(seed: int, rules: Rules, block: int, several: bool) -> None:
    made = world(seed)
    whole, parts = made.mined(rules, 99, several=several), made.mined(rules, block, several=several)
    _assert_same(whole, parts)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 500), rules=RULES)
def test_every_candidate_is_counted_once(seed: int, rules: Rules) -> None:
    found = world(seed).mined(rules)
    assert found.log["candidates"] == sum(found.log[reason] for reason in REASONS) + found.log["left"]
    assert found.log["taken"] == (found.negatives >= 0).sum() == (~np.isnan(found.scores)).sum()
    short = (found.negatives >= 0).sum(axis=1) < rules.number
    assert found.short.tolist() == np.flatnonzero(short).tolist()
    assert f"{len(found.short)} queries got fewer than {rules.number}" in str(found)
    queries, rows, negatives = found.pairs()
    assert len(queries) == len(rows) == len(negatives) == found.positives.offsets[-1]


def _assert_same(one: Mined, other: Mined) -> None:
    assert one.log == other.log
    assert one.sources == other.sources
    for name in ("negatives", "scores", "ranks", "hardest"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


def test_sources_take_turns_and_say_what_they_found() -> None:
    made = world(3)
    rules = Rules(4, relative_margin=None, near=None)
    turns, top = made.mined(rules), made.mined(replace(rules, sampling="top"))
    assert set(turns.shares) == {"dense", "lexical", "fused"}
    assert turns.shares["lexical"] > top.shares["lexical"]
    place = turns.sources.index("dense")
    seen = turns.ranks[..., place][turns.negatives >= 0]
    assert 0 < (seen > 0).mean() == turns.shares["dense"] < 1


def test_a_seed_draws_another_sample() -> None:
    made = world(4)
    rules = Rules(2, relative_margin=None, near=None, sampling="random")
    assert not np.array_equal(made.mined(rules).negatives, made.mined(replace(rules, seed=5)).negatives)


def test_a_cross_encoder_may_measure_instead() -> None:
    made = world(5)
    rules = Rules(3, relative_margin=None, absolute_margin=0.0, near=None, sampling="top")

    def backwards(queries: Ints, rows: Ints) -> Floats:
        return np.asarray(-(made.queries[queries] * made.passages[rows]).sum(axis=1), dtype=np.float32)

    found = mine(candidates(made.plan(9, 12, False)), made.positives, backwards, rules)
    some = found.negatives >= 0
    assert some.any()
    queries = np.broadcast_to(np.arange(len(made.queries))[:, None], some.shape)[some]
    assert np.array_equal(found.scores[some], backwards(queries, found.negatives[some]))
    assert (found.scores[some] <= found.hardest[queries]).all()


def test_rules_nobody_can_keep_are_refused_together() -> None:
    with pytest.raises(ValueError, match="number must be at least 1, got 0; skip_top must be at least 0, got -2"):
        Rules(0, skip_top=-2)
    with pytest.raises(ValueError, match="turns, top, random, got best"):
        Rules(sampling="best")  # type: ignore[arg-type]


def test_positives_are_rows_of_relevant_documents() -> None:
    asked = [Query("q1", "a"), Query("q2", "b"), Query("q3", "c")]
    qrels = {"q1": {"x": 1, "y": 0, "z": 2}, "q3": {"gone": 1, "y": 1}}
    found = positives_of(asked, qrels, {"x": 4, "y": 1, "z": 0})
    assert found.rows.tolist() == [0, 4, 1]
    assert found.offsets.tolist() == [0, 2, 2, 3]


def test_a_margin_below_a_dissimilar_positive_is_below_it() -> None:
    passages = np.array([[-0.5, 0], [-0.49, 0], [-0.51, 0], [-0.6, 0]], dtype=np.float32)
    query, only = np.array([[1, 0]], dtype=np.float32), Positives(np.array([0, 1]), np.array([0]))
    plan = Plan((Near("dense", Exact(passages), query, 4),), 1)
    found = mine(candidates(plan), only, cosines(query, passages), Rules(2))
    assert found.negatives.tolist() == [[3, -1]]
    assert found.log["margin"] == 2


def test_positives_are_kept_out_where_nothing_else_would() -> None:
    for seed in range(5):
        made = world(seed, bare=True)
        found = made.mined(Rules(8, relative_margin=None, near=None))
        assert found.log["positive"] > 0
        assert not any(np.isin(found.negatives[query], _answers(made, query)).any() for query in range(20))


def test_equal_candidates_are_taken_by_row() -> None:
    passages = np.tile(np.array([[1, 0], [0.5, 0], [0, 1]], dtype=np.float32), (300, 1))
    query, only = np.array([[1, 0]], dtype=np.float32), Positives(np.array([0, 1]), np.array([0]))
    plan = Plan((Near("dense", Exact(passages), query, 900),), 1)
    rules = Rules(40, depth=900, near=None, sampling="top")
    found = mine(candidates(plan), only, cosines(query, passages), rules)
    assert found.negatives[0].tolist() == [1 + 3 * place for place in range(40)]


def test_a_positive_document_is_its_most_similar_passage() -> None:
    made = world(7, queries=12, rows=40)
    starts = np.arange(0, 41, 4)
    documents = Positives(made.positives.offsets, made.positives.rows // 4)
    found = in_passages(documents, made.queries, made.passages, starts)
    assert found.offsets.tolist() == documents.offsets.tolist()
    for query, document, row in zip(documents.queries, documents.rows, found.rows, strict=True):
        own = np.arange(4 * document, 4 * document + 4)
        assert row == own[np.argmax(made.passages[own] @ made.queries[query])]


def slow_mining(folder: Path, heard: Path, pause: float) -> Mined:
    """Mine with kept blocks of three queries, and write down every block that is searched."""
    made = world(6, queries=30)

    def progress(_: str, done: int, total: int) -> None:
        with heard.open("a", encoding="utf-8") as file:
            file.write(json.dumps([done, total]) + "\n")
        time.sleep(pause)

    blocks = candidates(made.plan(3, 12, True), Keeper(folder, {"fingerprint": "f"}), progress)
    rules = Rules(4, sampling="random")
    return mine(blocks, made.positives, cosines(made.queries, made.passages), rules, known=made.known)


def test_a_killed_mining_goes_on_where_it_stopped_and_ends_the_same(tmp_path: Path) -> None:
    whole = slow_mining(tmp_path / "whole", tmp_path / "whole.log", 0)
    code = f"import sys; from pathlib import Path; from test_treat_mine import slow_mining; slow_mining(Path({str(tmp_path / 'killed')!r}), Path({str(tmp_path / 'killed.log')!r}), 0.05)"
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths})
    until = time.monotonic() + 60
    while _kept(tmp_path / "killed") < 4 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = _kept(tmp_path / "killed")
    assert 4 <= finished < 10
    resumed = slow_mining(tmp_path / "killed", tmp_path / "resumed.log", 0)
    _assert_same(whole, resumed)
    searched: Sequence[str] = (tmp_path / "resumed.log").read_text().splitlines()
    assert json.loads(searched[0]) == [3 * finished, 30]
    assert json.loads(searched[-1]) == [30, 30]
    assert len(searched) == 2 * (10 - finished)


def _kept(folder: Path) -> int:
    return len([path for path in folder.glob("*/*.npz") if not path.name.startswith(".")])
