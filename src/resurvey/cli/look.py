"""Commands that show where things stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resurvey.cli.app import AsJson, Dir, app, session_of, show, stoppable


@app.command()
def check(root: Dir, as_json: AsJson = False) -> None:
    """Before anything is embedded: what would be cut off, what is there twice, what it costs, and a checklist."""
    from resurvey import checkup

    with session_of(root, quiet=as_json, writes=True) as session:
        facts = checkup.check(session)
    from resurvey.show.checking import checkup_table

    show(as_json, facts, checkup_table(facts), *([] if facts["refused"] else [f"\nNext: resurvey run {root}"]))
    checkup.refuse(session, facts)


@app.command()
def chunks(
    root: Dir,
    sizes: Annotated[str, typer.Option("--sizes", help="Tokens of a passage to compare, with commas between.")] = "",
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Set the best size in resurvey.toml, if one is better.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare passage sizes on your judged queries, scored by documents; `--adopt` takes the best."""
    from resurvey import chunking

    try:
        named = [int(size) for size in sizes.split(",") if size.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{sizes!r} must be whole numbers with commas between, such as 64,128") from error
    with session_of(root, quiet=as_json, writes=True) as session:
        facts = chunking.compare_sizes(session, named)
        facts["adopted"] = adopt and chunking.adopt(session, facts)
    from resurvey.show.sizes import sizes_table

    show(as_json, facts, sizes_table(facts, str(root)))


@app.command()
def status(root: Dir, as_json: AsJson = False) -> None:
    """One screen: what was brought, what is done, what is live, what comes next."""
    from resurvey.show.console import status_table
    from resurvey.show.status import status as facts_of
    from resurvey.workspace import Workspace

    facts = facts_of(Workspace.open(root))
    show(as_json, facts, status_table(facts))


@app.command()
def report(root: Dir, as_json: AsJson = False) -> None:
    """Write the report as one HTML page and as JSON."""
    from resurvey import loop
    from resurvey.workspace import read_json

    with session_of(root, quiet=as_json, writes=True) as session:
        page = loop.report(session)
    show(as_json, read_json(page.with_suffix(".json")), f"Report: {page}")


@app.command("map")
def draw_map(root: Dir, as_json: AsJson = False) -> None:
    """Draw passages, queries, hubs and words where the encoder puts them: one page to search and walk around in."""
    from resurvey import atlas, loop
    from resurvey.workspace import read_json

    with session_of(root, quiet=as_json, writes=True) as session:
        page = atlas.draw(session)
        if (session.workspace.reports / "report.html").exists():
            loop.report(session)  # it shows a picture of the map
    facts = read_json(page.with_suffix(".json"))
    drawn = f"{len(facts['passages']['x']):,} passages, {len(facts['queries']['x']):,} queries"
    show(as_json, facts, f"Map: {page}", f"{drawn}. Open it in a browser; it needs no network.")


@app.command()
def doctor(
    root: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A workspace: its encoder, its disk.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what is missing, how to get it, and how fast this machine embeds."""
    from resurvey.doctor.examine import examine, patient_of
    from resurvey.show.health import health_table
    from resurvey.show.progress import Bars

    with stoppable(), Bars(as_json) as bars:
        facts = examine(patient_of(root), bars)
    show(as_json, facts, *health_table(facts), f"\nNext: {facts['next']}")
    if not facts["ok"]:
        raise typer.Exit(1)
