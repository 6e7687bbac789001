"""Recipes: the JSON that rebuilds a retriever. What is evaluated, promoted and served is a recipe.

A recipe is a tree of nodes; a node names its stage, its settings, its inputs, and by hash whatever
was learned. Knows every stage and nothing about how one is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from resurvey.errors import Problem, ResurveyError
from resurvey.protocols import Encoder, Retriever
from resurvey.search.compose import Then
from resurvey.search.dense import Dense
from resurvey.search.encode import load
from resurvey.search.features import Evidence
from resurvey.search.fuse import Convex, Fuse, ReciprocalRank, Rule
from resurvey.search.index import Index
from resurvey.search.lexical import Lexical
from resurvey.search.memory import Memory, load_judged
from resurvey.search.ranker import FeatureRanker, load_trees
from resurvey.search.rewrite import Rewritten, describe_writer, writer_of
from resurvey.search.terms import Characters
from resurvey.types import Json
from resurvey.workspace import Artefacts, canonical, digest

FORMAT = 1


def lexical(depth: int, identifiers: float = 0.0) -> Json:
    """BM25 over the words of passages, and over their identifiers where they have a weight."""
    return {"stage": "lexical", "depth": depth, **({"identifiers": identifiers} if identifiers else {})}


def dense(depth: int, *, view: str = "passages", transform: str = "none", model: str = "") -> Json:
    """Cosine search over a view of the corpus, in the space of an adapted model where one is named."""
    return {"stage": "dense", "view": view, "transform": transform, "depth": depth, **_of(model)}


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


def rewritten(first: Json, by: Json, weight: float) -> Json:
    """What `first` finds for a query, fused with what it finds for the text that `by` makes of it.

    `by` is {"kind": "shorthand", "table": reference}, {"kind": "feedback", "documents": n, "terms": n}, or
    {"kind": "model", "url", "model", "key_env", "prompt", "seconds"}; `weight` is the rewrite's share.
    """
    return {"stage": "rewritten", "input": first, "by": by, "weight": weight, "depth": first["depth"]}


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
        adapted = "adapted " if node.get("model") else ""
        return f"{adapted}dense over {node['view']}{moved}"
    if stage == "fused":
        rule = node["rule"]
        inputs = [describe(child) for child in node["inputs"]]
        if rule["kind"] == "rrf":
            return f"RRF({', '.join(inputs)})"
        weights = [rule["weights"].get(child["stage"], 0.0) for child in node["inputs"]]
        return " + ".join(f"{weight:.2f} {name}" for weight, name in zip(weights, inputs, strict=True))
    if stage == "ranked":
        known = " with the judged queries" if node["judged"] else ""
        return f"({describe(node['input'])}) >> feature ranker{known}"
    if stage == "rewritten":
        return f"({describe(node['input'])}), {describe_writer(node['by'])} at {node['weight']:.2f}"
    words = f"BM25 (identifiers {node['identifiers']:.2f})" if node.get("identifiers") else "BM25"
    return {"lexical": words, "memory": "judged queries", "characters": "character n-grams"}[str(stage)]


Opener: TypeAlias = Callable[[Path], Encoder]
"""From the folder of an adapted model to its encoder."""


def opened(folder: Path) -> Encoder:
    """An adapted model as torch runs it: for callers that have nowhere to keep a compiled one."""
    return load(str(folder))


class Builder:
    """Builds retrievers of recipes over one index; what two recipes share is built once.

    An adapted model that a node names has an index of its own beside `index`: the same passages, other vectors.
    `state` is the file in which a language model's answers are kept; without it they are asked for each time.
    """

    def __init__(self, index: Index, artefacts: Artefacts, opener: Opener = opened, state: Path | None = None) -> None:
        self.index = index
        self.artefacts = artefacts
        self.opener = opener
        self.state = state
        self._indexes: dict[str, Index] = {"": index}
        self._built: dict[str, Retriever] = {}
        self._evidence: dict[tuple[str, str], Evidence] = {}
        self._stages: Mapping[str, Callable[[Json], Retriever]] = {
            "lexical": lambda node: Lexical(index, node["depth"], node.get("identifiers", 0.0)),
            "dense": lambda node: Dense(self.of(node), node["view"], node["transform"], node["depth"]),
            "characters": lambda node: Characters(index, node["depth"]),
            "memory": lambda node: Memory(
                self.of(node), load_judged(artefacts.get(node["judged"])), depth=node["depth"]
            ),
            "fused": self._fused,
            "ranked": self._ranked,
            "rewritten": self._rewritten,
        }

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

    def evidence(self, judged: str = "", model: str = "") -> Evidence:
        """The evidence in a model's space, with the memory of `judged` where one is named."""
        if (judged, model) not in self._evidence:
            self._evidence[judged, model] = (
                self.evidence(model=model).with_memory(
                    Memory(self.in_space(model), load_judged(self.artefacts.get(judged)))
                )
                if judged
                else Evidence(self.in_space(model))
            )
        return self._evidence[judged, model]

    def _fused(self, node: Json) -> Retriever:
        return Fuse([self.node(child) for child in node["inputs"]], rule_of(node), node["depth"])

    def _rewritten(self, node: Json) -> Retriever:
        writer = writer_of(node["by"], self.index, self.artefacts, self.state)
        return Rewritten(self.node(node["input"]), writer, node["weight"], node["depth"])

    def _ranked(self, node: Json) -> Retriever:
        trees = load_trees(self.artefacts.get(node["trees"]))
        return Then(
            self.node(node["input"]), FeatureRanker(self.evidence(node["judged"], node.get("model", "")), trees)
        )
