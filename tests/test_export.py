"""What leaves again: a folder that other engines can use, whose README is true."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from embedding_server import Server, serve
from sentence_transformers import SentenceTransformer
from test_cli import call

from resurvey.data.read import beir
from resurvey.errors import ResurveyError
from resurvey.export import Exported, dense_nodes, export
from resurvey.loop import init, run
from resurvey.promote.registry import Registry
from resurvey.search import recipe
from resurvey.search.adapter import Adapter
from resurvey.search.encode import SentenceEncoder
from resurvey.session import Session
from resurvey.train.card import save
from resurvey.types import Candidate, Document, Query
from resurvey.workspace import Workspace, file_digest, read_json

VALUES: dict[str, str | int | float] = {"depth": 20, "folds": 3, "passage_tokens": 32, "standin_queries": 40}


@pytest.fixture(scope="module")
def made() -> dict[str, Path]:
    """The workspace in which the main job has ended."""
    return {}


@pytest.fixture
def session(
    made: dict[str, Path], beir_folder: Path, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Session:
    if not made:
        made["root"] = tmp_path_factory.mktemp("export") / "ws"
        init(made["root"], beir(beir_folder), {"model": str(model_folder), **VALUES})
        run(Session(Workspace.open(made["root"])), "small")
    return Session(Workspace.open(made["root"]))


def named(session: Session) -> str:
    """A candidate with a recipe that learned something."""
    recipes = {path.parent.name: path.read_text() for path in session.workspace.candidates.glob("*/recipe.json")}
    return next(id for id, text in recipes.items() if "sha256:" in text and '"dense"' in text)


@pytest.fixture
def exported(session: Session, tmp_path: Path) -> Exported:
    return export(session, tmp_path / "out", named(session))


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def executed(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the README's Python block prints, run from inside the folder."""
    monkeypatch.chdir(folder)
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (folder / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    code = [text for kind, text in blocks if kind == "python"]
    assert len(code) == 1
    capsys.readouterr()
    exec(compile(code[0], "README.md", "exec", dont_inherit=True), {})
    return capsys.readouterr().out


def test_the_block_of_the_readme_loads_everything(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = executed(Path(exported.folder), monkeypatch, capsys).splitlines()
    assert len(printed) == 7
    scores = [float(line.split()[0]) for line in printed[:5]]
    assert scores == sorted(scores, reverse=True)
    assert all(re.fullmatch(r"[\d.]+ d\d+ .+", line) for line in printed[:5])
    run = (Path(exported.folder) / "runs" / f"{exported.candidate}.trec").read_text().splitlines()
    assert printed[6] == f"the run: 60 queries, {len(run)} rows"


def test_the_readme_names_every_part_and_no_other(exported: Exported) -> None:
    folder = Path(exported.folder)
    listed = set(re.findall(r"^\| `(.+?)` \|", (folder / "README.md").read_text("utf-8"), re.MULTILINE))
    assert listed == set(exported.parts)
    there = {
        name.split("/")[0] + "/" if name.startswith(("model/", "artefacts/")) else name for name in contents(folder)
    }
    assert there - {"README.md"} == listed


def test_the_model_and_the_vectors_are_of_one_space(
    exported: Exported, session: Session, documents: tuple[Document, ...]
) -> None:
    folder = Path(exported.folder)
    model = SentenceTransformer(str(folder / "model"), device="cpu")
    for path in (folder / "vectors").glob("*.parquet"):
        vectors, rows = np.load(path.with_suffix(".npy")), pq.read_table(path).to_pylist()
        assert vectors.dtype == np.float32
        assert vectors == pytest.approx(model.encode([r["text"] for r in rows], normalize_embeddings=True), abs=2e-6)
        ids = path.with_suffix(".ids.txt").read_text("utf-8").splitlines()
        assert ids == [row["document"] for row in rows]
        texts = {document.id: document.text for document in documents}
        assert all(texts[row["document"]][row["start"] : row["end"]] in row["text"] for row in rows)
        assert set(ids) == set(texts)


def test_the_recipe_comes_with_what_it_learned(exported: Exported, session: Session) -> None:
    folder = Path(exported.folder)
    recipe = json.loads((folder / "recipe.json").read_text())
    assert recipe == read_json(session.workspace.candidates / exported.candidate / "recipe.json")
    named_ = set(re.findall(r"sha256:([0-9a-f]{64})", json.dumps(recipe)))
    assert named_
    assert {path.name for path in (folder / "artefacts").iterdir()} == named_
    assert all(file_digest(path) == path.name for path in (folder / "artefacts").iterdir())


def test_runs_are_what_rank_writes(
    exported: Exported, session: Session, queries: tuple[Query, ...], tmp_path: Path
) -> None:
    asked = tmp_path / "queries.jsonl"
    asked.write_text("".join(json.dumps({"_id": q.id, "text": q.text}) + "\n" for q in queries))
    for name in (exported.candidate, "base"):
        output = tmp_path / "run.trec"
        assert (
            call("rank", session.workspace.root, "--queries", asked, "--output", output, "--candidate", name).code == 0
        )
        assert sorted((Path(exported.folder) / "runs" / f"{name}.trec").read_text().splitlines()) == sorted(
            output.read_text().splitlines()
        )


def test_a_view_that_the_recipe_searches_moved_brings_the_moments(session: Session, tmp_path: Path) -> None:
    registry = session.workspace.candidates
    source = next(registry.glob("*-passages"))
    recipe = read_json(source / "recipe.json")
    for node in dense_nodes(recipe["root"]):
        node["transform"] = "center"
    shutil.copytree(session.workspace.root, tmp_path / "ws")
    copy = Session(Workspace.open(tmp_path / "ws"))
    verdict = copy.workspace.candidates / source.name / "verdict.json"
    verdict.write_text(json.dumps(read_json(verdict) | {"recipe": recipe}))
    export(copy, tmp_path / "out", source.name)
    moments = np.load(tmp_path / "out" / "vectors" / "moments.npy")
    vectors = np.load(tmp_path / "out" / "vectors" / "passages.npy")
    assert moments[0] == pytest.approx(vectors.mean(axis=0), abs=1e-6)
    assert "subtract the mean" in (tmp_path / "out" / "README.md").read_text()


def test_a_failed_export_leaves_nothing_and_writes_over_nothing(session: Session, tmp_path: Path) -> None:
    with pytest.raises(ResurveyError, match="no candidate"):
        export(session, tmp_path / "out", "99")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(ResurveyError, match="is not empty"):
        export(session, tmp_path / "mine", "base")
    shutil.copytree(session.workspace.root, tmp_path / "ws")
    shutil.rmtree(tmp_path / "ws" / "artefacts")
    with pytest.raises(ResurveyError, match="names this artefact, and it is missing"):
        export(Session(Workspace.open(tmp_path / "ws")), tmp_path / "out", named(session))
    assert {path.name for path in tmp_path.iterdir()} - {"beir"} == {"mine", "ws"}
    assert contents(tmp_path / "mine") == {"file"}


def test_the_command_says_what_it_wrote(session: Session, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    ended = call("export", session.workspace.root, tmp_path / "out", "--candidate", "base")
    assert ended.code == 0, ended.err
    assert ended.out.rstrip().endswith(f"base exported: {tmp_path / 'out'}/README.md")
    assert {"recipe.json", "vectors/truncated.npy", "runs/base.trec"} <= contents(tmp_path / "out")
    told = json.loads(call("export", session.workspace.root, tmp_path / "two", "--candidate", "bm25", "--json").out)
    assert (told["candidate"], "vectors/passages.npy" in told["parts"]) == ("bm25", True)
    assert session.workspace.recorded("exported")[-1]["candidate"] == "bm25"


@pytest.fixture
def server(encoder: SentenceEncoder) -> Iterator[Server]:
    made = Server(lambda texts: encoder.encode(texts, "passage"))
    running = serve(made)
    yield made
    running.shutdown()
    running.server_close()


def test_an_endpoint_has_no_model_to_export_and_the_readme_asks_it(
    server: Server, beir_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    values = {"model": "tiny", "endpoint_url": server.url, "endpoint_query_prompt": "find: ", "endpoint_dimensions": 16}
    init(tmp_path / "ws", beir(beir_folder), {**values, **VALUES})
    found = export(Session(Workspace.open(tmp_path / "ws")), tmp_path / "out", "base")
    assert "model/" not in found.parts
    printed = executed(tmp_path / "out", monkeypatch, capsys)
    assert len(printed.splitlines()) == 7
    assert server.asked[-1] == {"model": "tiny", "input": "find: your query", "dimensions": 16}


def test_an_adapted_model_leaves_with_its_own_vectors(
    session: Session, encoder: SentenceEncoder, tmp_path: Path
) -> None:
    """The model that learned is what lies in the folder, and the README finds what the recipe finds."""
    other = SentenceTransformer(session.settings.text("model"))
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(3)))
    save(other, tmp_path / "learned", "a card")
    artefacts = session.workspace.artefacts
    down = np.random.default_rng(5).normal(size=(encoder.dimensions, 2)).astype(np.float32)
    learned = artefacts.put(Adapter(down, down.T.copy()).dump())
    node = recipe.dense(20, model=artefacts.put_folder(tmp_path / "learned"), adapter=learned)
    made = recipe.recipe(node, session.encoder)
    Registry(session.workspace).add(Candidate("0077-contrast", "contrast", "base", made, True, "", None), {}, "key")
    export(session, tmp_path / "out", "0077")
    assert (tmp_path / "out" / "model" / "README.md").read_text() == "a card"
    assert (tmp_path / "out" / "artefacts" / learned.removeprefix("sha256:")).exists()
    texts = session.builder.index.cut.texts[:3]
    vectors = np.load(tmp_path / "out" / "vectors" / "passages.npy")[:3]
    assert np.abs(vectors - other.encode(list(texts), normalize_embeddings=True)).max() < 1e-5
    code = re.findall(r"```python\n(.+?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code[0].replace("your query", "pump leak")], cwd=tmp_path / "out", capture_output=True,
        text=True, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    found = session.builder.node(node).search([Query("q", "pump leak")])["q"]
    assert done.stdout.splitlines()[0].split()[:2] == [f"{found.scores[0]:.3f}", found.documents[0]]
