import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from contest.lookalikes import KINDS, UNSEEN, catalogue, spelled


@settings(deadline=None, max_examples=20)
@given(some.integers(0, 10_000))
def test_every_query_wants_one_document_of_the_catalogue_and_no_two_queries_are_alike(seed):
    made = catalogue(seed)
    every = [asked for side in made.queries.values() for asked in side]
    wanted: dict[str, str] = {}
    assert all(wanted.setdefault(asked.text, asked.wanted) == asked.wanted for asked in every)
    assert {asked.wanted for asked in every} == set(made.documents)
    assert len({asked.id for asked in every}) == len(every)
    texts = [
        re.sub("Catalogue entry. |. In stock|. See the general terms", "", text) for _, text in made.documents.values()
    ]
    assert len(set(texts)) == len(texts)


def test_families_that_are_probed_are_never_judged_and_two_kinds_are_not_judged_at_all():
    made = catalogue(13)
    families = {side: {asked.family for asked in found} for side, found in made.queries.items()}
    assert not families["probe"] & (families["train"] | families["dev"])
    assert not families["train"] & families["dev"]
    judged = {asked.kind for side in ("train", "dev") for asked in made.queries[side]}
    assert judged == {kind.name for kind in KINDS} - set(UNSEEN)
    assert {asked.kind for asked in made.queries["probe"]} == {kind.name for kind in KINDS}


def test_one_seed_makes_one_catalogue_and_another_another():
    assert catalogue(1) == catalogue(1)
    assert catalogue(1).documents != catalogue(2).documents


def test_families_hold_identifiers_that_differ_in_little():
    made = catalogue(13)
    threads = [text for id, (_, text) in made.documents.items() if id.startswith("thread0")]
    assert any("5/16-18" in text for text in threads)
    assert any("5/16-24" in text for text in threads)
    assert all(any(asked.form != "as written" for asked in found) for found in made.queries.values())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "zero"),
        ("18", "eighteen"),
        ("24", "twenty-four"),
        ("250", "two hundred fifty"),
        ("5/16", "five sixteenths"),
        ("1/4", "one quarter"),
    ],
)
def test_numbers_are_spelled_as_people_say_them(number, words):
    assert spelled(number) == words
