"""The command line: parse, one library call, print. Every command has --json; errors name the next command."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from resurvey import __version__
from resurvey.errors import ResurveyError, StoppedError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from resurvey.session import Session

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Redraw an embedding model's map for your documents, and prove the new map is better.",
)

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The workspace.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Effort = Annotated[
    str, typer.Option("--effort", metavar="small|medium|large", help="How much to spend (medium and large: later).")
]
EFFORTS = ("small", "medium", "large")


def main() -> NoReturn:
    """Run the command line; the one place where exceptions become messages and exit codes."""
    os.environ.setdefault("LANCEDB_LOG", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        app()
        sys.exit(0)
    except ResurveyError as error:
        typer.echo(f"resurvey: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(
            f"resurvey: {where}{error.strerror or error}\nNext: make room or permission there, then the same command again",
            err=True,
        )
        sys.exit(1)


@contextlib.contextmanager
def _session(root: Path, *, quiet: bool, writes: bool) -> Iterator[Session]:
    """Open a workspace with a progress bar on stderr, holding its lease when the command writes."""
    from resurvey.session import Session
    from resurvey.show.progress import Bars
    from resurvey.workspace import Workspace

    workspace = Workspace.open(root)
    with _stoppable(), workspace.lease() if writes else contextlib.nullcontext(), Bars(quiet) as bars:
        yield Session(workspace, bars)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Say what Ctrl-C left behind, before the command-line library turns it into a bare exit."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise StoppedError("stopped. Nothing is lost; the same command goes on where it was.") from error


def _print(as_json: bool, value: Any, *shown: RenderableType) -> None:
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    for part in shown:
        console.print(part, soft_wrap=isinstance(part, str))  # a broken path cannot be copied


def _effort(value: str) -> str:
    if value not in EFFORTS:
        raise typer.BadParameter(f"{value!r} must be one of {', '.join(EFFORTS)}")
    return value


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


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
    with _stoppable():
        manifest = loop.init(root, sources, {"model": place if Path(model).is_dir() else model}, split_by)
    ignored = [f"Not read: {path}" for path in manifest["ignored"]]
    lines = [
        f"{manifest['documents']:,} documents, {manifest['queries']:,} queries. {manifest['statement']}",
        *ignored,
        f"Next: resurvey run {root}",
    ]
    _print(as_json, manifest, *lines)


@app.command()
def diagnose(root: Dir, as_json: AsJson = False) -> None:
    """Say whether the map is wrong, and how: every finding with its interval and level."""
    from resurvey import loop
    from resurvey.types import to_json

    with _session(root, quiet=as_json, writes=True) as session:
        found = loop.diagnose(session)
    from resurvey.show.console import diagnosis_table

    _print(as_json, to_json(found), diagnosis_table(found), f"Next: resurvey decide {root}")


@app.command()
def decide(root: Dir, effort: Effort = "small", as_json: AsJson = False) -> None:
    """Print the plan: what to try, in which order and why; what not to do."""
    from resurvey import loop
    from resurvey.types import to_json

    with _session(root, quiet=as_json, writes=True) as session:
        plan = loop.decide(session, _effort(effort))
    from resurvey.show.console import plan_table

    _print(as_json, to_json(plan), plan_table(plan), f"\nNext: resurvey treat {root}")


@app.command()
def treat(
    root: Dir,
    steps: Annotated[list[str] | None, typer.Argument(metavar="[STEP]...")] = None,
    effort: Effort = "small",
    as_json: AsJson = False,
) -> None:
    """Try the plan's steps, or those named; keep what helps on held-out queries."""
    from resurvey import loop
    from resurvey.types import to_json

    with _session(root, quiet=as_json, writes=True) as session:
        candidates = loop.treat(session, _effort(effort), steps or [])
    from resurvey.show.console import ladder_table

    _print(
        as_json,
        [to_json(c) for c in candidates],
        ladder_table(candidates),
        f"\nNext: resurvey run {root} promotes what passes the gate",
    )


@app.command()
def run(root: Dir, effort: Effort = "small", as_json: AsJson = False) -> None:
    """The main job: diagnose, decide, treat, promote, report."""
    from resurvey import loop
    from resurvey.workspace import read_json

    with _session(root, quiet=as_json, writes=True) as session:
        result = loop.run(session, _effort(effort))
        candidates = loop.treat(session, effort)
        facts = read_json(session.workspace.reports / "report.json")
    from resurvey.show.console import ladder_table

    _print(
        as_json,
        facts,
        ladder_table(candidates, result.live, facts["baselines"]),
        f"\n{result.sentence}",
        f"Report: {result.report}",
    )


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
    from resurvey import use
    from resurvey.types import to_json

    if split not in ("held-out", "test"):
        raise typer.BadParameter(f"{split!r} must be held-out or test")
    with _session(root, quiet=as_json, writes=split == "test") as session:
        found = use.evaluate(session, candidate or [], split)
    from resurvey.show.console import comparison_lines, means_table

    head = f"{found.split}, {found.queries} queries" + (
        f"; the test side has now been read {found.reads} times" if found.reads else ""
    )
    _print(as_json, to_json(found), head, means_table(found.means), "", comparison_lines(found.comparisons))


@app.command()
def rank(
    root: Dir,
    queries: Annotated[Path, typer.Option(help="Queries as JSONL.")],
    output: Annotated[Path, typer.Option(help="The TREC run to write.")],
    candidate: Annotated[str, typer.Option(help="base, bm25, rrf, live, or a candidate's number.")] = "live",
    k: Annotated[int, typer.Option(min=1, help="Documents a query.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Rank documents for a file of queries, as a TREC run that any evaluator can score."""
    from resurvey import use

    with _session(root, quiet=as_json, writes=True) as session:
        id, count = use.rank(session, queries, output, candidate, k)
    _print(
        as_json,
        {"candidate": id, "queries": count, "output": str(output)},
        f"{count:,} queries ranked by {id}: {output}",
    )


@app.command()
def search(
    root: Dir,
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    candidate: Annotated[str, typer.Option(help="base, bm25, rrf, live, or a candidate's number.")] = "live",
    k: Annotated[int, typer.Option(min=1, help="Documents to show.")] = 10,
    explain: Annotated[bool, typer.Option(help="Show every stage's rank and score.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search for TEXT with what is live."""
    from resurvey import use

    with _session(root, quiet=as_json, writes=True) as session:
        id, hits = use.search(session, text, candidate, k)
        documents = session.index.documents
        rows = session.index.rows
    titles = {hit.document: documents[rows[hit.document]].title or documents[rows[hit.document]].text for hit in hits}
    from resurvey.show.console import explained, hits_table

    value = {
        "candidate": id,
        "hits": [
            {
                "rank": h.rank,
                "document": h.document,
                "score": h.score,
                "title": titles[h.document],
                "stages": {n: list(s) for n, s in h.stages.items()},
            }
            for h in hits
        ],
    }
    shown: list[RenderableType] = [hits_table(hits, titles) if hits else "Nothing matches."]
    _print(as_json, value, *shown, *([explained(hits)] if explain else []))


@app.command()
def status(root: Dir, as_json: AsJson = False) -> None:
    """One screen: what was brought, what is done, what is live, what comes next."""
    from resurvey.show.console import status_table
    from resurvey.show.status import status as facts_of
    from resurvey.workspace import Workspace

    facts = facts_of(Workspace.open(root))
    _print(as_json, facts, status_table(facts))


@app.command()
def report(root: Dir, as_json: AsJson = False) -> None:
    """Write the report as one HTML page and as JSON."""
    from resurvey import loop
    from resurvey.workspace import read_json

    with _session(root, quiet=as_json, writes=True) as session:
        page = loop.report(session)
    _print(as_json, read_json(page.with_suffix(".json")), f"Report: {page}")


@app.command()
def promote(root: Dir, candidate: Annotated[str, typer.Argument(metavar="NNNN")], as_json: AsJson = False) -> None:
    """Make a candidate live, if it passes the gate (exit 3 when refused)."""
    from resurvey import loop

    with _session(root, quiet=as_json, writes=True) as session:
        id = loop.promote(session, candidate)
    _print(as_json, {"live": id}, f'{id} is live. Next: resurvey search {root} "…"')


@app.command()
def rollback(root: Dir, as_json: AsJson = False) -> None:
    """Make what was live before live again."""
    from resurvey.promote.live import rollback as back

    with _session(root, quiet=as_json, writes=True) as session:
        was, now = back(session.workspace)
    _print(
        as_json,
        {"was": was.candidate, "live": now.candidate},
        f"{now.candidate} is live again (it was {was.candidate}).",
    )
