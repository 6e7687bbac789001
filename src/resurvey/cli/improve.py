"""Commands that find out what is wrong and mend it: the chapters of `run`, and what goes live."""

from __future__ import annotations

from typing import Annotated

import typer

from resurvey.cli.app import USUAL, AsJson, Dir, Effort, app, checked_effort, session_of, show


@app.command()
def diagnose(root: Dir, as_json: AsJson = False) -> None:
    """Say whether the map is wrong, and how: every finding with its interval and level."""
    from resurvey import loop
    from resurvey.types import to_json

    with session_of(root, quiet=as_json, writes=True) as session:
        found = loop.diagnose(session)
    from resurvey.show.findings import diagnosis_table

    show(as_json, to_json(found), diagnosis_table(found), f"Next: resurvey decide {root}")


@app.command()
def decide(root: Dir, effort: Effort = USUAL, as_json: AsJson = False) -> None:
    """Print the plan: what to try, in which order and why; what not to do."""
    from resurvey import loop
    from resurvey.types import to_json

    with session_of(root, quiet=as_json, writes=True) as session:
        plan = loop.decide(session, checked_effort(effort))
    from resurvey.show.console import plan_table

    show(as_json, to_json(plan), plan_table(plan), f"\nNext: resurvey treat {root}")


@app.command()
def treat(
    root: Dir,
    steps: Annotated[list[str] | None, typer.Argument(metavar="[STEP]...")] = None,
    effort: Effort = USUAL,
    as_json: AsJson = False,
) -> None:
    """Try the plan's steps, or those named; keep what helps on held-out queries."""
    from resurvey import loop
    from resurvey.types import to_json

    with session_of(root, quiet=as_json, writes=True) as session:
        candidates = loop.treat(session, checked_effort(effort), steps or [])
    from resurvey.show.console import steps_table

    show(
        as_json,
        [to_json(c) for c in candidates],
        steps_table(candidates),
        f"\nNext: resurvey run {root} promotes what passes the gate",
    )


@app.command()
def run(root: Dir, effort: Effort = USUAL, as_json: AsJson = False) -> None:
    """The main job: diagnose, decide, treat, promote, report."""
    from resurvey import loop
    from resurvey.workspace import read_json

    with session_of(root, quiet=as_json, writes=True) as session:
        result = loop.run(session, checked_effort(effort))
        facts = read_json(session.workspace.reports / "report.json")
    from rich.text import Text

    from resurvey.show.console import standing_table

    show(
        as_json,
        facts,
        standing_table(facts),
        Text(f"\n{result.sentence}"),
        f"\nReport: {result.report}",
        f"Next: {facts['next'][0]['command']}: {facts['next'][0]['why']}",
    )


@app.command()
def promote(root: Dir, candidate: Annotated[str, typer.Argument(metavar="NNNN")], as_json: AsJson = False) -> None:
    """Make a candidate live, if it passes the gate (exit 3 when refused)."""
    from resurvey import loop

    with session_of(root, quiet=as_json, writes=True) as session:
        id = loop.promote(session, candidate)
    show(as_json, {"live": id}, f'{id} is live. Next: resurvey search {root} "…"')


@app.command()
def rollback(root: Dir, as_json: AsJson = False) -> None:
    """Make what was live before live again."""
    from resurvey.promote.live import rollback as back

    with session_of(root, quiet=as_json, writes=True) as session:
        was, now = back(session.workspace)
    show(
        as_json,
        {"was": was.candidate, "live": now.candidate},
        f"{now.candidate} is live again (it was {was.candidate}).",
    )
