"""Recipes: the JSON that rebuilds a retriever. What is evaluated, promoted and served is a recipe.

A recipe is a tree of nodes; a node names its stage, its settings, its inputs, and by hash whatever
was learned. Knows every stage by name; `builder.py` makes retrievers of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from resurvey.protocols import Encoder
from resurvey.search.fuse import Convex, ReciprocalRank, Rule
from resurvey.search.rewrite import describe_writer
from resurvey.types import Json
from resurvey.workspace import canonical, digest

FORMAT = 1
VECTORS = ("dense", "memory")
"""Branches that need a query's vector."""
BASE, LEXICAL, RRF = "base", "bm25", "rrf"
"""The untouched pipelines' names."""


def lexical(depth: int, identifiers: float = 0.0) -> Json:
    """BM25 over the words of passages, and over their identifiers where they have a weight."""
    return {"stage": "lexical", "depth": depth, **({"identifiers": identifiers} if identifiers else {})}


def dense(depth: int, *, view: str = "passages", transform: str = "none", model: str = "", adapter: str = "") -> Json:
    """Cosine search over a view of the corpus.

    Args:
        model: an adapted model, in whose space it searches instead of the encoder's.
        adapter: what moves the queries first.
    """
    node = {"stage": "dense", "view": view, "transform": transform, "depth": depth, **_of(model)}
    return {**node, "adapter": adapter} if adapter else node


def untouched(depth: int) -> dict[str, Json]:
    """The untouched pipelines: truncated documents searched by vectors, BM25, and both by reciprocal rank."""
    by_vectors, by_words = dense(depth, view="truncated"), lexical(depth)
    return {BASE: by_vectors, LEXICAL: by_words, RRF: fused([by_words, by_vectors], depth)}


def characters(depth: int) -> Json:
    """Character n-grams."""
    return {"stage": "characters", "depth": depth}


def memory(depth: int, judged: str, model: str = "") -> Json:
    """Nearest judged queries; `judged` is the reference of the judged queries."""
    return {"stage": "memory", "judged": judged, "depth": depth, **_of(model)}


def fused(inputs: Sequence[Json], depth: int, weights: Mapping[str, float] | None = None) -> Json:
    """Several branches fused: by weights, or by reciprocal rank where there are none."""
    rule: Json = {"kind": "rrf", "k": 60} if weights is None else {"kind": "convex", "weights": dict(weights)}
    return {"stage": "fused", "inputs": list(inputs), "rule": rule, "depth": depth}


def ranked(first: Json, trees: str, judged: str = "", model: str = "") -> Json:
    """A feature ranker over what `first` finds."""
    return {"stage": "ranked", "input": first, "trees": trees, "judged": judged, **_of(model)}


def _of(model: str) -> Json:
    """Which model's vectors a node reads; nothing for the encoder that the recipe names."""
    return {"model": model} if model else {}


def filtered(first: Json, where: str) -> Json:
    """What `first` finds among the documents that pass a filter (`filters.py`)."""
    return {"stage": "filtered", "input": first, "where": where}


def boosted(first: Json, fields: Mapping[str, Sequence[Json]]) -> Json:
    """What `first` finds, moved by boosts of its documents' fields (`boost.py`)."""
    return {"stage": "boosted", "input": first, "fields": {name: list(boosts) for name, boosts in fields.items()}}


def collapsed(first: Json, clusters: str) -> Json:
    """What `first` finds, one document of every cluster of near-duplicates; `clusters` is their reference."""
    return {"stage": "collapsed", "input": first, "clusters": clusters}


def reranked(first: Json, model: str, *, depth: int, blend: float, facts: Json | None = None) -> Json:
    """The first `depth` of what `first` finds, reordered by a cross-encoder or an endpoint with the weight `blend`.

    Args:
        model: an artefact (`sha256:…`), a folder, a hub name or a URL.
        facts: `read` (`documents` or `passages`), `deadline_ms` (0: none), `key_env` (of an endpoint), and
            `fingerprint` of a model that is no artefact: one that has changed meanwhile is refused.
    """
    told = {"read": "documents", "deadline_ms": 0, "key_env": "", "fingerprint": "", **(facts or {})}
    return {"stage": "reranked", "input": first, "model": model, "depth": depth, "blend": blend, **told}


def rewritten(first: Json, by: Json, weight: float) -> Json:
    """What `first` finds for a query, fused with what it finds for the text that `by` makes of it.

    `by` is {"kind": "shorthand", "table": reference}, {"kind": "feedback", "documents": n, "terms": n}, or
    {"kind": "model", "url", "model", "key_env", "prompt", "seconds"}; `weight` is the rewrite's share.
    """
    return {"stage": "rewritten", "input": first, "by": by, "weight": weight, "depth": first["depth"]}


def words_alone(root: Json) -> tuple[Json, list[str]]:
    """What is left of a tree where no query can be embedded, and the stages that had to go.

    Branches over vectors and judged queries go, and so do rankers, whose evidence is in vectors; where no other branch
    is left, BM25 stands in their place, within the same filters. Rerankers stay, if they read whole documents.
    """
    gone: list[str] = []
    left = _wordy(root, gone, wordless=not _has_words(root))
    assert left is not None
    return left, list(dict.fromkeys(gone))


def _has_words(node: Json) -> bool:
    below = (*node.get("inputs", ()), *([node["input"]] if "input" in node else ()))
    return any(map(_has_words, below)) if below else node["stage"] not in VECTORS


def _wordy(node: Json, gone: list[str], *, wordless: bool) -> Json | None:
    stage = node["stage"]
    if stage in VECTORS:
        gone.append(stage)
        return lexical(node["depth"]) if wordless else None
    if stage == "fused":
        found = [_wordy(child, gone, wordless=wordless) for child in node["inputs"]]
        left = {child["stage"]: child for child in found if child is not None}  # BM25 stands in once
        return {**node, "inputs": list(left.values())} if len(left) > 1 else next(iter(left.values()), None)
    if "input" not in node:
        return node
    inner = _wordy(node["input"], gone, wordless=wordless)
    if stage == "ranked" or (stage == "reranked" and node.get("read") == "passages"):
        gone.append({"ranked": "ranker", "reranked": "reranker"}[stage])
        return inner
    return None if inner is None else {**node, "input": inner}


def recipe(root: Json, encoder: Encoder) -> Json:
    """A whole recipe: the tree and the encoder it was made with."""
    return {"format": FORMAT, "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint}, "root": root}


def rule_of(node: Json) -> Rule:
    """The fusion rule of a `fused` node."""
    rule = node["rule"]
    return Convex(rule["weights"]) if rule["kind"] == "convex" else ReciprocalRank(rule["k"])


def node_key(node: Json) -> str:
    """Hash of a node and all below it: equal keys, equal results on one index."""
    return digest(canonical(node))


def describe(node: Json) -> str:
    """A node in words, for people."""
    stage = node["stage"]
    if stage == "dense":
        moved = (
            ""
            if node["transform"] == "none"
            else f", {node['transform']}d".replace("centerd", "centred").replace("standardised", "standardised")
        )
        trained = "trained " if node.get("model") else ""
        return f"{trained}dense over {node['view']}{moved}{', adapted' if node.get('adapter') else ''}"
    if stage == "fused":
        rule = node["rule"]
        inputs = [describe(child) for child in node["inputs"]]
        if rule["kind"] == "rrf":
            return f"RRF({', '.join(inputs)})"
        weights = [rule["weights"].get(child["stage"], 0.0) for child in node["inputs"]]
        return " + ".join(f"{weight:.2f} {name}" for weight, name in zip(weights, inputs, strict=True))
    if stage in THEN:
        joined = ", " if stage == "rewritten" else " >> "
        return f"({describe(node['input'])}){joined}{THEN[stage](node)}"
    if stage == "lexical" and node.get("identifiers"):
        return f"BM25 (identifiers {node['identifiers']:.2f})"
    return {"lexical": "BM25", "memory": "judged queries", "characters": "character n-grams"}[str(stage)]


THEN: Mapping[str, Callable[[Json], str]] = {
    "rewritten": lambda node: f"{describe_writer(node['by'])} at {node['weight']:.2f}",
    "ranked": lambda node: "feature ranker with the judged queries" if node["judged"] else "feature ranker",
    "filtered": lambda node: f"within {node['where']}",
    "boosted": lambda node: f"boosts of {', '.join(node['fields'])}",
    "collapsed": lambda _: "near-duplicates collapsed",
    "reranked": lambda node: (
        f"{node['blend']:.2f} {'trained cross-encoder' if node['model'].startswith('sha256:') else node['model']}"
        f" over the first {node['depth']}"
    ),
}
"""What stands over one input, in words."""
