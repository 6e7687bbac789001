"""Commands that bring data in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resurvey.cli.app import AsJson, Dir, app, show, stoppable
from resurvey.cli.faults import told_about
from resurvey.errors import ResurveyError


@app.command()
def init(  # noqa: PLR0913, PLR0917  one parameter an option
    root: Dir,
    beir: Annotated[
        Path | None, typer.Option(help="A BEIR folder: corpus.jsonl, queries.jsonl, qrels/{train,dev,test}.tsv.")
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="Documents as JSONL: _id, title, text, metadata.")] = None,
    queries: Annotated[Path | None, typer.Option(help="Queries as JSONL: _id, text.")] = None,
    judgments: Annotated[Path | None, typer.Option(help="TSV (query, document, grade), TREC or JSONL.")] = None,
    run_files: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="NAME=FILE", help="What your present engine returns, as a TREC run."),
    ] = None,
    model: Annotated[str, typer.Option(help="bundled, a sentence-transformers folder, or a hub name.")] = "bundled",
    split_by: Annotated[str, typer.Option(help="Metadata field: latest values, or whole groups, test.")] = "",
    as_json: AsJson = False,
) -> None:
    """Bring your data: read it, check all of it, make the workspace DIR."""
    from resurvey import loop
    from resurvey.data.read import NO_SPLIT, Sources, named_runs
    from resurvey.data.read import beir as beir_sources
    from resurvey.search.encode import locate

    runs = named_runs(run_files or [])
    if judgments is not None and queries is None:
        raise ResurveyError("--judgments names queries, so it needs --queries", "add --queries FILE")
    if (beir is None) == (corpus is None):
        raise ResurveyError(
            "init needs either --beir FOLDER or --corpus FILE, and not both",
            "resurvey init DIR --beir FOLDER, or resurvey init DIR --corpus FILE",
        )
    if beir is not None:
        sources = beir_sources(beir, runs)
    else:
        assert corpus is not None
        sources = Sources(corpus, queries, {NO_SPLIT: judgments} if judgments else {}, runs)
    place = locate(model)
    with stoppable(), told_about(root):
        manifest = loop.init(root, sources, {"model": place if Path(model).is_dir() else model}, split_by)
    ignored = [f"Not read: {path}" for path in manifest["ignored"]]
    lines = [
        f"{manifest['documents']:,} documents, {manifest['queries']:,} queries. {manifest['statement']}",
        *ignored,
        f"Next: resurvey run {root}",
    ]
    show(as_json, manifest, *lines)
