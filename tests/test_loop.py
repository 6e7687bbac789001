"""The main job end to end on twenty documents: it resumes, repeats nothing, and believes only what it measured."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import pytrec_eval
from sentence_transformers import SentenceTransformer

from resurvey import loop, use
from resurvey.data.collection import Collection
from resurvey.data.read import beir
from resurvey.errors import PromotionRefusedError, ResurveyError
from resurvey.promote.choose import read_ladder
from resurvey.promote.live import live, rollback
from resurvey.promote.registry import Registry
from resurvey.session import Session
from resurvey.show.status import status
from resurvey.types import Document, Query
from resurvey.workspace import Workspace, read_json, write_json

VALUES: dict[str, str | int | float] = {"depth": 20, "folds": 3, "passage_tokens": 32, "standin_queries": 40}
MEASURE = "nDCG@10"
Built = dict[str, Path]


@pytest.fixture(scope="module")
def built() -> Built:
    """Workspaces that were made once; every test gets a copy of its own."""
    return {}


Finished = Callable[..., Session]


@pytest.fixture
def finished(
    built: Built, beir_folder: Path, model_folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """A session on a copy of a workspace in which the main job has ended; `judged` False for one without judgments."""

    def get(*, judged: bool = True) -> Session:
        name = "judged" if judged else "stand-in"
        if name not in built:
            if not judged:
                shutil.rmtree(beir_folder / "qrels")
            built[name] = tmp_path_factory.mktemp("loop") / name
            loop.init(built[name], beir(beir_folder), {"model": str(model_folder), **VALUES})
            loop.run(Session(Workspace.open(built[name])), "small")
        copy = tmp_path / "copy" / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(built[name], copy)
        return Session(Workspace.open(copy))

    return get


def begun(root: Path, folder: Path, model: Path, **changed: str | float) -> Session:
    loop.init(root, beir(folder), {"model": str(model), **VALUES, **changed})
    return Session(Workspace.open(root))


def contents(root: Path, *parts: str) -> dict[str, str]:
    """Hash of every file below the parts of a workspace."""
    files = [path for part in parts or (".",) for path in (root / part).rglob("*") if path.is_file()]
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != ".lock"
    }


# the whole job


def test_the_main_job_leaves_every_stage_in_the_workspace(finished: Finished) -> None:
    session = finished()
    root = session.workspace.root
    for name in ("diagnosis.json", "plan.json", "gate.json", "live.json", "reports/report.html", "reports/report.json"):
        assert (root / name).stat().st_size > 0
    candidates = loop.treat(session, "small")
    assert [c.id[5:] for c in candidates] == [step.treatment for step in loop.decide(session, "small").steps]
    assert [c.id[:4] for c in candidates] == [f"{place:04d}" for place in range(1, len(candidates) + 1)]
    for candidate in candidates:
        folder = root / "candidates" / candidate.id
        names = {path.name for path in folder.iterdir()}
        measured = {"recipe.json", "scores.parquet", "rankings.parquet"} if candidate.recipe else set()
        assert names == {*measured, "verdict.json", "manifest.json"}
        if measured:
            assert pq.read_schema(folder / "scores.parquet").names == ["query", MEASURE, "R@100"]
    assert {c.treatment for c in candidates if not c.recipe} == {"adapter", "metadata", "duplicates"}  # no gain


def test_every_rung_names_what_it_was_built_on(finished: Finished) -> None:
    parent = "base"
    for candidate in loop.treat(finished(), "small"):
        assert candidate.parent == parent
        parent = candidate.id if candidate.kept else parent
    assert parent != "base"


def test_nothing_helps_is_a_success_with_its_reason(finished: Finished) -> None:
    session = finished()
    result = loop.run(session, "small")
    assert result.live == "bm25"
    assert result.sentence.startswith(
        "Nothing helped beyond bm25, untouched (nDCG@10 0.938); bm25 is live. The best attempt, "
    )
    assert "was refused: it is not better than bm25 overall" in result.sentence
    assert "The same queries chose the treatments and judged the result" in result.sentence
    assert use.search(session, "valve pump", "live", 3).candidate == "bm25"


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Spies on everything that does work; returns the names of what was called."""
    called: list[str] = []
    for target in (
        "resurvey.diagnose.examine.examine",
        "resurvey.decide.plan.decide",
        "resurvey.loop._climb",
        "resurvey.promote.choose.best_that_passes",
        "resurvey.show.report.render",
        "resurvey.search.encode.load",
        "resurvey.search.index.open_index",
        "resurvey.data.collection.load",
    ):
        module, name = target.rsplit(".", 1)
        real = getattr(sys.modules[module], name)

        def spy(*args: Any, real: Callable[..., Any] = real, target: str = target, **named: Any) -> Any:
            called.append(target)
            return real(*args, **named)

        monkeypatch.setattr(target, spy)
    return called


def test_a_second_run_does_no_work(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    session = finished()
    before = contents(session.workspace.root)
    times = {path: path.stat().st_mtime_ns for path in session.workspace.root.rglob("*") if path.is_file()}
    called = counted(monkeypatch)
    result = loop.run(session, "small")
    assert called == []
    assert result.live == "bm25"
    assert contents(session.workspace.root) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize(
    ("damaged", "again"),
    [
        ("reports/report.html", ["resurvey.show.report.render"]),
        ("gate.json", ["resurvey.promote.choose.best_that_passes"]),
        ("plan.json", ["resurvey.decide.plan.decide"]),
    ],
)
def test_a_changed_output_is_made_again_and_only_that(
    damaged: str, again: list[str], finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = finished()
    before = contents(session.workspace.root)
    (session.workspace.root / damaged).write_text("{}")
    called = counted(monkeypatch)
    loop.run(session, "small")
    stages = [name for name in called if name.rsplit(".", 1)[1] in ("examine", "decide", "_climb", "best_that_passes", "render")]  # fmt: skip
    assert stages == again
    after = contents(session.workspace.root)
    assert {name for name in after if after[name] != before.get(name)} <= {
        name for name in after if name.startswith("manifests/")
    }


def test_a_changed_setting_is_measured_anew_and_what_was_tried_is_kept(finished: Finished) -> None:
    session = finished()
    root = session.workspace.root
    old = {candidate.id for candidate in Registry(session.workspace).all()}
    toml = (root / "resurvey.toml").read_text().replace("passage_tokens = 32", "passage_tokens = 16")
    (root / "resurvey.toml").write_text(toml)
    again = Session(Workspace.open(root))
    loop.run(again, "small")
    new = {candidate.id for candidate in loop.treat(again, "small")}
    assert not new & old
    assert {candidate.id for candidate in Registry(again.workspace).all()} == new | old


def test_the_same_data_gives_the_same_results(finished: Finished, beir_folder: Path, model_folder: Path, tmp_path: Path) -> None:  # fmt: skip
    first = finished().workspace.root
    session = begun(tmp_path / "again", beir_folder, model_folder)
    loop.run(session, "small")
    outputs = ("candidates", "artefacts", "diagnosis.json", "plan.json", "gate.json")
    for name in outputs:
        one, other = first / name, session.workspace.root / name
        if one.is_dir():
            assert contents(first, name) == contents(session.workspace.root, name)
        else:
            assert one.read_bytes() == other.read_bytes()


# steps by name, and the live one


def test_named_steps_are_tried_instead_of_the_plans(finished: Finished) -> None:
    session = finished()
    tried = loop.treat(session, "small", ["hybrid"])
    assert [candidate.treatment for candidate in tried] == ["hybrid"]
    assert tried[0].parent == "base"
    with pytest.raises(ResurveyError, match="'nonsense' is no treatment; there are passages, encoder"):
        loop.treat(session, "small", ["nonsense"])


def test_what_is_live_survives_trying_other_steps(beir_folder: Path, model_folder: Path, finished: Finished) -> None:
    session = finished(judged=False)
    promoted = loop.run(session, "small").live
    assert promoted in {candidate.id for candidate in Registry(session.workspace).all()}
    loop.treat(session, "small", ["hybrid"])
    loop.treat(session, "small")
    assert use.recipe_of(session, "live")[0] == promoted


def test_a_promotion_by_hand_passes_the_gate_or_is_refused_with_its_reasons(finished: Finished) -> None:
    session = finished()
    with pytest.raises(PromotionRefusedError, match=r"0001-passages: it is not better than bm25 overall \(-"):
        loop.promote(session, "1")
    live_now = live(session.workspace)
    assert live_now is not None
    assert live_now.candidate == "bm25"
    assert loop.promote(session, "rrf") == "rrf"
    assert loop.run(session, "small").live == "rrf"  # a person's choice stands until there is something new
    rollback(session.workspace)
    assert use.recipe_of(session, "live")[0] == "bm25"


# without judgments


def test_without_judgments_stand_ins_serve_and_every_place_says_so(finished: Finished) -> None:
    session = finished(judged=False)
    workspace = session.workspace
    assert session.standin
    result = loop.run(session, "small")
    assert "Judged by stand-in queries made from the corpus" in result.sentence
    assert loop.diagnose(session).judged_by == "stand-in queries"
    assert loop.decide(session, "small").judged_by == "stand-in queries"
    assert [step.treatment for step in loop.decide(session, "small").avoid] == ["a ranker trained on stand-in queries"]
    assert read_json(workspace.candidates / "ladder.json")["judged_by"] == "stand-in queries"
    assert "Stand-in queries, no proof" in result.report.read_text()
    assert read_json(workspace.reports / "report.json")["judged_by"] == "stand-in queries"
    shown = status(workspace)["facts"]
    assert shown["judged queries"] == "none; stand-in queries serve"
    assert "stand-in queries" in shown["verdict"]
    assert {c.treatment for c in loop.treat(session, "small")} <= {
        "passages",
        "center",
        "hybrid",
        "identifiers",
        "rewrite",
    }


def test_status_says_where_a_graph_searches_vectors_and_what_it_is_worth(finished: Finished) -> None:
    workspace = finished().workspace
    assert "vector search" not in status(workspace)["facts"]
    notes = {"passages-none": (0.987, ""), "truncated-none": (0.9, "recall@100 reaches 0.900, and 0.98 is wanted")}
    for name, (recall, refused) in notes.items():
        write_json(
            workspace.index / "derived" / f"{name}-0123456789abcdef.json", {"recall": recall, "refused": refused}
        )
    wanted = "passages-none: a graph, recall@100 0.987; truncated-none: exact, since recall@100 reaches 0.900, and 0.98 is wanted"
    assert status(workspace)["facts"]["vector search"] == wanted


def test_fewer_than_ten_judged_queries_decide_nothing(beir_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    (beir_folder / "qrels" / "dev.tsv").unlink()
    (beir_folder / "qrels" / "train.tsv").unlink()
    (beir_folder / "qrels" / "dev.tsv").write_text("".join(f"q{p}\td{p // 3}\t1\n" for p in range(9)))
    session = begun(tmp_path / "few", beir_folder, model_folder)
    assert session.standin
    assert status(session.workspace)["facts"]["judged queries"] == "9 dev"
    assert loop.diagnose(session).judged_by == "stand-in queries"
    said = status(session.workspace)["facts"]["judged queries"]
    assert said == "9 dev; too few to judge by, stand-in queries serve"


def test_a_corpus_too_small_for_stand_ins_is_told_to_bring_judgments(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    rows = [{"_id": f"d{p}", "text": f"valve {p}"} for p in range(3)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    session = begun(tmp_path / "ws", folder, model_folder)
    said = "no judgments were brought, and 3 documents give only 0 known-item queries .*\nNext: bring judgments"
    with pytest.raises(ResurveyError, match=said):
        loop.run(session, "small")


# killed


KILLED = """
import os, signal, sys
from pathlib import Path
from resurvey import loop
from resurvey.session import Session
from resurvey.workspace import Workspace

def killed_at(module, name, when):
    real = getattr(module, name)
    def dying(path, *rest):
        if when(path):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path, *rest)
    setattr(module, name, dying)

moment = sys.argv[2]
if moment == "half a vector segment":
    from resurvey.search import vectors
    killed_at(vectors, "write_bytes", lambda path: path.suffix == ".keys")
elif moment == "half a candidate":
    from resurvey.promote import registry
    killed_at(registry, "write_json", lambda path: path.name == "manifest.json" and path.parent.name[:4] == "0004")
elif moment == "before the switch":
    from resurvey.promote import live
    killed_at(live, "write_json", lambda path: path.name == "live.json")
workspace = Workspace.open(Path(sys.argv[1]))
with workspace.lease():
    loop.run(Session(workspace), "small")
"""
MOMENTS = {
    "half a vector segment": (),
    "half a candidate": ("diagnosis.json", "manifests/diagnose.json", "plan.json", "manifests/decide.json", "index"),
    "before the switch": ("diagnosis.json", "plan.json", "manifests", "index", "candidates", "artefacts"),
}
"""When the killed run dies, and what it already found done, to save the time of doing it again here."""


def at_the_start(done: Path, root: Path, kept: Sequence[str]) -> None:
    """A workspace as `init` left it, with what is `kept` from a finished one."""
    for name in ("data", "workspace.json", "resurvey.toml", *kept):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (done / name).is_dir() else shutil.copy)(done / name, target)
    for name in ("promote", "report"):
        (root / "manifests" / f"{name}.json").unlink(missing_ok=True)


def test_a_killed_run_restarted_ends_as_an_undisturbed_one(finished: Finished, tmp_path: Path) -> None:
    undisturbed = finished().workspace.root
    running = {}
    for moment, kept in MOMENTS.items():
        at_the_start(undisturbed, tmp_path / moment, kept)
        command = [sys.executable, "-c", KILLED, str(tmp_path / moment), moment]
        running[moment] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ended = {moment: process.wait(timeout=300) for moment, process in running.items()}
    assert ended == dict.fromkeys(MOMENTS, -signal.SIGKILL)
    assert not (tmp_path / "half a vector segment" / "diagnosis.json").exists()
    assert list((tmp_path / "half a vector segment" / "index" / "vectors").rglob("*.npy"))
    assert not (tmp_path / "half a candidate" / "candidates" / "ladder.json").exists()
    assert (tmp_path / "half a candidate" / "candidates" / "0004-hybrid" / "verdict.json").exists()
    assert not (tmp_path / "before the switch" / "live.json").exists()
    for moment in MOMENTS:
        root = tmp_path / moment
        workspace = Workspace.open(root)
        with workspace.lease():
            assert loop.run(Session(workspace), "small").live == "bm25"
        assert contents(root, "candidates", "artefacts") == contents(undisturbed, "candidates", "artefacts")
        for name in ("diagnosis.json", "plan.json", "gate.json", "live.json"):
            assert (root / name).read_bytes() == (undisturbed / name).read_bytes()
        assert not list(root.rglob(".*.json.*"))


# the test side


@pytest.fixture
def three_sides(beir_folder: Path) -> Path:
    """The BEIR folder with a test side of six queries taken from dev."""
    lines = (beir_folder / "qrels" / "dev.tsv").read_text().splitlines()
    tested = [line for line in lines[1:] if line.split("\t")[0].endswith("9")]
    kept = [line for line in lines if line not in tested]
    (beir_folder / "qrels" / "dev.tsv").write_text("\n".join(kept) + "\n")
    (beir_folder / "qrels" / "test.tsv").write_text("\n".join([lines[0], *tested]) + "\n")
    return beir_folder


class Guarded(dict[str, Any]):
    """Judgments by split that tell whenever the test side is read."""

    reads = 0

    def __getitem__(self, name: str) -> Any:
        self.reads += name == "test"
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.reads += name == "test"
        return super().get(name, default)

    def values(self) -> Any:
        self.reads += 1
        return super().values()

    def items(self) -> Any:
        self.reads += 1
        return super().items()


def test_only_evaluating_the_test_side_reads_it_and_every_read_is_counted(
    three_sides: Path, model_folder: Path, tmp_path: Path
) -> None:
    session = begun(tmp_path / "ws", three_sides, model_folder)
    whole = session.collection
    sides = Guarded(whole.qrels)
    session.collection = Collection(whole.documents, whole.queries, sides, whole.runs, whole.statement)
    loop.run(session, "small")
    held_out = use.evaluate(session, [], "held-out")
    use.search(session, "valve", "base", 3)
    assert (sides.reads, held_out.reads, held_out.queries) == (0, 0, 54)
    first = use.evaluate(session, [], "test")
    assert sides.reads > 0
    assert (first.split, first.queries, first.reads) == ("test", 6, 1)
    assert use.evaluate(session, ["base"], "test").reads == 2
    recorded = session.workspace.recorded("test read")
    assert [entry["queries"] for entry in recorded] == [6, 6]
    assert session.workspace.recorded("test numbers")[0]["means"] == first.means
    assert set(first.means) == {"base", "bm25", "rrf"} | {loop.run(session, "small").live}


def test_the_report_tells_how_often_the_test_side_was_read(three_sides: Path, model_folder: Path, tmp_path: Path) -> None:  # fmt: skip
    session = begun(tmp_path / "ws", three_sides, model_folder)
    loop.run(session, "small")
    use.evaluate(session, ["bm25"], "test")
    use.evaluate(session, ["bm25"], "test")
    page = loop.report(session)
    assert read_json(page.with_suffix(".json"))["test_reads"] == 2
    assert "The test side has been read 2 times" in page.read_text()


def test_without_a_test_side_there_is_nothing_to_read(finished: Finished) -> None:
    session = finished()
    with pytest.raises(ResurveyError, match="has no judged test queries\nNext: bring a test split"):
        use.evaluate(session, [], "test")
    assert session.workspace.recorded("test read") == []


# what anyone can check from outside


def trec(path: Path) -> dict[str, dict[str, float]]:
    """A TREC run, parsed as strictly as the format says."""
    run: dict[str, dict[str, float]] = {}
    for line in path.read_text().splitlines():
        query, zero, document, rank, score, tag = line.split(" ")
        assert zero == "Q0"
        assert int(rank) == len(run.setdefault(query, {})) + 1
        assert document not in run[query]
        assert all(float(score) <= before for before in run[query].values())
        run[query][document] = float(score)
        assert tag
    return run


@pytest.fixture
def query_file(beir_folder: Path, tmp_path: Path) -> Path:
    kept = tmp_path / "asked.jsonl"
    rows = [json.dumps({"_id": f"q{place}", "text": text}) for place, text in enumerate(_texts(beir_folder))]
    kept.write_text("\n".join(rows) + "\n")
    return kept


def _texts(folder: Path) -> Iterator[str]:
    for line in (folder / "queries.jsonl").read_text().splitlines():
        yield json.loads(line)["text"]


@pytest.mark.parametrize("name", ["base", "bm25", "rrf", "0001"])
def test_a_ranked_file_scored_by_trec_eval_equals_the_scores_in_process(
    name: str, finished: Finished, query_file: Path, qrels: dict[str, dict[str, int]], tmp_path: Path
) -> None:
    session = finished()
    id, count = use.rank(session, query_file, tmp_path / "out" / "run.trec", name, 20)
    assert count == 60
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(trec(tmp_path / "out" / "run.trec"))
    ladder = read_ladder(session.workspace)
    expected = ladder.baselines.get(id) or Registry(session.workspace).scores(id)[MEASURE]
    assert {query: found[query]["ndcg_cut_10"] for query in expected.queries} == pytest.approx(
        dict(zip(expected.queries, expected.values.tolist(), strict=True))
    )


def test_base_is_brute_force_cosine_over_documents_cut_where_the_encoder_stops(
    finished: Finished, query_file: Path, documents: Sequence[Document], queries: Sequence[Query],
    model_folder: Path, tmp_path: Path,
) -> None:  # fmt: skip
    use.rank(finished(), query_file, tmp_path / "run.trec", "base", 20)
    model = SentenceTransformer(str(model_folder), device="cpu")
    there = model.encode([f"{d.title} {d.text}" for d in documents], normalize_embeddings=True)
    asked = model.encode([query.text for query in queries], normalize_embeddings=True)
    cosines = asked @ there.T
    run = trec(tmp_path / "run.trec")
    for row, query in enumerate(queries):
        assert list(run[query.id].values()) == pytest.approx(sorted(cosines[row], reverse=True), abs=2e-6)
        expected = {document.id: float(cosines[row, column]) for column, document in enumerate(documents)}
        assert run[query.id] == pytest.approx(expected, abs=2e-6)


def test_no_more_than_k_documents_are_ranked(finished: Finished, query_file: Path, tmp_path: Path) -> None:
    use.rank(finished(), query_file, tmp_path / "run.trec", "rrf", 3)
    assert {len(found) for found in trec(tmp_path / "run.trec").values()} == {3}


def test_a_search_is_what_rank_writes(finished: Finished, query_file: Path, tmp_path: Path) -> None:
    session = finished()
    use.rank(session, query_file, tmp_path / "run.trec", "0004", 5)
    first = json.loads(query_file.read_text().splitlines()[0])
    found = use.search(session, first["text"], "4", 5)
    hits = found.hits
    assert found.candidate == "0004-hybrid"
    assert [hit.document for hit in hits] == list(trec(tmp_path / "run.trec")[first["_id"]])
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert set(hits[0].stages) >= {"fused"}


def test_every_pipeline_has_a_confidence_of_its_own_and_the_search_shows_it(finished: Finished) -> None:
    session = finished()
    fitted = read_json(session.workspace.candidates / "ladder.json")["confidence"]
    assert {"base", "bm25", "rrf", "0004-hybrid"} <= set(fitted)
    references = [row["artefact"] for row in fitted.values()]
    assert len(set(references)) == len(references)
    found = use.search(session, "valve pump", "4", 5)
    said = [one for one in found.confidence.probabilities if one is not None]
    assert len(said) == 5
    assert said[0] > said[-1]
    assert found.confidence.found is not None
    assert said[0] <= found.confidence.found <= 1
    kept = use.search(session, "valve pump", "4", 5, min_confidence=said[0] - 1e-9)
    assert [hit.document for hit in kept.hits] == [found.hits[0].document]
    assert kept.withheld == 4
    none = use.search(session, "valve pump", "4", 5, min_confidence=1.0)
    assert (none.hits, none.withheld) == ((), 5)
    assert none.claims[-1] == "Nothing here is relevant with the probability that was asked for."


def test_a_changed_recipe_is_not_believed_by_what_was_fitted_to_another(finished: Finished) -> None:
    session = finished()
    made = use.recipe_of(session, "4")[1]
    assert use.assessor_of(session, made).calibration is not None
    assert use.assessor_of(session, {**made, "root": {**made["root"], "depth": 7}}).calibration is None


def test_a_filter_changes_no_probability(finished: Finished) -> None:
    session = finished()
    plain, within = use.search(session, "valve pump", "4", 20), use.search(session, "valve pump", "4", 20, "line = 1")
    all_of_them = dict(zip((h.document for h in plain.hits), plain.confidence.probabilities, strict=True))
    assert within.hits
    for hit, said in zip(within.hits, within.confidence.probabilities, strict=True):
        assert said == all_of_them.get(hit.document)


def test_without_judgments_a_search_has_no_probability_and_says_why(finished: Finished) -> None:
    found = use.search(finished(judged=False), "valve pump", "live", 3)
    assert found.confidence.probabilities == (None, None, None)
    assert "no judgments were brought" in found.confidence.why
    assert found.confidence.beyond is not None


def test_an_empty_query_is_refused(finished: Finished) -> None:
    with pytest.raises(ResurveyError, match='the query is empty\nNext: resurvey search DIR "some words"'):
        use.search(finished(), "  ", "base", 3)


def test_a_file_without_queries_is_refused_and_writes_nothing(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(ResurveyError, match="holds no query"):
        use.rank(finished(), tmp_path / "none.jsonl", tmp_path / "run.trec", "base", 5)
    assert not (tmp_path / "run.trec").exists()


def test_held_out_scores_are_those_of_the_ladder(finished: Finished) -> None:
    session = finished()
    found = use.evaluate(session, [], "held-out")
    candidates = loop.treat(session, "small")
    assert list(found.means) == [
        "bm25",
        "base",
        "rrf",
        *(c.id for c in candidates if c.recipe),
    ]  # the best untouched first
    assert found.means["bm25"][MEASURE] == pytest.approx(0.9385, abs=1e-4)
    assert {c.baseline for c in found.comparisons} == {"bm25"}
    one = use.evaluate(session, ["0004"], "held-out")
    assert list(one.means) == ["bm25", "base", "rrf", "0004-hybrid"]


def test_an_untouched_pipeline_can_be_evaluated_by_name(finished: Finished) -> None:
    session = finished()
    assert "bm25" in use.evaluate(session, ["base", "bm25"], "held-out").means
    assert "bm25" in use.evaluate(session, ["live"], "held-out").means


# bringing data


def test_the_users_own_engine_is_one_more_baseline(beir_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    perfect = tmp_path / "mine.trec"
    perfect.write_text("".join(f"q{place} Q0 d{place // 3} 1 1.0 mine\n" for place in range(60)))
    loop.init(tmp_path / "ws", beir(beir_folder, {"mine": perfect}), {"model": str(model_folder), **VALUES})
    session = Session(Workspace.open(tmp_path / "ws"))
    result = loop.run(session, "small")
    assert result.live == ""
    assert "Nothing helped beyond mine, your own engine (nDCG@10 1.000); keep it." in result.sentence
    assert read_ladder(session.workspace).baselines["mine"].mean == 1.0
    with pytest.raises(ResurveyError, match="nothing is live yet\nNext: resurvey run"):
        use.search(session, "valve", "live", 3)


def test_an_init_that_fails_late_leaves_nothing_behind(beir_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(ResurveyError, match="`depth` is 3, must be at least 10"):
        loop.init(tmp_path / "ws", beir(beir_folder), {"model": str(model_folder), "depth": 3})
    assert set(tmp_path.iterdir()) == before


def test_documents_may_not_be_split_where_the_settings_forbid_it(
    beir_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    session = begun(tmp_path / "ws", beir_folder, model_folder, rechunk="never")
    with pytest.raises(ResurveyError, match='would be lost\\), and `rechunk` is never\nNext: set rechunk = "auto"'):
        loop.run(session, "small")


def test_a_second_writer_is_told_at_once(finished: Finished) -> None:
    workspace = finished().workspace
    with workspace.lease(), pytest.raises(ResurveyError, match="another resurvey command is writing here"):
        Workspace.open(workspace.root).lease().__enter__()


def test_changed_data_is_not_believed(finished: Finished) -> None:
    session = finished()
    path = session.workspace.data / "queries.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ResurveyError, match=r"queries\.parquet: is missing or was changed since it was imported"):
        use.search(session, "valve", "base", 3)


def test_vectors_are_made_once(finished: Finished, monkeypatch: pytest.MonkeyPatch, query_file: Path, tmp_path: Path) -> None:  # fmt: skip
    session = finished()
    asked: list[int] = []
    real = session.encoder.encode
    monkeypatch.setattr(session.encoder, "encode", lambda texts, kind: asked.append(len(texts)) or real(texts, kind))
    use.rank(session, query_file, tmp_path / "run.trec", "base", 5)
    assert asked == []
    assert np.isfinite(use.search(session, "a query never asked before", "base", 3).hits[0].score)
    assert asked == [1]


def test_a_workspace_keeps_no_absolute_paths_that_a_copy_would_miss(finished: Finished) -> None:
    session = finished()
    manifests = [read_json(path) for path in (session.workspace.root / "manifests").iterdir()]
    assert len(manifests) == 5
    assert not [name for manifest in manifests for name in manifest["outputs"] if os.path.isabs(name)]
