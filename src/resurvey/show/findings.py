"""The diagnosis on a terminal of 80 columns: the answer, what is ill before what is not, words, failures, other problems.

Knows findings; measures nothing.
"""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.text import Text

from resurvey.diagnose.answer import JUDGMENTS, bottleneck
from resurvey.diagnose.elsewhere import elsewhere
from resurvey.show.console import LEVELS, table
from resurvey.show.quantity import written
from resurvey.types import Diagnosis, Finding, Json, Level

ORDER: tuple[Level, ...] = ("confirmed", "suspect", "unknown", "healthy")
"""What matters most stands first."""


def by_urgency(diagnosis: Diagnosis) -> list[Finding]:
    """The findings, what is ill before what is not."""
    return sorted(diagnosis.findings, key=lambda found: ORDER.index(found.level))


def diagnosis_table(diagnosis: Diagnosis) -> RenderableType:
    """The answer, then every finding with value, interval, level and reading, the ill ones first."""
    answer = bottleneck(diagnosis)
    head = Text.assemble(
        ("Is the embedding model the bottleneck? ", "bold"), f"{answer.short.capitalize()}: {answer.sentence}\n"
    )
    levels = Counter(finding.level for finding in diagnosis.findings)
    counted = ", ".join(f"{levels[level]} {level}" for level in ORDER if levels[level])
    made = table("level", "finding")
    for finding in by_urgency(diagnosis):
        made.add_row(Text(finding.level, style=LEVELS[finding.level]), _told(finding))
    made.columns[0].no_wrap = True
    blind = diagnosis.judged_by != JUDGMENTS
    by = (
        "Nobody judged a query: what is said of quality was measured on queries made from your documents and has no level. About 50 judged ones would give it one."
        if blind
        else "Measured with your train and dev judgments. A level is given only where the whole interval lies in one band."
    )
    return Group(
        head,
        Text(f"{len(diagnosis.findings)} findings: {counted}.\n"),
        made,
        *_words(diagnosis),
        *_failures(diagnosis),
        *_elsewhere(diagnosis),
        Text(f"\n{by}", style="dim"),
    )


def _told(finding: Finding) -> Text:
    """Title and name, the value with its interval and unit, and the reading, a line or more each."""
    found = Text.assemble((finding.title, "bold"), (f"  {finding.id}", "dim"))
    if finding.value is not None:
        ends = finding.interval and (finding.interval.low, finding.interval.high)
        between = " to ".join(written(end, finding.unit, finding.value) for end in ends) if ends else ""
        around = f" ({between})" if between else ""
        found.append(f"\n{written(finding.value, finding.unit)}{around} {finding.unit}")
    return found.append(f"\n{finding.reading}", style="dim").append("\n")


def _words(diagnosis: Diagnosis) -> list[RenderableType]:
    """Words with another meaning here, or with two."""
    rows: list[Json] = next((f.evidence["terms"] for f in diagnosis.findings if f.id == "R13-collision"), [])
    if not rows:
        return []
    made = table("word", "your encoder reads it as", "here it stands beside")
    for row in rows:
        senses = [
            f"\nsense {n}: {', '.join(sense['words'])}" for n, sense in enumerate(row["senses"], 1) if sense["words"]
        ]
        made.add_row(Text(row["term"], style="bold"), ", ".join(row["web"]), ", ".join(row["beside"]) + "".join(senses))
    return [Text("Words that mean something else here, or two things\n", style="bold"), made]


def _failures(diagnosis: Diagnosis) -> list[RenderableType]:
    """Failing queries by cause with one of each, where any fails."""
    found = next((f.evidence["failures"] for f in diagnosis.findings if "failures" in f.evidence), None)
    if not found or not found["causes"]:
        return []
    asked = found["failing"]
    made = table("cause", ">queries", "what it means: what mends it")
    for row in found["causes"]:
        means = Text(row["means"])
        if row["examples"]:
            means.append(f"\n“{' '.join(row['examples'][0]['text'].split())}”", style="dim")
        made.add_row(Text(row["cause"], no_wrap=True), f"{row['queries']:,}", means)
    some = f" ({found['looked at']:,} looked at)" if found["looked at"] < asked else ""
    title = f"\nQueries whose right document is not among the first ten of dense search: {asked:,}{some}\n"
    return [Text(title, style="bold"), made]


def _elsewhere(diagnosis: Diagnosis) -> list[RenderableType]:
    """What else it could be, where something else it is, or nobody knows."""
    rows = [row for row in elsewhere(diagnosis) if row["holds"] == "yes"]
    made = table("a different problem here", "it is", "since")
    for row in rows:
        made.add_row(row["observed"], row["problem"], row["evidence"])
    return [Text(""), made] if rows else []
