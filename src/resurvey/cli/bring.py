"""Commands that bring data in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from resurvey.cli.app import AsJson, Dir, app, show, stoppable
from resurvey.cli.faults import told_about
from resurvey.errors import ResurveyError
from resurvey.types import Json

ROWS = "CSV, TSV, JSONL, JSON, Parquet or a saved Hugging Face dataset"


@app.command()
def init(  # noqa: PLR0913, PLR0917  one parameter an option
    root: Dir,
    beir: Annotated[
        Path | None, typer.Option(help="A BEIR folder: corpus.jsonl, queries.jsonl, qrels/{train,dev,test}.tsv.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help=f"Documents: {ROWS}, or a folder of Markdown and text files.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Queries: the same formats, TREC topics, or a text file of one query a line.")
    ] = None,
    judgments: Annotated[
        Path | None, typer.Option(help="Grades 0 to 4 of documents for queries: the same formats, or TREC qrels.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Rows of a query, what is relevant to it and what is not: texts or ids.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="An answer log: rows of a query, its passages, the answer, a reference.")
    ] = None,
    add_texts: Annotated[
        bool, typer.Option("--add-texts", help="Texts that only pairs or answers hold become documents.")
    ] = False,
    ir_dataset: Annotated[
        str, typer.Option(metavar="NAME", help="A dataset that the ir_datasets package knows, such as vaswani.")
    ] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="KIND.ROLE=COLUMN", help="Correct a guessed column: corpus.text=body."),
    ] = None,
    run_files: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="NAME=FILE", help="What your present engine returns, as a TREC run."),
    ] = None,
    model: Annotated[str, typer.Option(help="bundled, a sentence-transformers folder, or a hub name.")] = "bundled",
    endpoint: Annotated[
        str,
        typer.Option(metavar="URL", help="OpenAI-compatible address whose MODEL embeds: https://host/v1."),
    ] = "",
    split_by: Annotated[str, typer.Option(help="Metadata field: latest values, or whole groups, test.")] = "",
    as_json: AsJson = False,
) -> None:
    """Bring your data: read it, check all of it, make the workspace DIR."""
    from dataclasses import replace

    from resurvey import loop
    from resurvey.data.columns import mapped
    from resurvey.data.read import NO_SPLIT, Sources, named_runs
    from resurvey.data.read import beir as beir_sources

    runs, mapping = named_runs(run_files or []), mapped(columns or [])
    paths = {"corpus": corpus, "queries": queries, "judgments": judgments, "pairs": pairs, "answers": answers}
    given = {name: path.expanduser() for name, path in paths.items() if path is not None}
    _refuse_unclear(beir, given, ir_dataset, add_texts)
    if beir is not None:
        sources = beir_sources(beir.expanduser(), runs)
    else:
        judged = {NO_SPLIT: given["judgments"]} if "judgments" in given else {}
        sources = Sources(given.get("corpus"), given.get("queries"), judged, runs, named=ir_dataset)
    sources = replace(
        sources, pairs=given.get("pairs"), answers=given.get("answers"), columns=mapping, add_texts=add_texts
    )
    with stoppable(), told_about(root):
        manifest = loop.init(root.expanduser(), sources, _encoder(model, endpoint), split_by)
    show(as_json, manifest, *_told(manifest, root))


def _encoder(model: str, endpoint: str) -> dict[str, str | int | float]:
    """The settings that name the encoder, after it was looked at: nothing is made for one that cannot be had."""
    from resurvey.search.encode import locate, reachable
    from resurvey.search.endpoint import endpoint_of, open_endpoint
    from resurvey.settings import Settings, defaults

    if endpoint:
        values: dict[str, str | int | float] = {"model": model, "endpoint_url": endpoint}
        if (found := endpoint_of(Settings(defaults() | values))) is not None:
            with tempfile.TemporaryDirectory() as folder:
                open_endpoint(found, Path(folder))
        return values
    place = locate(model)
    reachable(model)
    return {"model": place if Path(model).is_dir() else model}


def _refuse_unclear(beir: Path | None, given: dict[str, Path], ir_dataset: str, add_texts: bool) -> None:
    """Refuse what could mean two things, or nothing."""
    named = beir is not None or bool(ir_dataset)
    if "judgments" in given and not named and "queries" not in given:
        raise ResurveyError("--judgments names queries, so it needs --queries", "add --queries FILE")
    whole = [beir is not None, bool(ir_dataset), "corpus" in given]
    from_texts = add_texts and ("pairs" in given or "answers" in given)
    if sum(whole) > 1 or not (any(whole) or from_texts):
        raise ResurveyError(
            "init needs either --beir FOLDER or --corpus FILE or --ir-dataset NAME, and not two of them; "
            "--pairs FILE --add-texts makes a corpus of the pairs' texts",
            "resurvey init DIR --beir FOLDER, or resurvey init DIR --corpus FILE",
        )
    beside = [f"--{name}" for name in ("queries", "judgments") if name in given]
    if named and beside:
        raise ResurveyError(
            f"{' and '.join(beside)} cannot stand beside --beir or --ir-dataset, which bring their own",
            f"leave {' and '.join(beside)} out, or name the corpus by --corpus FILE",
        )


def _told(manifest: Json, root: Path) -> list[str]:
    columns = (
        f"{Path(path).name}: {', '.join(f'{role} = {names}' for role, names in roles.items())}"
        for path, roles in manifest["columns"].items()
    )
    answers = f" {manifest['answers']:,} answers." if manifest["answers"] else ""
    return [
        *columns,
        *(f"Not read: {path}" for path in manifest["ignored"]),
        f"{manifest['documents']:,} documents, {manifest['queries']:,} queries. {manifest['statement']}{answers}",
        f"Next: resurvey run {root}",
    ]
