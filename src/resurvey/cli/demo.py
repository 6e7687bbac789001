"""The command that shows everything at once, on text that every machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resurvey.cli.app import AsJson, app, session_of, show, stoppable


@app.command()
def demo(
    root: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to leave it.")] = Path("resurvey-demo"),
    documents: Annotated[int, typer.Option(min=60, help="At most so many; fewer are faster and show less.")] = 2000,
    as_json: AsJson = False,
) -> None:
    """The whole story on the API reference of packages installed here."""
    from rich.text import Text

    from resurvey import demo as story
    from resurvey import loop
    from resurvey.show.console import standing_table
    from resurvey.show.progress import Bars
    from resurvey.workspace import read_json

    def say(sentence: str) -> None:
        typer.echo(sentence, err=as_json)

    brought, work = root / story.BROUGHT, root / story.WORK
    say(f"1. The documentation of Python packages installed here becomes a collection: {brought}")
    say("   A query is a docstring's first line; the page it was taken from is the right answer.")
    with stoppable(), Bars(as_json) as bars:
        story.bring(root, documents, bars)
    say(f"2. resurvey init {work} --beir {brought}")
    with stoppable():
        workspace = story.workspace(root)
    data = read_json(workspace.data / "manifest.json")
    say(f"   {data['documents']:,} documents, {data['queries']:,} queries. {data['statement']}")
    say(f"3. resurvey run {work}")
    say("   Embeds everything on this machine: a few minutes the first time, seconds after that.")
    with session_of(work, quiet=as_json, writes=True) as session:
        result = loop.run(session, "small")
        say("4. resurvey evaluate: what went live, on test queries that nothing was built on")
        proof = story.prove(session)
        facts = read_json(session.workspace.reports / "report.json")
    show(
        as_json,
        facts,
        standing_table(facts),
        Text(f"\n{result.sentence}"),
        *([Text(f"Test: {proof.sentence}")] if proof else []),
        f"\nReport: {result.report}",
        f'Next: open it; resurvey search {work} "smooth a noisy signal"; then bring your own: resurvey init --help',
    )
