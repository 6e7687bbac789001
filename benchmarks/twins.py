"""Do two wordings of one need find the same: twins made from each collection's own acronyms.

    python benchmarks/twins.py [--data FOLDER] [--only NAME ...] [--synonyms FILE.json]

A twin is a few words around an acronym in a sentence that does not explain it, once as written and once with the long
form in its place (R52). The table shows how much of their first ten documents both find, before and after queries are
rewritten by the corpus's shorthand, for words and for vectors, with 95 % intervals. Only documents are read; with
--synonyms, {"word": "other word", ...}, also train and dev queries, whose twins hold the other word.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resurvey.diagnose.twins import ACRONYM, SYNONYM, Agreement, Twins, acronym_twins, agreement, synonym_twins
from resurvey.protocols import Encoder
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.encode import open_encoder
from resurvey.search.index import open_index
from resurvey.search.shorthand import learn
from resurvey.settings import Settings, defaults
from resurvey.workspace import Artefacts
from work.side import COLLECTIONS, built_on

HERE = Path(__file__).parent
LEAST, DEPTH, SHARE = 10, 100, 1.0
BRANCHES = {"words": recipe.lexical(DEPTH), "vectors": recipe.dense(DEPTH)}


def main() -> None:
    """A line for every collection that has acronyms, and every branch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--only", nargs="*", choices=COLLECTIONS)
    parser.add_argument("--synonyms", type=Path)
    arguments = parser.parse_args()
    synonyms = json.loads(arguments.synonyms.read_text(encoding="utf-8")) if arguments.synonyms else {}
    columns = ("collection", "twins", "pairs", "searched", "shared before", "shared after")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    with tempfile.TemporaryDirectory() as folder:
        encoder = open_encoder("bundled", Path(folder))
        for name in arguments.only or COLLECTIONS:
            for row in rows(arguments.data / name, encoder, synonyms):
                print(row, flush=True)


def rows(source: Path, encoder: Encoder, synonyms: dict[str, str]) -> Iterator[str]:
    """Measure one collection; nothing where fewer than LEAST twins can be made."""
    brought = built_on(source)
    table = learn(document.full_text for document in brought.documents)
    known = {row.query for side in ("train", "dev") for row in brought.judgments.get(side, ())}
    asked = [query for query in brought.queries if query.id in known]
    kinds: dict[str, list[Twins]] = {
        ACRONYM: acronym_twins(brought.documents, table.pairs),
        SYNONYM: synonym_twins(asked, synonyms),
    }
    kinds = {kind: twins for kind, twins in kinds.items() if len(twins) >= LEAST}
    if not kinds:
        return
    with tempfile.TemporaryDirectory() as place:
        index = open_index(Path(place), brought.documents, encoder, Settings(defaults()))
        builder = Builder(index, Artefacts(Path(place) / "artefacts"))
        by = {"kind": "shorthand", "table": builder.artefacts.put(table.dump())}
        for kind, twins in kinds.items():
            for name, node in BRANCHES.items():
                before = agreement(builder.node(node), twins)
                after = agreement(builder.node(recipe.rewritten(node, by, SHARE)), twins)
                cells = (source.name, kind, str(len(twins)), name, _shown(before), _shown(after))
                yield "| " + " | ".join(cells) + " |"


def _shown(found: Agreement) -> str:
    return f"{found.mean:.3f} ({found.interval})"


if __name__ == "__main__":
    main()
