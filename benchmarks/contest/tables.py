"""Tables as Markdown: one grid a measure with systems as rows, and ours against the others. Prints nothing itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from contest.scoring import MEASURES, NDCG, Scored, best_on_average, interval, mean


@dataclass(frozen=True, slots=True)
class Result:
    """One collection's finished row."""

    name: str
    scored: Mapping[str, Scored]
    """System to its queries' scores."""
    seconds: Mapping[str, float]
    """System to seconds end to end."""


def whole(results: Sequence[Result], systems: Sequence[str]) -> list[Result]:
    """The collections where every system has a row: averages are taken over these."""
    return [result for result in results if all(system in result.scored for system in systems)]


def grid(
    results: Sequence[Result], systems: Sequence[str], digits: int, value: Callable[[Result, str], float]
) -> Iterator[str]:
    """One line a system, one column a collection, and the average over the collections that all systems have."""
    shared = whole(results, systems)
    yield "| | " + " | ".join([*(result.name for result in results), f"average of {len(shared)}"]) + " |"
    yield "|---" * (len(results) + 2) + "|"
    for system in systems:
        cells = [value(result, system) if system in result.scored else math.nan for result in results]
        shown = [value(result, system) for result in shared]
        cells.append(sum(shown) / len(shown) if shown else math.nan)
        yield f"| {system} | " + " | ".join("–" if math.isnan(c) else f"{c:.{digits}f}" for c in cells) + " |"


def against(results: Sequence[Result], other: str) -> Iterator[str]:
    """Ours minus another system, one line a collection."""
    yield f"| collection | queries | {other} | ours | ours − {other}, points (95 %) | |"
    yield "|---|---|---|---|---|---|"
    for result in results:
        if other in result.scored and "ours" in result.scored:
            old, new = result.scored[other], result.scored["ours"]
            found = interval(old, new)
            yield (
                f"| {result.name} | {len(new)} | {mean(old):.3f} | {mean(new):.3f} | {points(found)} | {verdict(found)} |"
            )


def points(found: Sequence[float]) -> str:
    """A difference and its interval in points."""
    return f"{100 * found[0]:+.1f} ({100 * found[1]:+.1f} to {100 * found[2]:+.1f})"


def verdict(found: Sequence[float]) -> str:
    """What an interval allows one to say."""
    return "better" if found[1] > 0 else "**worse**" if found[2] < 0 else "not told apart"


def contest(results: Sequence[Result], systems: Sequence[str], peers: Sequence[str]) -> Iterator[str]:
    """Every measure's grid, seconds, and ours against the best peer and the best untouched pipeline, on average."""
    for measure, name in MEASURES.items():
        yield f"\n{name}\n"
        yield from grid(results, systems, 3, partial(_mean_of, measure))
    yield "\nseconds end to end\n"
    yield from grid(results, systems, 0, _seconds_of)
    for others in (peers, ("dense", "BM25", "RRF")):
        there = [system for system in others if system in systems]
        if there and "ours" in systems:
            best = best_on_average([result.scored for result in results], there)
            shared = whole(results, [best, "ours"])
            yield f"\nagainst {best}, the best on average of {', '.join(there)}\n"
            yield from against(results, best)
            yield summed(shared, best)


def _mean_of(measure: str, result: Result, system: str) -> float:
    return mean(result.scored[system], measure)


def _seconds_of(result: Result, system: str) -> float:
    return result.seconds.get(system, math.nan)


def summed(shared: Sequence[Result], best: str) -> str:
    """The average difference, and seconds summed, in one sentence."""
    if not shared:
        return ""
    gain = sum(mean(r.scored["ours"]) - mean(r.scored[best]) for r in shared) / len(shared)
    said = f"\nOn average of {len(shared)}: {points_of(gain)} of NDCG@10 over {best}"
    ours, other = (sum(r.seconds.get(name, math.nan) for r in shared) for name in ("ours", best))
    return (
        f"{said}." if math.isnan(other) else f"{said}, {ours:.0f} s against {other:.0f} s ({ours / other:.2f} times)."
    )


def over_best(results: Sequence[Result], untouched: Sequence[str]) -> str:
    """The average difference to the best of the untouched pipelines of each collection."""
    shared = whole(results, [*untouched, "ours"])
    if not shared:
        return ""
    gains = [mean(r.scored["ours"]) - max(mean(r.scored[name]) for name in untouched) for r in shared]
    return (
        f"\nOn average of {len(shared)}: {points_of(sum(gains) / len(gains))} over each one's best untouched pipeline."
    )


def points_of(difference: float) -> str:
    """A difference in points."""
    return f"{100 * difference:+.2f} points"


def curve(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The learning curve: ours against the best untouched pipeline of that very row."""
    yield "| collection | training queries | draw | best untouched | ours | difference, points (95 %) | | live | seconds |"
    yield "|---" * 9 + "|"
    for row in rows:
        scored = row["scored"]
        best = max(("dense", "BM25", "RRF"), key=lambda system: mean(scored[system]))
        found = interval(scored[best], scored["ours"])
        yield (
            f"| {row['collection']} | {row['train queries']} | {row['draw']} | {best} {mean(scored[best]):.3f} | "
            f"{mean(scored['ours']):.3f} | {points(found)} | {verdict(found)} | {row['live']} | {row['seconds']['ours']:.0f} |"
        )


def plain(rows: Sequence[Mapping[str, Any]], targets: Mapping[str, float]) -> Iterator[str]:
    """Ours beside the untouched pipelines."""
    yield "| collection | queries | BM25 | dense | RRF | ours | to reach | against the best untouched (95 %) | live | seconds: run, again |"
    yield "|---" * 10 + "|"
    for row in rows:
        scored, seconds = row["scored"], row["ours seconds"]
        best = max(("BM25", "dense", "RRF"), key=lambda system: mean(scored[system]))
        cells = " | ".join(f"{mean(scored[system], NDCG):.3f}" for system in ("BM25", "dense", "RRF", "ours"))
        yield (
            f"| {row['collection']} | {len(scored['ours'])} | {cells} | {targets[row['collection']]} | "
            f"{best} {points(interval(scored[best], scored['ours']))} | {row['live']} | {seconds['run']:.0f}, {seconds['run again']:.1f} |"
        )
