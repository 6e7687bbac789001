"""Examples keep where they come from, and survive Parquet."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.errors import ResurveyError
from resurvey.train.examples import (
    PROVENANCES,
    SCHEMA,
    Example,
    Examples,
    combined,
    from_judgments,
    load_examples,
)
from resurvey.types import Document, Query

SOME = tried(max_examples=50, deadline=None, derandomize=True, database=None)
ROWS = st.builds(
    Example,
    st.text(),
    st.text(),
    st.sampled_from(sorted(PROVENANCES)),
    st.floats(0.001, 100),
    st.tuples(st.integers(0, 99), st.integers(0, 99)),
)


@SOME
@given(st.lists(ROWS, max_size=9).map(tuple))
def test_examples_survive_parquet(rows: tuple[Example, ...]) -> None:
    made = Examples(rows)
    assert load_examples(made.dump()) == made
    assert made.dump() == Examples(rows).dump(), "the same examples are the same artefact"


def test_examples_are_counted_by_where_they_come_from() -> None:
    rows = [Example("a", "d", "synthetic: title"), Example("b", "d"), Example("c", "d"), Example("d", "d", "click")]
    assert list(Examples(tuple(rows)).counts().items()) == [("judgment", 2), ("click", 1), ("synthetic: title", 1)]
    assert [row.synthetic for row in rows] == [True, False, False, False]


def test_every_relevant_judgment_is_an_example() -> None:
    qrels = {"q": {"d1": 2, "d2": 0, "d3": 1}, "other": {"d1": 1}}
    found = from_judgments([Query("q", "leak"), Query("unjudged", "pump")], qrels)
    assert list(found) == [Example("leak", "d1"), Example("leak", "d3")]


def test_of_equal_examples_the_first_source_stays() -> None:
    judged = Examples((Example("Pump  leak?", "d1"),))
    made = Examples((Example("pump leak", "d1", "click"), Example("pump leak", "d2", "click")))
    assert [(row.provenance, row.document) for row in combined(judged, made)] == [("judgment", "d1"), ("click", "d2")]


def test_a_document_is_shown_without_what_the_query_was_lifted_from() -> None:
    document = Document("d", "The pump leaks. Replace the seal.", "Pumps")
    assert Example("the pump leaks", "d", lifted=(6, 21)).shown(document) == "Pumps   Replace the seal."
    assert Example("the pump leaks", "d").shown(document) == document.full_text


def test_all_that_is_wrong_with_a_table_is_said_at_once() -> None:
    with pytest.raises(ResurveyError, match="is no Parquet table"):
        load_examples(b"nothing")
    with pytest.raises(ResurveyError) as caught:
        load_examples(_parquet({"query": ["a"], "document": ["d"]}))
    assert [p.what for p in caught.value.problems] == [
        f"has no column `{name}`" for name in ("provenance", "weight", "from", "to")
    ]
    row: dict[str, list[object]] = {"query": [None, "b"], "document": ["d", "d"], "provenance": ["click", "gossip"]}
    with pytest.raises(ResurveyError) as caught:
        load_examples(_parquet({**row, "weight": [1.0, 0.0], "from": [0, 0], "to": [0, 0]}))
    assert [p.where for p in caught.value.problems] == ["examples:1", "examples:2", "examples:2"]
    assert "gossip" in str(caught.value)
    with pytest.raises(ResurveyError, match="of another kind"):
        load_examples(_parquet({**{name: ["x"] for name in SCHEMA.names}}))


def _parquet(columns: dict[str, list[object]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()
