"""Recipes: the JSON that rebuilds a retriever. What is evaluated, promoted and served is a recipe.

A recipe is a tree of nodes; a node names its stage, its settings, its inputs, and by hash whatever
was learned. Knows every stage and nothing about how one is chosen.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from resurvey.errors import Problem, ResurveyError
from resurvey.protocols import Encoder, Retriever
from resurvey.search.adapter import load_adapter
from resurvey.search.boost import Boosts
from resurvey.search.collapse import Collapsed, load_clusters
from resurvey.search.compose import Then
from resurvey.search.conditions import mask
from resurvey.search.dense import Dense
from resurvey.search.encode import load
from resurvey.search.features import Evidence
from resurvey.search.fields import Fields
from resurvey.search.filters import parse
from resurvey.search.fuse import Convex, Fuse, ReciprocalRank, Rule
from resurvey.search.index import Index
from resurvey.search.lexical import Lexical
from resurvey.search.memory import Memory, load_judged
from resurvey.search.ranker import FeatureRanker, load_trees
from resurvey.search.terms import Characters
from resurvey.search.within import Within, restricted
from resurvey.types import Json
from resurvey.workspace import Artefacts, canonical, digest

FORMAT = 1


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
        return f"({describe(node['input'])}) >> {THEN[stage](node)}"
    if stage == "lexical" and node.get("identifiers"):
        return f"BM25 (identifiers {node['identifiers']:.2f})"
    return {"lexical": "BM25", "memory": "judged queries", "characters": "character n-grams"}[str(stage)]


THEN: Mapping[str, Callable[[Json], str]] = {
    "ranked": lambda node: "feature ranker with the judged queries" if node["judged"] else "feature ranker",
    "filtered": lambda node: f"within {node['where']}",
    "boosted": lambda node: f"boosts of {', '.join(node['fields'])}",
    "collapsed": lambda _: "near-duplicates collapsed",
}
"""What stands over one input, in words."""


Opener: TypeAlias = Callable[[Path], Encoder]
"""From the folder of an adapted model to its encoder."""


def opened(folder: Path) -> Encoder:
    """An adapted model as torch runs it: for callers that have nowhere to keep a compiled one."""
    return load(str(folder))


class Builder:
    """Builds retrievers of recipes over one index; what two recipes share is built once.

    An adapted model that a node names has an index of its own beside `index`: the same passages, other vectors.
    """

    def __init__(self, index: Index, artefacts: Artefacts, opener: Opener = opened) -> None:
        self.index = index
        self.artefacts = artefacts
        self.opener = opener
        self._indexes: dict[str, Index] = {"": index}
        self._built: dict[str, Retriever] = {}
        self._evidence: dict[tuple[str, str, bool], Evidence] = {}
        self._stages: Mapping[str, Callable[[Json], Retriever]] = {
            "lexical": lambda node: Lexical(index, node["depth"], node.get("identifiers", 0.0)),
            "dense": self._dense,
            "characters": lambda node: Characters(index, node["depth"]),
            "memory": lambda node: Memory(
                self.of(node), load_judged(artefacts.get(node["judged"])), depth=node["depth"]
            ),
            "fused": self._fused,
            "ranked": self._ranked,
            "filtered": self._filtered,
            "boosted": self._boosted,
            "collapsed": self._collapsed,
        }

    @functools.cached_property
    def fields(self) -> Fields:
        """The documents' metadata, by column."""
        return Fields.of(self.index.documents)

    def recipe(self, recipe: Json) -> Retriever:
        """The retriever of a whole recipe.

        Raises:
            ResurveyError: when the recipe was made with another encoder than the index has, or in another format.
        """
        if recipe.get("format") != FORMAT:
            found = f"has format {recipe.get('format')}, this resurvey reads format {FORMAT}"
            raise ResurveyError([Problem("recipe", found)], "resurvey run DIR")
        wanted, there = recipe["encoder"]["fingerprint"], self.index.encoder.fingerprint
        if wanted != there:
            raise ResurveyError(
                [
                    Problem(
                        "recipe",
                        f"was made with encoder {wanted[:12]}, the index holds vectors of {there[:12]}; their spaces do not mix",
                    )
                ],
                "resurvey run DIR",
            )
        return self.node(recipe["root"])

    def node(self, node: Json) -> Retriever:
        """The retriever of one node."""
        key = node_key(node)
        if key not in self._built:
            self._built[key] = self._stages[node["stage"]](node)
        return self._built[key]

    def in_space(self, model: str) -> Index:
        """The index in the space of an adapted model; "" is the encoder's own."""
        if model not in self._indexes:
            self._indexes[model] = self.index.under(self.opener(self.artefacts.folder_of(model)))
        return self._indexes[model]

    def of(self, node: Json) -> Index:
        """The index whose vectors a node reads."""
        return self.in_space(node.get("model", ""))

    def evidence(self, judged: str = "", model: str = "", *, adapted: bool = False) -> Evidence:
        """The evidence in a model's space.

        Args:
            judged: the reference of judged queries to remember.
            adapted: whether the dense branch that found the candidates moves its queries.
        """
        key = judged, model, adapted
        if key not in self._evidence:
            index = self.in_space(model)
            self._evidence[key] = (
                self.evidence(model=model, adapted=adapted).with_memory(
                    Memory(index, load_judged(self.artefacts.get(judged)))
                )
                if judged
                else Evidence(index, adapted=adapted)
            )
        return self._evidence[key]

    def _dense(self, node: Json) -> Retriever:
        adapter = load_adapter(self.artefacts.get(node["adapter"])) if node.get("adapter") else None
        return Dense(self.of(node), node["view"], node["transform"], node["depth"], adapter)

    def _fused(self, node: Json) -> Retriever:
        return Fuse([self.node(child) for child in node["inputs"]], rule_of(node), node["depth"])

    def _ranked(self, node: Json) -> Retriever:
        trees = load_trees(self.artefacts.get(node["trees"]))
        adapted = any("adapter" in branch for branch in node["input"]["inputs"])
        evidence = self.evidence(node["judged"], node.get("model", ""), adapted=adapted)
        return Then(self.node(node["input"]), FeatureRanker(evidence, trees))

    def _filtered(self, node: Json) -> Retriever:
        inner, where = node["input"], node["where"]
        if "input" in inner or "inputs" in inner:
            return self.node(restricted(inner, where))
        allowed = mask(parse(where), self.fields)
        return Within(self.index, lambda depth: self.node({**inner, "depth": depth}), allowed, inner["depth"])

    def _boosted(self, node: Json) -> Retriever:
        return Then(self.node(node["input"]), Boosts(self.index, self.fields, node["fields"]))

    def _collapsed(self, node: Json) -> Retriever:
        return Collapsed(self.node(node["input"]), load_clusters(self.artefacts.get(node["clusters"])))
