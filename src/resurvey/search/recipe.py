"""Recipes: the JSON that rebuilds a retriever. What is evaluated, promoted and served is a recipe.

A recipe is a tree of nodes; a node names its stage, its settings, its inputs, and by hash whatever
was learned. Knows every stage and nothing about how one is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from resurvey.errors import Problem, ResurveyError
from resurvey.protocols import Encoder, Retriever
from resurvey.search.compose import Then
from resurvey.search.dense import Dense
from resurvey.search.features import Evidence
from resurvey.search.fuse import Convex, Fuse, ReciprocalRank, Rule
from resurvey.search.index import Index
from resurvey.search.lexical import Lexical
from resurvey.search.memory import Memory, load_judged
from resurvey.search.ranker import FeatureRanker, load_trees
from resurvey.search.rerank import READ, Reranking
from resurvey.search.scorers import fingerprint, open_scorer
from resurvey.search.terms import Characters
from resurvey.types import Json
from resurvey.workspace import Artefacts, canonical, digest

FORMAT = 1


def lexical(depth: int, identifiers: float = 0.0) -> Json:
    """BM25 over the words of passages, and over their identifiers where they have a weight."""
    return {"stage": "lexical", "depth": depth, **({"identifiers": identifiers} if identifiers else {})}


def dense(depth: int, *, view: str = "passages", transform: str = "none") -> Json:
    """Exact cosine search over a view of the corpus."""
    return {"stage": "dense", "view": view, "transform": transform, "depth": depth}


def characters(depth: int) -> Json:
    """Character n-grams."""
    return {"stage": "characters", "depth": depth}


def memory(depth: int, judged: str) -> Json:
    """Nearest judged queries; `judged` is the reference of the judged queries."""
    return {"stage": "memory", "judged": judged, "depth": depth}


def fused(inputs: Sequence[Json], depth: int, weights: Mapping[str, float] | None = None) -> Json:
    """Several branches fused: by weights, or by reciprocal rank where there are none."""
    rule: Json = {"kind": "rrf", "k": 60} if weights is None else {"kind": "convex", "weights": dict(weights)}
    return {"stage": "fused", "inputs": list(inputs), "rule": rule, "depth": depth}


def ranked(first: Json, trees: str, judged: str = "") -> Json:
    """A feature ranker over what `first` finds."""
    return {"stage": "ranked", "input": first, "trees": trees, "judged": judged}


def reranked(first: Json, model: str, *, depth: int, blend: float, facts: Json | None = None) -> Json:
    """The first `depth` of what `first` finds, reordered by a cross-encoder or an endpoint with the weight `blend`.

    Args:
        model: an artefact (`sha256:…`), a folder, a hub name or a URL.
        facts: `read` (`documents` or `passages`), `deadline_ms` (0: none), `key_env` (of an endpoint), and
            `fingerprint` of a model that is no artefact: one that has changed meanwhile is refused.
    """
    told = {"read": "documents", "deadline_ms": 0, "key_env": "", "fingerprint": "", **(facts or {})}
    return {"stage": "reranked", "input": first, "model": model, "depth": depth, "blend": blend, **told}


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
        return f"dense over {node['view']}{moved}"
    if stage == "fused":
        rule = node["rule"]
        inputs = [describe(child) for child in node["inputs"]]
        if rule["kind"] == "rrf":
            return f"RRF({', '.join(inputs)})"
        weights = [rule["weights"].get(child["stage"], 0.0) for child in node["inputs"]]
        return " + ".join(f"{weight:.2f} {name}" for weight, name in zip(weights, inputs, strict=True))
    if "input" in node:
        return f"({describe(node['input'])}) >> {_second(node)}"
    if stage == "lexical" and node.get("identifiers"):
        return f"BM25 (identifiers {node['identifiers']:.2f})"
    return {"lexical": "BM25", "memory": "judged queries", "characters": "character n-grams"}[str(stage)]


def _second(node: Json) -> str:
    """What reorders the input of a node, in words."""
    if node["stage"] == "ranked":
        return f"feature ranker{' with the judged queries' if node['judged'] else ''}"
    model = "trained cross-encoder" if node["model"].startswith("sha256:") else node["model"]
    return f"{node['blend']:.2f} {model} over the first {node['depth']}"


class Builder:
    """Builds retrievers of recipes over one index; what two recipes share is built once."""

    def __init__(self, index: Index, artefacts: Artefacts) -> None:
        self.index = index
        self.artefacts = artefacts
        self._built: dict[str, Retriever] = {}
        self._evidence: dict[str, Evidence] = {}
        self._stages: Mapping[str, Callable[[Json], Retriever]] = {
            "lexical": lambda node: Lexical(index, node["depth"], node.get("identifiers", 0.0)),
            "dense": lambda node: Dense(index, node["view"], node["transform"], node["depth"]),
            "characters": lambda node: Characters(index, node["depth"]),
            "memory": lambda node: Memory(index, load_judged(artefacts.get(node["judged"])), depth=node["depth"]),
            "fused": self._fused,
            "ranked": self._ranked,
            "reranked": self._reranked,
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

    def evidence(self, judged: str = "") -> Evidence:
        """The evidence of this index, with the memory of `judged` where one is named."""
        if judged not in self._evidence:
            self._evidence[judged] = (
                self.evidence().with_memory(Memory(self.index, load_judged(self.artefacts.get(judged))))
                if judged
                else Evidence(self.index)
            )
        return self._evidence[judged]

    def _fused(self, node: Json) -> Retriever:
        return Fuse([self.node(child) for child in node["inputs"]], rule_of(node), node["depth"])

    def _ranked(self, node: Json) -> Retriever:
        trees = load_trees(self.artefacts.get(node["trees"]))
        return Then(self.node(node["input"]), FeatureRanker(self.evidence(node["judged"]), trees))

    def _reranked(self, node: Json) -> Retriever:
        name = node["model"]
        if node["fingerprint"] and fingerprint(name) != node["fingerprint"]:
            changed = "is no longer the reranker that the recipe was made with"
            raise ResurveyError([Problem(name, changed)], "resurvey treat DIR reranker")
        scorer = open_scorer(name, self.artefacts, key_env=node["key_env"])
        seconds = node["deadline_ms"] / 1000 or None
        texts = READ[node["read"]](self.index)
        second = Reranking(scorer, texts, depth=node["depth"], blend=node["blend"], deadline=seconds)
        return Then(self.node(node["input"]), second)
