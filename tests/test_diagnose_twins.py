"""Twins: made from the corpus's own sentences, and agreeing more once both wordings are searched."""

from __future__ import annotations

from pathlib import Path

import pytest

from resurvey.diagnose.twins import ACRONYM, SYNONYM, Twins, acronym_twins, agreement, synonym_twins
from resurvey.search import recipe
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import open_index
from resurvey.search.shorthand import Pair, learn
from resurvey.settings import Settings
from resurvey.types import Document, Query
from resurvey.workspace import Artefacts

DOCUMENTS = (
    Document("a", "A high pressure valve (HPV) may leak. Then the old HPV of pump three must go."),
    Document("b", "Tighten the main rotor seal (MRS) well. No oil leaks through an MRS that is new."),
    Document("c", "A high pressure valve is made of steel"),
    Document("d", "HPV tests are done on Mondays"),
)


def test_a_twin_is_made_where_a_form_is_used_and_not_explained() -> None:
    table = learn(document.full_text for document in DOCUMENTS)
    assert acronym_twins(DOCUMENTS, table.pairs) == [
        Twins(ACRONYM, "Then the old HPV of pump three", "Then the old high pressure valve of pump three"),
        Twins(ACRONYM, "leaks through an MRS that is new", "leaks through an main rotor seal that is new"),
    ]
    assert acronym_twins(DOCUMENTS[:1], [Pair("ABC", "alpha beta")]) == []


def test_synonyms_are_put_in_each_others_place() -> None:
    queries = [Query("1", "Repair the valve"), Query("2", "valves")]
    assert synonym_twins(queries, {"repair": "mend"}) == [Twins(SYNONYM, "Repair the valve", "mend the valve")]


def test_rewriting_makes_twins_agree(tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings) -> None:
    builder = Builder(open_index(tmp_path / "i", DOCUMENTS, encoder, plain_settings), Artefacts(tmp_path / "a"))
    table = learn(document.full_text for document in DOCUMENTS)
    by = {"kind": "shorthand", "table": builder.artefacts.put(table.dump())}
    twins = [Twins(ACRONYM, "HPV", "high pressure valve")]
    before = agreement(builder.node(recipe.lexical(4)), twins)
    after = agreement(builder.node(recipe.rewritten(recipe.lexical(4), by, 1.0)), twins)
    assert before.mean == pytest.approx(1 / 2)
    assert after.mean == 1.0
    assert after.shares == (1.0,)
    assert (after.interval.low, after.interval.high) == (1.0, 1.0)
