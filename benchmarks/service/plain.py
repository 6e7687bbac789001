"""The peer: LanceDB hybrid search with reciprocal rank fusion, written as its documentation shows it, behind FastAPI.

    python -m service.plain FOLDER PORT --engine torch|compiled --workspace DIR

A table of text, title and vector with a full-text index and a vector index; a query is embedded and searched with
`query_type="hybrid"`. `torch` embeds with SentenceTransformer.encode, as its users do; `compiled` with the product's own
engine, so that only the search differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import uvicorn
from fastapi import FastAPI, Request
from lancedb.rerankers import RRFReranker

from resurvey.session import Session
from resurvey.types import Floats
from resurvey.workspace import Workspace

Embed = Callable[[str], Floats]


def made(folder: Path, workspace: Path) -> Any:
    """The table over a workspace's documents and vectors; made once."""
    database = lancedb.connect(str(folder))
    if "passages" in database.table_names():
        return database.open_table("passages")
    index = Session(Workspace.open(workspace)).index
    vectors = np.asarray(index.truncated)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    rows = pa.table({
        "id": [d.id for d in index.documents],
        "title": [d.title for d in index.documents],
        "text": [d.full_text for d in index.documents],
        "vector": flat,
    })  # fmt: skip
    table = database.create_table("passages", rows)
    table.create_fts_index("text", use_tantivy=False)
    table.create_index(metric="cosine", index_type="IVF_HNSW_SQ")
    return table


def embedder(engine: str, workspace: Path) -> Embed:
    """One text to its vector."""
    if engine == "compiled":
        encoder = Session(Workspace.open(workspace)).encoder
        return lambda text: np.asarray(encoder.encode([text], "query")[0])
    from sentence_transformers import SentenceTransformer

    from resurvey.search.encode import locate

    model = SentenceTransformer(locate("bundled"), device="cpu")
    return lambda text: np.asarray(model.encode([text], normalize_embeddings=True, show_progress_bar=False)[0])


def application(table: Any, embed: Embed) -> FastAPI:
    """POST /search, as the product's."""
    app, fuse = FastAPI(), RRFReranker()

    @app.post("/search")
    def search(asked: dict[str, Any]) -> dict[str, Any]:
        found = (
            table.search(query_type="hybrid").vector(embed(asked["query"])).text(asked["query"])
            .rerank(fuse).limit(asked.get("k", 10)).select(["id", "title"]).to_list()
        )  # fmt: skip
        return {"hits": [{"id": row["id"], "title": row["title"], "score": row["_relevance_score"]} for row in found]}

    @app.get("/ready")
    def ready(_: Request) -> dict[str, bool]:
        return {"ready": True}

    return app


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--engine", choices=("torch", "compiled"), default="torch")
    parser.add_argument("--workspace", type=Path, required=True)
    arguments = parser.parse_args()
    app = application(made(arguments.folder, arguments.workspace), embedder(arguments.engine, arguments.workspace))
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
