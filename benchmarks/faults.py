"""Faults: documents are written, refreshed and switched, and the writer is killed, or its power fails.

    python benchmarks/faults.py [--kills 50] [--losses 50] [--seed 0] [--careless]

Prints a line a round, and a table; exits 1 when anything acknowledged was missing, half a document was there, no one
consistent snapshot opened and served, or the next write failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from power import lossy
from power.rounds import Round, kill, moments, power_loss, prepare, undisturbed


def main() -> None:
    """All rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--losses", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--careless", action="store_true", help="sync no table: the losses must be noticed")
    arguments = parser.parse_args()
    if reason := lossy.available():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = prepare(folder)
        changes, seconds = undisturbed(start, folder)
        print(f"undisturbed: {changes} changes of the file system, {seconds:.1f} s", flush=True)
        rows: dict[str, list[Round]] = {"kill -9": [], "power loss": []}
        for seed, moment in enumerate(moments(arguments.kills, seconds, arguments.seed), arguments.seed):
            rows["kill -9"].append(_told("kill -9", kill(start, folder, seed, moment)))
        for seed, moment in enumerate(moments(arguments.losses, changes, arguments.seed), arguments.seed):
            rows["power loss"].append(
                _told("power loss", power_loss(start, folder, seed, 1 + int(moment), arguments.careless))
            )
    print(f"\n{'':12} {'rounds':>6} {'acknowledged steps':>18} {'rounds with a fault':>19}")
    for what, rounds in rows.items():
        bad = sum(bool(found.wrong) for found in rounds)
        print(f"{what:12} {len(rounds):6} {sum(found.acknowledged for found in rounds):18} {bad:19}")
    sys.exit(any(found.wrong for rounds in rows.values() for found in rounds))


def _told(what: str, found: Round) -> Round:
    print(
        f"{what} at {found.moment}, {found.acknowledged} acknowledged: {'; '.join(found.wrong) or 'all there'}",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
