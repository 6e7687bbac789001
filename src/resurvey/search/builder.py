"""The builder: from the nodes of a recipe to retrievers over one index.

What two recipes share is built once. Knows every stage and nothing about how one is chosen.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from resurvey.errors import MixedError, Problem, ResurveyError
from resurvey.protocols import Encoder, Retriever
from resurvey.search.adapter import load_adapter
from resurvey.search.boost import Boosts
from resurvey.search.breaker import Breaker
from resurvey.search.collapse import Collapsed, load_clusters
from resurvey.search.compose import Then
from resurvey.search.conditions import mask
from resurvey.search.dense import Dense
from resurvey.search.encode import load
from resurvey.search.features import Evidence
from resurvey.search.fields import Fields
from resurvey.search.filters import parse
from resurvey.search.fuse import Fuse
from resurvey.search.index import Index
from resurvey.search.lexical import Lexical
from resurvey.search.memory import Memory, load_judged
from resurvey.search.ranker import FeatureRanker, load_trees
from resurvey.search.recipe import FORMAT, node_key, rule_of
from resurvey.search.rerank import READ, Reranking
from resurvey.search.rewrite import STAGE as WRITER
from resurvey.search.rewrite import LanguageModelWriter, Rewritten, writer_of
from resurvey.search.scorers import fingerprint, open_scorer
from resurvey.search.terms import Characters
from resurvey.search.within import Within, restricted
from resurvey.types import Json
from resurvey.workspace import Artefacts

KEPT = 256
"""Built nodes that are remembered; every other filter makes some."""
Part = TypeVar("Part")
Opener: TypeAlias = Callable[[Path, bool], Encoder]
"""From the folder of an adapted model, and whether it only judges and serves nobody, to its encoder."""


def opened(folder: Path, _: bool = False) -> Encoder:
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
        self.judges: set[str] = set()
        """Adapted models that only judge others: nobody is served with them."""
        self._indexes: dict[str, Index] = {"": index}
        self._built: OrderedDict[str, Retriever] = OrderedDict()
        self._parts: dict[str, Any] = {}
        self._lock, self._making = threading.Lock(), threading.RLock()
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
            "reranked": self._reranked,
            "rewritten": self._rewritten,
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
            raise MixedError(
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
        """The retriever of one node; of many, as filters make them, those asked for last are kept."""
        key = node_key(node)
        found = self._built.get(key)
        if found is None:
            found = self._stages[node["stage"]](node)
        with self._lock:
            self._built[key] = found
            self._built.move_to_end(key)
            while len(self._built) > KEPT:
                self._built.popitem(last=False)
        return found

    def _part(self, node: Json, make: Callable[[], Part]) -> Part:
        """What a node needs besides its input, made once whatever it stands on: a model, a table, a breaker."""
        key = node_key({name: value for name, value in node.items() if name not in ("input", "inputs")})
        with self._making:
            if key not in self._parts:
                self._parts[key] = make()
        made: Part = self._parts[key]
        return made

    def in_space(self, model: str) -> Index:
        """The index in the space of an adapted model; "" is the encoder's own."""
        if model not in self._indexes:
            self._indexes[model] = self.index.under(self.opener(self.artefacts.folder_of(model), model in self.judges))
        return self._indexes[model]

    def breakers(self) -> Iterator[tuple[str, Breaker]]:
        """The name and the breaker of every part that has one: rerankers, and language models that rewrite."""
        for part in list(self._parts.values()):
            if isinstance(part, Reranking):
                yield part.name, part.breaker
            elif isinstance(part, LanguageModelWriter):
                yield WRITER, part.breaker

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
        trees = self._part(node, lambda: load_trees(self.artefacts.get(node["trees"])))
        adapted = any("adapter" in branch for branch in node["input"].get("inputs", ()))
        evidence = self.evidence(node["judged"], node.get("model", ""), adapted=adapted)
        return Then(self.node(node["input"]), FeatureRanker(evidence, trees))

    def _rewritten(self, node: Json) -> Retriever:
        writer = self._part(node, lambda: writer_of(node["by"], self.index, self.artefacts, self.state))
        return Rewritten(self.node(node["input"]), writer, node["weight"], node["depth"])

    def _filtered(self, node: Json) -> Retriever:
        inner, where = node["input"], node["where"]
        if "input" in inner or "inputs" in inner:
            return self.node(restricted(inner, where))
        allowed = mask(parse(where), self.fields)
        return Within(self.index, lambda depth: self.node({**inner, "depth": depth}), allowed, inner["depth"])

    def _boosted(self, node: Json) -> Retriever:
        return Then(self.node(node["input"]), Boosts(self.index, self.fields, node["fields"]))

    def _collapsed(self, node: Json) -> Retriever:
        clusters = self._part(node, lambda: load_clusters(self.artefacts.get(node["clusters"])))
        return Collapsed(self.node(node["input"]), clusters)

    def _reranked(self, node: Json) -> Retriever:
        return Then(self.node(node["input"]), self._part(node, lambda: self._reranking(node)))

    def _reranking(self, node: Json) -> Reranking:
        name = node["model"]
        if node["fingerprint"] and fingerprint(name) != node["fingerprint"]:
            changed = "is no longer the reranker that the recipe was made with"
            raise ResurveyError([Problem(name, changed)], "resurvey treat DIR reranker")
        scorer = open_scorer(name, self.artefacts, key_env=node["key_env"])
        seconds = node["deadline_ms"] / 1000 or None
        texts = READ[node["read"]](self.index)
        return Reranking(scorer, texts, depth=node["depth"], blend=node["blend"], deadline=seconds)
