"""Speed, side by side with a peer in one run: medians of several rounds with their spread, as ratios.

    python benchmarks/speed.py [--data FOLDER] [--rounds 3] [--passages 3000] [--only NAME ...]

Every round times the peer and us one after the other, in turns, so that both meet the same noise; a row
shows the median ratio and the smallest and largest. What must be equal is compared in the same run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from work import encoding, evaluation, lexical, mining, nearest, scale, whole
from work.side import COLLECTIONS, Work

HERE = Path(__file__).parent
WORK: dict[str, Work] = {
    **encoding.WORK,
    **lexical.WORK,
    **nearest.WORK,
    **mining.WORK,
    **evaluation.WORK,
    **whole.WORK,
    **scale.WORK,
}


def main() -> None:
    """Run the rows asked for and print the table as they end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--passages", type=int, default=3000, help="to embed, of each collection")
    parser.add_argument("--collections", nargs="*", choices=COLLECTIONS, default=COLLECTIONS)
    parser.add_argument("--corpus", type=int, default=lexical.PASSAGES, help="passages of the word index")
    parser.add_argument("--vectors", type=int, nargs="*", default=[100_000], help="to search; 1000000 takes long")
    parser.add_argument("--queries", type=int, default=evaluation.QUERIES, help="queries of a run that is scored")
    parser.add_argument("--job", type=int, default=10_000, help="passages of the whole job")
    parser.add_argument("--precision", default="float32", choices=("float32", "int8"), help="of the whole job")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000], help="vectors to stream")
    parser.add_argument("--mine", default="20000x100000", help="queries x passages to mine from")
    parser.add_argument("--only", nargs="*", choices=tuple(WORK))
    arguments = parser.parse_args()
    print("| work | peer | ours | times as fast (least to most) | wanted | compared |\n|---|---|---|---|---|---|")
    for name in arguments.only or WORK:
        for row in WORK[name](arguments):
            print(row, flush=True)


if __name__ == "__main__":
    main()
