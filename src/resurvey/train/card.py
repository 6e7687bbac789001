"""Model cards: what an adapted model is, what it learned from, how it went, how to load it.

Knows what a training reports; knows nothing about workspaces.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resurvey.train.task import Dials
from resurvey.types import Json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEXT = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
base_model: {base}
---

# {base}, adapted by Resurvey

An ordinary sentence-transformers folder:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("this folder")
```

It learned from {queries:,} queries and {passages:,} passages of one collection: each query's passages against
everything else in its batch and against mined negatives (temperature {temperature:g}, learning rate {rate:g}, {passes} passes,
best after {best} of {steps} steps). Its weights lie {share:.0%} of the way from the base model to the trained one.
{dimensions}
| step | loss | held-out NDCG@10 | seconds |
|---|---|---|---|
{rows}

Where it stands against the untouched model on queries it never saw is in the verdict of the candidate that it
belongs to. Outside that collection it was not measured; expect it to be worse there than its base.
"""


def card(detail: Json, dials: Dials, base: str, share: float) -> str:
    """The card of a model, as Markdown."""
    rows = "\n".join(
        f"| {row['step']} | {_number(row['loss'])} | {_number(row['held out'])} | {row['seconds']:.0f} |"
        for row in detail["log"]
    )
    shorter = ", ".join(map(str, dials.dimensions))
    dimensions = (
        f"The first {shorter} dimensions were trained to serve alone, too (renormalise them).\n" if shorter else ""
    )
    return TEXT.format(
        base=Path(base).name, queries=detail["queries"], passages=detail["passages"], temperature=dials.temperature,
        rate=dials.rate, passes=dials.passes, best=detail["best step"], steps=detail["steps"], share=share,
        dimensions=dimensions, rows=rows,
    )  # fmt: skip


def save(model: SentenceTransformer, folder: Path, text: str) -> None:
    """Write a model with its card, as sentence-transformers loads it."""
    model.save(str(folder), create_model_card=False, safe_serialization=True)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
