import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contest import jobs, ours, peers, source, tables, task
from contest.reference import reference_bm25, reference_rrf
from contest.scoring import MRR, NDCG, RECALL, best_on_average, interval, mean, score


@pytest.fixture
def collection(tmp_path):
    folder = tmp_path / "pumps"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": f"pump {n}", "text": "seal and valve"} for n in range(8)]
    asked = [{"_id": f"q{n}", "text": f"leak of pump {n}"} for n in range(8)]
    for name, rows in (("corpus", corpus), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for side, places in (("train", (0, 1, 2, 3)), ("dev", (4, 5)), ("test", (6, 7))):
        rows = [f"q{n}\td{n}\t1" for n in places]
        (folder / "qrels" / f"{side}.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
    return folder


def test_held_out_brings_train_and_dev_and_ranks_dev(collection):
    made = task.task(collection, task.Choice())
    assert {side: sorted(rows) for side, rows in made.brought.items()} == {
        "train": ["q0", "q1", "q2", "q3"],
        "dev": ["q4", "q5"],
    }
    assert (sorted(made.training), sorted(made.asked), made.inside) == (["q0", "q1", "q2", "q3"], ["q4", "q5"], True)


def test_the_test_side_is_ranked_without_opening_it(collection, tmp_path):
    (collection / "qrels" / "test.tsv").rename(tmp_path / "away")
    made = task.task(collection, task.Choice("test"))
    assert sorted(made.asked) == ["q6", "q7"]
    assert "q6" not in (made.write(tmp_path / "in") / "queries.jsonl").read_text()
    (tmp_path / "away").rename(collection / "qrels" / "test.tsv")
    assert task.truths(made) == {"": {"q6": {"d6": 1}, "q7": {"d7": 1}}}


@pytest.mark.parametrize("choice", [task.Choice(judged=False), task.Choice("test", judged=False)])
def test_without_judgments_documents_alone_are_brought(collection, tmp_path, choice):
    made = task.task(collection, choice)
    assert (made.brought, made.training, made.texts, made.inside) == ({}, {}, {}, False)
    assert (made.write(tmp_path / "in") / "queries.jsonl").read_text() == ""
    assert len(made.asked) == 2


def test_a_drawn_curve_brings_no_dev_and_is_nested(collection):
    first, second = (task.task(collection, task.Choice(train_queries=count, draw=2)) for count in (2, 3))
    assert list(first.brought) == ["train"]
    assert (len(first.training), len(second.training), first.inside) == (2, 3, False)
    assert set(first.training) < set(second.training)
    assert sorted(first.asked) == ["q4", "q5"]


def test_reciprocal_ranks_are_summed_from_rank_one():
    fused = reference_rrf([{"q": {"a": 9.0, "b": 8.0}}, {"q": {"b": 0.9, "c": 0.1}}])
    assert list(fused["q"]) == ["b", "a", "c"]
    assert fused["q"]["b"] == pytest.approx(1 / 62 + 1 / 61)


def test_bm25_ranks_by_words():
    found = reference_bm25(["a", "b"], ["the seal leaks", "a rotor turns"], {"q": "leaking seals"})
    assert list(found["q"]) == ["a"]


def test_scores_are_those_of_trec_eval_and_a_query_without_results_counts_nothing():
    found = score({"q": {"a": 2.0, "b": 1.0}}, {"q": {"b": 1}, "r": {"a": 1}})
    assert found["q"] == {NDCG: pytest.approx(1 / math.log2(3)), RECALL: 1.0, MRR: 0.5}
    assert mean(found) == pytest.approx(0.5 / math.log2(3))


def test_an_interval_is_paired_and_holds_its_mean():
    old = {str(n): {NDCG: (n % 5) / 5} for n in range(50)}
    new = {query: {NDCG: row[NDCG] + 0.1} for query, row in old.items()}
    assert interval(old, new) == pytest.approx([0.1, 0.1, 0.1])
    assert tables.verdict(interval(old, new)) == "better"
    assert tables.verdict(interval(new, old)) == "**worse**"


def test_the_best_on_average_counts_only_collections_where_all_are():
    rows = [{"x": {"q": {NDCG: 0.2}}, "y": {"q": {NDCG: 0.3}}}, {"x": {"q": {NDCG: 0.9}}}]
    assert best_on_average(rows, ["x", "y"]) == "y"


def test_a_grid_averages_over_collections_with_every_row():
    whole = tables.Result("a", {"x": {}, "y": {}}, {"x": 1.0, "y": 2.0})
    part = tables.Result("b", {"x": {}}, {"x": 5.0})
    lines = list(tables.grid([whole, part], ["x", "y"], 1, lambda result, system: result.seconds[system]))
    assert lines[2:] == ["| x | 1.0 | 5.0 | 1.0 |", "| y | 2.0 | – | 2.0 |"]
    assert lines[0].endswith("| average of 1 |")


def test_the_adapter_moves_queries_towards_what_answers_them():
    rng = np.random.default_rng(1)
    documents = rng.standard_normal((40, 16)).astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries = np.roll(documents, 3, axis=1)
    weight = peers.adapted(queries, documents)
    assert weight.shape == (16, 16)
    before, after = ((rows * documents).sum() for rows in (queries, queries @ weight.T))
    assert after > before
    assert np.abs(weight - np.eye(16)).max() < 0.01
    assert np.array_equal(weight, peers.adapted(queries, documents))


def test_at_most_four_thousand_pairs_are_drawn_alike_every_time():
    train = [(f"q{n}", ["a", "b"]) for n in range(2_500)]
    work = peers.Work("", ["a", "b"], ["one", "two"], train, {})
    assert len(peers.pairs(work)) == peers.MOST_PAIRS
    assert peers.pairs(work) == peers.pairs(work)


def test_peers_are_run_once_whatever_else_changes(collection, tmp_path, monkeypatch):
    calls = []

    def run(*arguments):
        calls.append(arguments[2])
        job, output = arguments[2], tmp_path / arguments[4]
        runs = (
            {"dense": {"q4": {"d4": 1.0}}, "BM25": {"q4": {"d1": 1.0}}}
            if job == "untouched"
            else {job: {"q4": {"d4": 1.0}}}
        )
        seconds = {"embed": 2.0, **({"BM25": 0.5} if job == "untouched" else {})}
        output.write_text(json.dumps({"runs": runs, "seconds": seconds, "facts": {}}))
        return ""

    monkeypatch.setattr(jobs, "process", run)
    monkeypatch.setattr(jobs, "CACHE", tmp_path / "cache")
    made = task.task(collection, task.Choice())
    first = jobs.rows(made)
    assert jobs.rows(made) == first
    assert calls == list(peers.JOBS)
    assert tuple(first[1]) == (*jobs.UNTOUCHED, *jobs.TRAINED)
    assert [first[1][name][1] for name in ("dense", "BM25", "RRF", "mined", "mined + RRF")] == [2.0, 0.5, 2.5, 2.0, 2.5]
    fewer = task.task(collection, task.Choice(train_queries=2))
    jobs.rows(fewer)
    assert calls[len(peers.JOBS) :] == ["trained", "mined", "adapter"]  # the untouched rows know no training query


def test_what_a_run_kept_is_read_back_by_system(tmp_path):
    folder = tmp_path / "candidates" / "0001-hybrid"
    folder.mkdir(parents=True)
    pq.write_table(
        pa.table({"query": ["q", "r"], "base": [0.1, 0.2], "bm25": [0.3, 0.4], "rrf": [0.5, 0.6]}),
        folder.parent / "baselines.parquet",
    )
    pq.write_table(pa.table({"query": ["q", "r"], "nDCG@10": [0.7, 0.8]}), folder / "scores.parquet")
    rows = [{"name": "0001-hybrid", "query": "q", "first": 4}, {"name": "0001-hybrid", "query": "r", "first": 0}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rankings.parquet")
    found = ours.held_out(tmp_path, "0001-hybrid")
    assert found["ours"] == {"q": {NDCG: 0.7, MRR: 0.25}, "r": {NDCG: 0.8, MRR: 0.0}}
    assert found["RRF"]["r"] == {NDCG: 0.6}
    assert ours.held_out(tmp_path, "bm25")["ours"] == found["BM25"]


def test_a_finished_row_is_whole_or_not_there(tmp_path):
    path = tmp_path / "deep" / "row.json"
    assert source.load(path) is None
    source.save(path, {"a": 1})
    assert source.load(path) == {"a": 1}
    assert [found.name for found in path.parent.iterdir()] == ["row.json"]


def test_what_was_embedded_is_brought_along_and_what_is_there_already_stays(tmp_path):
    kept, work = tmp_path / "kept", tmp_path / "work"
    for folder, name, text in ((kept, "a.npy", "old"), (kept, "b.npy", "old"), (work, "b.npy", "new")):
        (folder / "vectors").mkdir(parents=True, exist_ok=True)
        (folder / "vectors" / name).write_text(text)
    ours._linked(kept, work)
    found = {path.name: path.read_text() for path in (work / "vectors").iterdir()}
    assert found == {"a.npy": "old", "b.npy": "new"}
