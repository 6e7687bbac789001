"""How each picture is drawn on matplotlib axes, how tall it must be, and what it says in a sentence.

Colours come by name; `narrow` asks for the phone's version. Knows the facts of a report and axes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from resurvey.types import Json

Colours = Mapping[str, str]
KINDS = {"kept": "good", "untouched": "dim", "your engine": "warn", "not kept": "bad"}
SERIES = {"relevant": "good", "judged irrelevant": "bad", "random": "dim"}
TERMS = 10


def plain(axes: Any, colours: Colours) -> None:
    """No frame, quiet ticks: what is drawn is what was measured."""
    for side in axes.spines.values():
        side.set_visible(False)
    axes.patch.set_visible(False)
    axes.tick_params(length=0, labelcolor=colours["dim"])
    axes.title.set_color(colours["ink"])
    axes.xaxis.label.set_color(colours["dim"])
    axes.yaxis.label.set_color(colours["dim"])


def _label(text: str, most: int) -> str:
    cut = text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
    return cut.replace("$", "\\$")  # matplotlib would set it as a formula


def _rows(axes: Any, names: Sequence[str], colours: Colours) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", labelcolor=colours["ink"])


def _finding(facts: Json, id: str) -> Json | None:
    return next((f for f in facts["findings"] if f["id"] == id), None)


def has_ladder(facts: Json) -> bool:
    """Whether anything was compared."""
    return any(row["mean"] is not None for row in facts["ladder"])


def ladder_height(facts: Json) -> float:
    """Inches."""
    return 0.9 + 0.3 * sum(row["mean"] is not None for row in facts["ladder"])


def ladder(axes: Any, facts: Json, colours: Colours, narrow: bool) -> None:
    """Every pipeline's gain over the best untouched one, with its interval; the mean beside it."""
    rows = [row for row in facts["ladder"] if row["mean"] is not None]
    axes.axvline(0, color=colours["dim"], linewidth=0.8)
    right = max([row["gain"]["high"] for row in rows if row["gain"]] + [1.0])
    left = min([row["gain"]["low"] for row in rows if row["gain"]] + [-1.0])
    for place, row in enumerate(rows):
        colour = colours[KINDS[row["kind"]]]
        gain = row["gain"] or {"points": 0.0, "low": 0.0, "high": 0.0}
        axes.plot([gain["low"], gain["high"]], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(
            [gain["points"]], [place], "D" if row["live"] else "o", color=colour, markersize=7 if row["live"] else 5
        )
        axes.text(right + 0.04 * (right - left), place, f"{row['mean']:.3f}", va="center", ha="left",
                  color=colours["ink"], fontweight="bold" if row["live"] else "normal")  # fmt: skip
    _rows(axes, [_label(row["name"], 16 if narrow else 26) for row in rows], colours)
    axes.set_xlim(left, right)
    axes.set_xlabel(
        f"points against {_label(facts['best_untouched'], 12)}, 95 % interval"
        + ("" if narrow else f"; right: {facts['measure']}")
    )
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row["live"] else "normal")


def ladder_says(facts: Json) -> str:
    """The same in words."""
    shown = [f"{row['name']} {row['mean']:.3f}" for row in facts["ladder"] if row["mean"] is not None]
    return f"{facts['measure']} of every pipeline, and its gain over {facts['best_untouched']}: {', '.join(shown)}."


def has_slices(facts: Json) -> bool:
    """Whether there is more than the whole to show."""
    return len(facts["slices"]) > 1


def slices_height(facts: Json) -> float:
    """Inches."""
    return 0.8 + 0.34 * len(facts["slices"])


def slices(axes: Any, facts: Json, colours: Colours, narrow: bool) -> None:
    """Every slice before (hollow) and after (full)."""
    rows = facts["slices"]
    for place, row in enumerate(rows):
        axes.plot([row["before"]], [place], "o", markerfacecolor="none", markeredgecolor=colours["dim"], markersize=6)
        if row["after"] is None:
            continue
        colour = colours["good" if row["after"] >= row["before"] else "bad"]
        axes.plot([row["before"], row["after"]], [place, place], color=colour, linewidth=1.6, zorder=1)
        axes.plot([row["after"]], [place], "o", color=colour, markersize=6)
    axes.locator_params(axis="x", nbins=4 if narrow else 8)
    wrap = 18 if narrow else 40
    _rows(axes, [textwrap.fill(f"{_label(row['name'], 60)} ({row['queries']:,})", wrap) for row in rows], colours)
    axes.grid(axis="x", color=colours["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlim(right=min(axes.get_xlim()[1], 1.0) + 0.005)
    axes.set_xlabel(
        f"{facts['measure']}: hollow {_label(facts['best_untouched'], 12)}"
        + (", full: what is live" if rows[0]["after"] is not None else "")
    )


def slices_says(facts: Json) -> str:
    """The same in words."""
    said = [
        f"{row['name']}: {row['before']:.3f}" + (f" to {row['after']:.3f}" if row["after"] is not None else "")
        for row in facts["slices"]
    ]
    return f"{facts['measure']} by slice of queries. {'; '.join(said)}."


def has_ranks(facts: Json) -> bool:
    """Whether rankings were kept."""
    return bool(facts["ranks"])


def ranks_height(facts: Json) -> float:
    """Inches."""
    return 0.95 + 0.42 * len(facts["ranks"])


def ranks(axes: Any, facts: Json, colours: Colours, narrow: bool) -> None:
    """Share of the queries by where their first right document stands, a bar a pipeline."""
    names = list(facts["ranks"])
    steps = list(facts["ranks"][names[0]])
    shades = [("good", 1.0), ("good", 0.62), ("good", 0.34), ("warn", 0.45), ("warn", 0.8), ("bad", 0.9)]
    left = dict.fromkeys(names, 0.0)
    for step, (colour, strength) in zip(steps, shades, strict=True):
        shares = [100 * facts["ranks"][name][step] / max(1, sum(facts["ranks"][name].values())) for name in names]
        axes.barh(range(len(names)), shares, left=[left[name] for name in names], color=colours[colour], alpha=strength,
                  height=0.62, label=step, linewidth=0)  # fmt: skip
        left = {name: left[name] + share for name, share in zip(names, shares, strict=True)}
    _rows(axes, [_label(name, 16 if narrow else 26) for name in names], colours)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the queries")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3 if narrow else 6, frameon=False,
                labelcolor=colours["dim"], handlelength=0.9, columnspacing=1.1)  # fmt: skip


def ranks_says(facts: Json) -> str:
    """The same in words."""
    said = [f"{name}: " + ", ".join(f"{step} {n:,}" for step, n in row.items()) for name, row in facts["ranks"].items()]
    return f"Where the first right document stands, in queries. {'; '.join(said)}."


def has_atlas(facts: Json) -> bool:
    """Whether a map was drawn."""
    return bool(facts.get("atlas"))


def atlas(axes: Any, facts: Json, colours: Colours, narrow: bool) -> None:
    """Passages as dots, hubs as rings, queries by whether their right document is among the first ten, words by name."""
    found = facts["atlas"]
    size = 2.2 if narrow else 4.0
    axes.scatter(found["x"], found["y"], s=size, color=colours["line"], linewidths=0, label="passages")
    for name, colour in (("found", "accent"), ("not found", "bad")):
        axes.scatter(
            found[name]["x"],
            found[name]["y"],
            s=2.6 * size,
            color=colours[colour],
            linewidths=0,
            label=f"queries, {name}",
        )
    hubs = found["hubs"]
    if hubs["x"]:
        axes.scatter(hubs["x"], hubs["y"], s=12 * size, facecolors="none", edgecolors=colours["warn"], label="hubs")
    words = found["words"]
    for x, y, word in _apart(words, 6 if narrow else 12, 0.22 if narrow else 0.1):
        axes.text(
            x,
            y,
            _label(word, 16),
            color=colours["ink"],
            fontsize=7 if narrow else 8,
            fontweight="bold",
            ha="center",
            va="center",
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2 if narrow else 4, frameon=False,
                labelcolor=colours["dim"], handletextpad=0.2, columnspacing=1.1)  # fmt: skip


def _apart(words: Json, most: int, wide: float) -> list[tuple[float, float, str]]:
    """So many words where they stand, each below those that it would cover."""
    placed: list[tuple[float, float, str]] = []
    for x, start, word in list(zip(words["x"], words["y"], words["word"], strict=True))[:most]:
        y = start
        while any(abs(x - a) < wide and abs(y - b) < 0.035 for a, b, _ in placed):
            y -= 0.035
        placed.append((x, y, word))
    return placed


def atlas_says(facts: Json) -> str:
    """The same in words."""
    found = facts["atlas"]
    return (
        f"The map: {len(found['x']):,} of {found['passages']:,} passages, {len(found['found']['x'])} queries whose right "
        f"document is among the first ten and {len(found['not found']['x'])} whose is not, {len(found['hubs']['x'])} hubs, "
        f"{len(found['words']['x'])} words that mean something else here."
    )


def has_scores(facts: Json) -> bool:
    """Whether cosines were counted."""
    found = _finding(facts, "R10-separation")
    return bool(found and found["evidence"].get("histograms"))


def scores(axes: Any, facts: Json, colours: Colours, _narrow: bool) -> None:
    """Cosines of queries with relevant, judged irrelevant and random documents, each as shares."""
    found = _finding(facts, "R10-separation")
    assert found is not None
    groups = found["evidence"]["histograms"]
    used = [place for counts in groups.values() for place, n in enumerate(counts) if n]
    low, high = min(used), max(used) + 1  # nothing is clipped, so what lies outside must not be drawn
    for name, counts in groups.items():
        shares = [100 * n / max(1, sum(counts)) for n in counts[low:high]]
        edges = found["evidence"]["edges"][low : high + 1]
        axes.stairs(shares, edges, color=colours[SERIES[name]], fill=True, alpha=0.35)
        axes.stairs(shares, edges, color=colours[SERIES[name]], label=name, linewidth=1.4)
    axes.set_xlabel("cosine with the query")
    axes.set_ylabel("% of the pairs")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, labelcolor=colours["dim"])


def scores_says(facts: Json) -> str:
    """The same in words."""
    found = _finding(facts, "R10-separation")
    assert found is not None
    return f"Cosines of queries with relevant and with random documents. {found['reading']}"


def has_hubs(facts: Json) -> bool:
    """Whether occurrences were counted."""
    found = _finding(facts, "R12-hubs")
    return bool(found and found["evidence"].get("occurrences"))


def hubs(axes: Any, facts: Json, colours: Colours, narrow: bool) -> None:
    """How many documents are in how many top-10 lists."""
    found = _finding(facts, "R12-hubs")
    assert found is not None
    counts = {step: n for step, n in found["evidence"]["occurrences"].items() if n}
    steps = list(found["evidence"]["occurrences"])[: 1 + max(map(list(found["evidence"]["occurrences"]).index, counts))]
    values = [found["evidence"]["occurrences"][step] for step in steps]
    axes.bar(range(len(steps)), values, color=[colours["dim"], *[colours["accent"]] * (len(steps) - 1)], width=0.7)
    for place, value in enumerate(values):
        axes.annotate(f"{value:,}", (place, value), (0, 2), textcoords="offset points", ha="center", color=colours["dim"],
                      fontsize=7 if narrow else 9)  # fmt: skip
    ends = [*steps[1:], ""]
    names = [
        s if e and int(e) == int(s) + 1 else f"{s}+" if not e else f"{s}–{int(e) - 1}"
        for s, e in zip(steps, ends, strict=True)
    ]
    axes.set_xticks(range(len(steps)), names, fontsize=7 if narrow else 9)
    axes.set_yticks([])
    axes.set_xlabel("in how many top-10 lists a document is")
    axes.set_ylabel("documents")


def hubs_says(facts: Json) -> str:
    """The same in words."""
    found = _finding(facts, "R12-hubs")
    assert found is not None
    return f"How often documents are among the first ten. {found['reading']}"


def has_vocabulary(facts: Json) -> bool:
    """Whether terms were weighed."""
    found = _finding(facts, "R15-vocabulary")
    return bool(found and found["evidence"].get("terms"))


def vocabulary(axes: Any, facts: Json, colours: Colours, _narrow: bool) -> None:
    """The words that take this corpus furthest from web text."""
    found = _finding(facts, "R15-vocabulary")
    assert found is not None
    terms = dict(list(found["evidence"]["terms"].items())[:TERMS])
    axes.barh(range(len(terms)), list(terms.values()), color=colours["accent"], height=0.62)
    _rows(axes, [_label(term, 20) for term in terms], colours)
    axes.grid(axis="x", color=colours["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("share of the divergence, nats")


def vocabulary_says(facts: Json) -> str:
    """The same in words."""
    found = _finding(facts, "R15-vocabulary")
    assert found is not None
    return f"Words that are more frequent here than on the web. {found['reading']}"
