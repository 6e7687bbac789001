"""Commands that use what was made: rank, search, evaluate, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resurvey.cli.app import AsJson, Dir, app, session_of, show

if TYPE_CHECKING:
    from rich.console import RenderableType


@app.command()
def evaluate(
    root: Dir,
    candidate: Annotated[list[str] | None, typer.Option(help="Candidates to measure; default: all.")] = None,
    split: Annotated[
        str, typer.Option(metavar="held-out|test", help="Held-out scores, or a counted read of the test side.")
    ] = "held-out",
    as_json: AsJson = False,
) -> None:
    """Measure pipelines with intervals; --split test reads the test side and counts it."""
    from resurvey import loop, use
    from resurvey.types import to_json

    if split not in ("held-out", "test"):
        raise typer.BadParameter(f"{split!r} must be held-out or test")
    with session_of(root, quiet=as_json, writes=split == "test") as session:
        found = use.evaluate(session, candidate or [], split)
        if found.reads and (session.workspace.reports / "report.html").exists():
            loop.report(session)  # it says what was measured, and how often the test side was read
    from resurvey.show.console import comparison_lines, means_table

    head = f"{found.split}, {found.queries} queries" + (
        f"; the test side has now been read {found.reads} time{'s' * (found.reads > 1)}" if found.reads else ""
    )
    show(as_json, to_json(found), head, means_table(found.means), "", comparison_lines(found.comparisons))


@app.command()
def rank(
    root: Dir,
    queries: Annotated[Path, typer.Option(help="Queries, in any form that init reads.")],
    output: Annotated[Path, typer.Option(help="The TREC run to write.")],
    candidate: Annotated[str, typer.Option(help="base, bm25, rrf, live, or a candidate's number.")] = "live",
    k: Annotated[int, typer.Option(min=1, help="Documents a query.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Rank documents for a file of queries, as a TREC run that any evaluator can score."""
    from resurvey import use

    with session_of(root, quiet=as_json, writes=True) as session:
        id, count = use.rank(session, queries, output, candidate, k)
    show(
        as_json,
        {"candidate": id, "queries": count, "output": str(output)},
        f"{count:,} queries ranked by {id}: {output}",
    )


@app.command()
def export(
    root: Dir,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new folder to write.")],
    candidate: Annotated[str, typer.Option(help="base, bm25, rrf, live, or a candidate's number.")] = "live",
    as_json: AsJson = False,
) -> None:
    """Write model, vectors, recipe and runs to FOLDER, for other engines, with a README that loads each."""
    from dataclasses import asdict

    from resurvey.export import export as write

    with session_of(root, quiet=as_json, writes=True) as session:
        found = write(session, folder, candidate)
    from resurvey.show.console import parts_table

    show(as_json, asdict(found), parts_table(found.parts), f"\n{found.candidate} exported: {found.folder}/README.md")


@app.command()
def search(
    root: Dir,
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    candidate: Annotated[str, typer.Option(help="base, bm25, rrf, live, or a candidate's number.")] = "live",
    k: Annotated[int, typer.Option(min=1, help="Documents to show.")] = 10,
    where: Annotated[
        str,
        typer.Option(
            "--filter", metavar="EXPR", help="Which documents may be found: \"year >= 2020 and source = 'CDC'\"."
        ),
    ] = "",
    min_confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="Leave out hits that are relevant with a lower probability, all if need be."),
    ] = 0.0,
    explain: Annotated[bool, typer.Option(help="Show every stage's rank and score.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search for TEXT with what is live."""
    from resurvey import use
    from resurvey.search.analyse import words
    from resurvey.search.confidence import rounded

    with session_of(root, quiet=as_json, writes=True) as session:
        found = use.search(session, text, candidate, k, where, min_confidence)
        id, hits, told = found.candidate, found.hits, found.confidence
        also = use.twins(session, candidate, [hit.document for hit in hits], where)
        documents = session.index.documents
        rows = session.index.rows
        known = session.index.store.match(" ".join(words(text, session.index.language)), 1)[0].size > 0
    titles = {hit.document: documents[rows[hit.document]].title or documents[rows[hit.document]].text for hit in hits}
    from resurvey.show.console import explained, hits_table

    value = {
        "candidate": id,
        "words_known": known,
        "confidence": {**told.to_json(), "claims": list(found.claims), "withheld": found.withheld},
        **({"filter": where} if where else {}),
        "hits": [
            {
                "rank": h.rank,
                "document": h.document,
                "score": h.score,
                "probability": rounded(probability),
                "title": titles[h.document],
                "stages": {n: list(s) for n, s in h.stages.items()},
                **({"also": also[h.document]} if h.document in also else {}),
            }
            for h, probability in zip(hits, told.probabilities, strict=True)
        ],
    }
    shown: list[RenderableType] = [
        hits_table(hits, titles, told.probabilities) if hits else "" if found.withheld else "Nothing matches."
    ]
    same = [f"{document}, also: {', '.join(others)}" for document, others in also.items()]
    note = [f"\n{claim}" for claim in found.claims]
    note += [f"\nNo probabilities: {told.why}."] if told.why else []
    note += [] if known else ["\nNo word of the query is in the documents: these are the nearest by vectors alone."]
    show(as_json, value, *shown, *([explained(hits)] if explain else []), *same, *note)
