"""What the terminal shows: results as rich tables that fit 80 columns.

Knows results; computes nothing and prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from resurvey.types import Candidate, Comparison, Hit, Json, Plan

LEVELS = {"healthy": "green", "suspect": "yellow", "confirmed": "red", "unknown": "dim"}


def table(*columns: str) -> Table:
    """An empty table in the house style; columns of numbers start with '>'."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return made


def plan_table(plan: Plan) -> RenderableType:
    """Steps with reasons; what to avoid."""
    made = table("step", "elsewhere", "why")
    for step in plan.steps:
        made.add_row(Text(step.treatment, style="bold"), step.expected, f"{step.reason} (cost: {step.cost})")
    for step in plan.avoid:
        made.add_row(Text(f"not: {step.treatment}", style="red"), "", step.reason)
    return made


KINDS = {"kept": "green", "your engine": "yellow"}


def standing_table(facts: Json) -> RenderableType:
    """Every pipeline against the best untouched one, as the report's picture shows it; live is marked."""
    made = table("", "pipeline", f">{facts['measure']}", ">points", "95 % interval", "")
    for row in facts["ladder"]:
        gain, style = row["gain"], "bold" if row["live"] else ""
        mean = "–" if row["mean"] is None else f"{row['mean']:.3f}"
        points = (f"{gain['points']:+.1f}", f"{gain['low']:+.1f} to {gain['high']:+.1f}") if gain else ("–", "–")
        said = f"{row['kind']}: {row['says']}" if row["kind"] not in ("kept", "not kept") else row["kind"]
        said = said.removesuffix(": ")
        mark = Text("▶" if row["live"] else "", style="green")
        made.add_row(
            mark, Text(row["name"], style=style), mean, *points, Text(said, style=KINDS.get(row["kind"], "dim"))
        )
    note = f"Points against {facts['best_untouched']}, the best untouched, on {facts['gated_on']:,} held-out queries. ▶ is live."
    return Group(made, Text(f"\n{note}", style="dim"))


def steps_table(candidates: Sequence[Candidate]) -> RenderableType:
    """The rungs: each gain is over what was accepted before it, in points."""
    made = table("candidate", ">score", ">points", "95 % interval", "verdict")
    for candidate in candidates:
        c = candidate.comparison
        numbers = (
            (
                f"{c.challenger_mean:.3f}",
                f"{100 * c.difference:+.1f}",
                f"{100 * c.interval.low:+.1f} to {100 * c.interval.high:+.1f}",
            )
            if c
            else ("–", "–", "–")
        )
        verdict = Text("kept" if candidate.kept else "not kept", style="green" if candidate.kept else "dim")
        odd = not c or (candidate.kept and c.difference < 0)
        made.add_row(candidate.id, *numbers, Text.assemble(verdict, f": {candidate.reason}" if odd else ""))
    return Group(made, Text("\nEach against what was kept before it, on queries it was not fitted on.", style="dim"))


def comparison_lines(comparisons: Sequence[Comparison]) -> RenderableType:
    """Every pipeline against one, in points, with the difference that so many queries would show."""
    if not comparisons:
        return Text("")
    made = table("pipeline", ">points", "95 % interval", ">p (Holm)", ">can show")
    for c in comparisons:
        made.add_row(
            c.challenger,
            f"{100 * c.difference:+.1f}",
            f"{100 * c.interval.low:+.1f} to {100 * c.interval.high:+.1f}",
            f"{c.p_corrected:.2g}",
            f"{100 * c.detectable:.1f}",
        )
    note = f"Points of {comparisons[0].measure} against {comparisons[0].baseline}. Can show: the true difference that so many queries find four times in five."
    return Group(made, Text(f"\n{note}", style="dim"))


def means_table(means: Mapping[str, Mapping[str, float]]) -> RenderableType:
    """Measures by pipeline."""
    measures = list(dict.fromkeys(measure for row in means.values() for measure in row))
    made = table("pipeline", *(f">{measure}" for measure in measures))
    for name, row in means.items():
        made.add_row(name, *(f"{row[m]:.3f}" if m in row else "–" for m in measures))
    return made


def hits_table(
    hits: Sequence[Hit], titles: Mapping[str, str], probabilities: Sequence[float | None] = ()
) -> RenderableType:
    """Ranked documents, one a line; where there are probabilities, each hit's."""
    told = any(one is not None for one in probabilities)
    made = table(">rank", ">score", *([">relevant"] if told else []), "document", "title")
    made.columns[-1].overflow, made.columns[-1].no_wrap = "ellipsis", True
    for place, hit in enumerate(hits):
        said = probabilities[place] if told else None
        shown = [] if not told else ["–" if said is None else f"{100 * said:.0f} %"]
        title = " ".join(titles.get(hit.document, "").split())
        made.add_row(str(hit.rank), f"{hit.score:.4f}", *shown, hit.document, title)
    return made


def explained(hits: Sequence[Hit]) -> RenderableType:
    """Rank and score of every stage for every hit."""
    names = list(dict.fromkeys(name for hit in hits for name in hit.stages))
    made = table("document", *(f">{name}" for name in names))
    for hit in hits:
        made.add_row(
            hit.document, *(f"{hit.stages[n][1]:.3f} (#{hit.stages[n][0]})" if n in hit.stages else "–" for n in names)
        )
    return made


def status_table(facts: Json) -> RenderableType:
    """One screen: what was brought, which stages are current, what is live."""
    made = table("", "")
    for name, value in facts["facts"].items():
        made.add_row(Text(name, style="bold"), str(value))
    return Group(made, Text(f"\nNext: {facts['next']}", style="cyan"))


def parts_table(parts: Mapping[str, str]) -> RenderableType:
    """What was written: files and folders, a sentence each."""
    made = table("", "")
    for name, sentence in parts.items():
        made.add_row(Text(name, style="bold"), sentence)
    return made
