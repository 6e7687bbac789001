"""Rewritten search: both wordings searched and fused, and search without a rewriter that is late or down."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from test_llm import Model, model  # noqa: F401  # a fixture

from resurvey.errors import ResurveyError
from resurvey.llm import Cache
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import open_index
from resurvey.search.rewrite import PROMPT, Rewritten
from resurvey.search.shorthand import Pair, Shorthand
from resurvey.settings import Settings
from resurvey.types import Document, Json, Query, Run
from resurvey.workspace import Artefacts

DOCUMENTS = (
    Document("long", "replace the high pressure valve of the motor"),
    Document("short", "replace the HPV of the drive"),
    Document("other", "tighten the bolt and the washer"),
    Document("another", "inspect the coolant tank and the hose"),
)
TYPED, PLAIN = Query("typed", "HPV"), Query("plain", "coolant hose")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder, plain_settings: Settings) -> Builder:
    folder = tmp_path_factory.mktemp("rewrite")
    index = open_index(folder / "index", DOCUMENTS, encoder, plain_settings)
    return Builder(index, Artefacts(folder / "artefacts"), state=folder / "state.db")


def shorthand(builder: Builder) -> Json:
    table = Shorthand((Pair("HPV", "high pressure valve"),))
    return {"kind": "shorthand", "table": builder.artefacts.put(table.dump())}


def asked(model: Model, seconds: float = 5.0) -> Json:  # noqa: F811
    found = model.endpoint
    return {"kind": "model", "url": found.url, "model": found.model, "key_env": found.key_env, "prompt": PROMPT.version, "seconds": seconds}  # fmt: skip


def documents(run: Run, query: str) -> list[str]:
    return list(run[query].documents)


def test_what_only_the_long_form_finds_is_found(built: Builder) -> None:
    plain = built.node(recipe.lexical(4)).search([TYPED])
    assert documents(plain, "typed") == ["short"]
    run = built.node(recipe.rewritten(recipe.lexical(4), shorthand(built), 0.5)).search([TYPED, PLAIN])
    assert set(documents(run, "typed")) == {"short", "long"}
    hits = {hit.document: hit for hit in run["typed"]}
    assert {"original", "rewrite"} <= set(hits["short"].stages)
    assert "original" not in hits["long"].stages


def test_a_query_that_nobody_rewrites_is_searched_as_it_is(built: Builder) -> None:
    retriever = built.node(recipe.rewritten(recipe.lexical(4), shorthand(built), 0.5))
    assert isinstance(retriever, Rewritten)
    before = retriever.rewritten, retriever.unwritten
    run = retriever.search([PLAIN])
    assert list(run["plain"]) == list(built.node(recipe.lexical(4)).search([PLAIN])["plain"])
    assert (retriever.rewritten - before[0], retriever.unwritten - before[1]) == (0, 1)


def test_first_documents_lend_the_words_that_they_share(built: Builder) -> None:
    by = {"kind": "feedback", "documents": 2, "terms": 1}
    retriever = built.node(recipe.rewritten(recipe.dense(4), by, 1.0))
    assert isinstance(retriever, Rewritten)
    first = built.node(recipe.lexical(4)).search([Query("q", "motor drive")])
    assert documents(first, "q")[:2] in (["long", "short"], ["short", "long"])
    assert retriever.writer.write([Query("q", "motor drive")], first) == ["motor drive replace"]


def test_a_model_rewrites_and_its_answer_is_asked_for_once(built: Builder, model: Model) -> None:  # noqa: F811
    node = recipe.rewritten(recipe.lexical(4), asked(model), 0.5)
    run = built.node(node).search([PLAIN])
    assert "rewrite" in run["plain"].stages
    Builder(built.index, built.artefacts, state=built.state).node(node).search([PLAIN])
    assert len(model.asked) == 1
    assert built.state is not None
    assert Cache(built.state).hit_rate() == 0.5


@pytest.mark.parametrize("silence", ["late", "down", "wordy"])
def test_search_goes_on_without_a_model_that_is_late_or_down(silence: str, built: Builder, model: Model) -> None:  # noqa: F811
    query = Query(silence, f"coolant {silence}")
    by = asked(model, 0.3)
    if silence == "late":
        model.delay = 3
    elif silence == "down":
        by = {**by, "url": "http://127.0.0.1:9/v1"}
    else:
        answer = b"x " * 400
        model.body = b'{"choices": [{"message": {"role": "assistant", "content": "' + answer + b'"}}]}'
    retriever = built.node(recipe.rewritten(recipe.lexical(4), by, 0.5))
    assert isinstance(retriever, Rewritten)
    started = time.monotonic()
    run = retriever.search([query])
    assert time.monotonic() - started < 2.5
    assert list(run[silence]) == list(built.node(recipe.lexical(4)).search([query])[silence])
    assert (retriever.rewritten, retriever.unwritten) == (0, 1)
    assert bool(retriever.trouble) == (silence != "wordy")


def test_a_recipe_with_an_unknown_prompt_is_refused(built: Builder, model: Model) -> None:  # noqa: F811
    with pytest.raises(ResurveyError, match="was measured with prompt '0'; there is 1"):
        built.node(recipe.rewritten(recipe.lexical(4), {**asked(model), "prompt": "0"}, 0.5))


def test_a_recipe_says_who_rewrites(built: Builder, model: Model) -> None:  # noqa: F811
    told = recipe.describe(recipe.rewritten(recipe.lexical(4), shorthand(built), 0.5))
    assert told == "(BM25), shorthand written out at 0.50"
    assert "rewritten by tiny" in recipe.describe(recipe.rewritten(recipe.lexical(4), asked(model), 0.3))
    assert Path(built.artefacts.folder).exists()
