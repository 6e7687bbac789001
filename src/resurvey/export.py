"""What was won leaves again: the encoder, the vectors, the recipe with what it learned, runs, and how to load each.

Writes one new folder, whole or not at all. Changes nothing in the workspace; knows nothing about how a
candidate was made.
"""

from __future__ import annotations

import io
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from resurvey import use
from resurvey.errors import Problem, ResurveyError
from resurvey.search.mapped import release, slices, write_matrix
from resurvey.search.recipe import describe
from resurvey.session import Session
from resurvey.types import Floats, Json
from resurvey.workspace import canonical, write_bytes, write_json

README = "README.md"
ROWS = 16_384
"""Rows of a matrix that are copied at a time."""
REFERENCE = re.compile(r'"sha256:([0-9a-f]{64})"')
RUN_DEPTH = 100
"""Documents a query in a run file."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, as `--json` prints it."""

    folder: str
    candidate: str
    parts: dict[str, str]
    """File or folder to one sentence about it, in the order of the README."""


def export(session: Session, folder: Path, name: str) -> Exported:
    """Write a candidate's encoder, vectors, recipe and runs below `folder`, with a README that loads each.

    Raises:
        ResurveyError: when there is something at `folder`, or no such candidate; then nothing was written.
    """
    folder = folder.expanduser().resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ResurveyError([Problem(str(folder), "is there already and is not empty")], "name a new folder")
    id, recipe = use.recipe_of(session, name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        partial.mkdir()
        parts = {
            **_model(session, recipe, partial),
            **_vectors(session, recipe, partial),
            **_recipe(session, recipe, partial),
            **_runs(session, id, partial),
        }
        write_bytes(partial / README, _readme(session, id, recipe, parts).encode("utf-8"))
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    session.workspace.record("exported", candidate=id, folder=str(folder))
    return Exported(str(folder), id, parts)


def dense_nodes(node: Json) -> Iterator[Json]:
    """Every node of a recipe that searches vectors."""
    if node.get("stage") == "dense":
        yield node
    for child in [*node.get("inputs", []), *([node["input"]] if "input" in node else [])]:
        yield from dense_nodes(child)


def trained(recipe: Json) -> str:
    """The reference of the adapted model that a recipe searches with; "" where it is the untouched encoder."""
    return next((str(node["model"]) for node in dense_nodes(recipe["root"]) if node.get("model")), "")


def _model(session: Session, recipe: Json, folder: Path) -> dict[str, str]:
    """The encoder as a sentence-transformers folder; one behind an endpoint stays there."""
    if not session.weights:
        return {}
    session.progress("exporting the encoder", 0, 1)
    if reference := trained(recipe):
        shutil.copytree(session.workspace.artefacts.folder_of(reference), folder / "model")
        return {"model/": "the encoder, adapted, for `SentenceTransformer(path)`; its README.md is its model card"}
    from resurvey.search.encode import load

    load(session.settings.text("model")).model.save(str(folder / "model"), create_model_card=False)
    return {"model/": "the encoder, for `SentenceTransformer(path)`"}


def _vectors(session: Session, recipe: Json, folder: Path) -> dict[str, str]:
    """The views that the recipe searches: a matrix, the ids of its rows, what each row was made from."""
    index, parts = session.builder.in_space(trained(recipe)), dict[str, str]()
    nodes = list(dense_nodes(recipe["root"]))
    for view in sorted({node["view"] for node in nodes}) or ["passages"]:
        session.progress(f"exporting vectors of {view}", 0, 1)
        matrix = index.view(view)
        ids, starts, ends, texts = _rows(session, view)
        place = folder / "vectors" / view
        write_matrix(place.with_suffix(".npy"), _blocks(matrix), (len(ids), matrix.shape[1]))
        write_bytes(place.with_suffix(".ids.txt"), "".join(f"{id}\n" for id in ids).encode("utf-8"))
        table = pa.table({"document": ids, "start": starts, "end": ends, "text": texts})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        write_bytes(place.with_suffix(".parquet"), buffer.getvalue())
        shape = f"{len(ids):,} × {matrix.shape[1]}"
        parts[f"vectors/{view}.npy"] = f"unit vectors, float32, {shape}; cosine is the inner product"
        parts[f"vectors/{view}.ids.txt"] = "the document of each row, one id a line"
        parts[f"vectors/{view}.parquet"] = "document, start, end (characters of its text) and the text of each row"
    if any(node["transform"] != "none" for node in nodes):
        both = np.stack([index.center, index.spread])
        write_matrix(folder / "vectors" / "moments.npy", iter([both]), both.shape)
        parts["vectors/moments.npy"] = "mean and standard deviation of the dimensions, for the recipe's `transform`"
    return parts


def _rows(session: Session, view: str) -> tuple[list[str], list[int], list[int], list[str]]:
    """Document id, first and last character and text of every row of a view."""
    index = session.index
    if view == "passages":
        found = index.cut.passages
        return [p.document for p in found], [p.start for p in found], [p.end for p in found], list(index.cut.texts)
    documents = index.documents
    texts = [d.full_text if view == "truncated" else d.title or d.full_text for d in documents]
    return [d.id for d in documents], [0] * len(documents), [len(d.text) for d in documents], texts


def _blocks(matrix: Floats) -> Iterator[Floats]:
    for part in slices(len(matrix), ROWS):
        yield matrix[part]
        release(matrix)


def _recipe(session: Session, recipe: Json, folder: Path) -> dict[str, str]:
    write_json(folder / "recipe.json", recipe)
    references = sorted(set(REFERENCE.findall(canonical(recipe))))
    references = [name for name in references if name not in trained(recipe)]  # that one is the folder `model`
    for reference in references:
        write_bytes(folder / "artefacts" / reference, session.workspace.artefacts.get(reference))
    parts = {"recipe.json": "how a query is answered, stage by stage"}
    if references:
        parts["artefacts/"] = "what the recipe learned, by the hashes it names"
    return parts


def _runs(session: Session, id: str, folder: Path) -> dict[str, str]:
    """TREC runs of all queries that were brought: of the candidate, and of the untouched dense search."""
    queries = list(session.collection.queries.values())
    parts = {}
    for name in dict.fromkeys([id, "base"]) if queries else []:
        path = f"runs/{name}.trec"
        write_bytes(folder / path, use.run_file(session, queries, name, RUN_DEPTH)[1])
        parts[path] = f"TREC run over document ids, {len(queries):,} queries, {RUN_DEPTH} documents each at most"
    return parts


def _readme(session: Session, id: str, recipe: Json, parts: dict[str, str]) -> str:
    """What is in the folder, and a block of Python that loads all of it, run from inside the folder."""
    view = min((node["view"] for node in dense_nodes(recipe["root"])), default="passages")
    moved = "" if "vectors/moments.npy" not in parts else (
        "The recipe's `transform` moves vectors of documents and queries alike: subtract the mean (the first row of\n"
        "`vectors/moments.npy`), for `standardise` divide by the second row, then make them unit length again.\n\n"
    )  # fmt: skip
    rows = "\n".join(f"| `{name}` | {sentence} |" for name, sentence in parts.items())
    run = next((name for name in parts if name.startswith("runs/")), "")
    reading = (
        f'\nrun = [line.split() for line in Path("{run}").read_text("utf-8").splitlines()]\n'
        'print("the run:", len({row[0] for row in run}), "queries,", len(run), "rows")\n'
        if run
        else ""
    )
    return f"""# {id}, exported by Resurvey

The pipeline: {describe(recipe["root"])}.

| what | is |
|---|---|
{rows}

## Load it

From inside this folder, with numpy{" and sentence-transformers" if session.weights else ""}; pyarrow reads the Parquet file.

```python
{_embedding(session)}{_adapting(recipe)}
vectors = np.load("vectors/{view}.npy", mmap_mode="r")
ids = Path("vectors/{view}.ids.txt").read_text("utf-8").splitlines()
rows = pq.read_table("vectors/{view}.parquet")

scores = vectors @ embed("your query")
for row in np.argsort(-scores)[:5].tolist():
    print(f"{{scores[row]:.3f}}", ids[row], rows["text"][row].as_py()[:60])

recipe = json.loads(Path("recipe.json").read_text("utf-8"))
print("the recipe begins with:", recipe["root"]["stage"])
{reading}```

{moved}A document scores as its best row. In the recipe every stage names its inputs; `sha256:…` names a file of
`artefacts/` by its bytes. Fusion, ranker and the rest are answered by `resurvey search` and `resurvey rank`;
other engines take the model, the vectors and the run files. What the pipeline learned, it learned from the judged
training queries, which are in the run files too: compare engines on others.
"""


def _adapting(recipe: Json) -> str:
    """Python that moves a query's vector by what was learned, where the recipe does so."""
    adapter = next((node["adapter"] for node in dense_nodes(recipe["root"]) if node.get("adapter")), "")
    if not adapter:
        return ""
    return f"""plain, learned = embed, np.load("artefacts/{adapter.removeprefix("sha256:")}")

def embed(text):
    found = plain(text)
    found = found + found @ learned["down"] @ learned["up"]
    return found / np.linalg.norm(found)
"""


def _embedding(session: Session) -> str:
    """Python that defines `embed(text)` for a query: by the exported model, or by the endpoint."""
    prompt = session.encoder.prompt("query")
    if session.weights:
        return f"""import json
from pathlib import Path
import numpy as np
import pyarrow.parquet as pq
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("model")

def embed(text):
    return model.encode(text, prompt={prompt!r}, normalize_embeddings=True)
"""
    settings = session.settings
    asked: Json = {"model": settings.text("model"), "input": "…"}
    if settings.integer("endpoint_dimensions"):
        asked["dimensions"] = settings.integer("endpoint_dimensions")
    address = f"{settings.text('endpoint_url').rstrip('/')}/embeddings"
    payload = repr(asked).replace("'…'", f"{prompt!r} + text")
    return f"""import json
import os
import urllib.request
from pathlib import Path
import numpy as np
import pyarrow.parquet as pq

def embed(text):
    key = os.environ.get({settings.text("endpoint_key_env")!r}, "")
    headers = {{"Content-Type": "application/json", "Authorization": f"Bearer {{key}}"}}
    payload = json.dumps({payload}).encode()
    with urllib.request.urlopen(urllib.request.Request({address!r}, payload, headers)) as reply:
        found = np.array(json.load(reply)["data"][0]["embedding"], dtype=np.float32)
    return found / np.linalg.norm(found)
"""
