"""Whatever a file holds, its reader reads it whole or refuses it by name, and a refused init makes nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

import fuzz
from resurvey import loop
from resurvey.data.read import read
from resurvey.errors import ResurveyError

MANY = tried(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
READERS = (
    *(f"{kind} {name or 'unnamed'}" for name in fuzz.WRITERS
      for kind in ("corpus", "queries", "judgments", "pairs", "answers")),
    "queries topics", "queries txt", "judgments qrels", "run trec", "folder md", "folder rst", "folder txt",
    "dataset state.json", "dataset data-00000-of-00001.arrow", "dataset splits",
)  # fmt: skip


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, fuzz.Seed]:
    found = fuzz.seeds(tmp_path_factory.mktemp("good"))
    assert tuple(found) == READERS
    return found


@pytest.mark.parametrize("reader", READERS)
def test_undamaged_files_are_read(seeds: dict[str, fuzz.Seed], reader: str) -> None:
    fuzz.check(read(seeds[reader].sources))


@pytest.mark.parametrize("reader", READERS)
@MANY
@given(data=st.data())
def test_a_damaged_file_is_read_whole_or_refused(seeds: dict[str, fuzz.Seed], reader: str, data: st.DataObject) -> None:
    seed = seeds[reader]
    good = seed.file.read_bytes()
    bad = data.draw(st.integers(0, 2**32).map(lambda n: fuzz.damaged(good, random.Random(n))) | st.binary(max_size=80))
    refusal = None
    try:
        seed.file.write_bytes(bad)
        fuzz.check(read(seed.sources))
    except ResurveyError as error:
        refusal = error
    finally:
        seed.file.write_bytes(good)
    if refusal is not None:
        assert all(problem.where and problem.what for problem in refusal.problems)
        assert refusal.next.endswith("nothing was imported")
        str(refusal).encode()


@tried(MANY, max_examples=40)
@given(number=st.integers(0, 2**32), reader=st.sampled_from(READERS))
def test_a_refused_init_leaves_nothing_behind(
    seeds: dict[str, fuzz.Seed], tmp_path_factory: pytest.TempPathFactory, number: int, reader: str
) -> None:
    seed, folder = seeds[reader], tmp_path_factory.mktemp("init")
    good = seed.file.read_bytes()
    seed.file.write_bytes(fuzz.damaged(good, random.Random(number)))
    try:
        manifest = loop.init(folder / "deep" / "made", seed.sources, {"model": "bundled"})
        assert manifest["documents"]
    except ResurveyError:
        assert not list(folder.iterdir())
    finally:
        seed.file.write_bytes(good)


def test_the_fuzzer_would_notice_a_crash_and_what_is_left_behind(
    seeds: dict[str, fuzz.Seed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = seeds["corpus csv"]
    assert fuzz._fuzz("x", seed, 41, 1, tmp_path)[2] == []

    def crash(_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(fuzz, "read", crash)
    monkeypatch.setattr(fuzz, "KEPT", 0)
    assert fuzz._fuzz("x", seed, 3, 1, tmp_path)[2] == ["x 1: ValueError: broken", "x 2: ValueError: broken"]

    def half(root: Path, *_: object) -> None:
        root.mkdir()
        raise ResurveyError("bad")

    monkeypatch.setattr(loop, "init", half)
    assert fuzz._fuzz("x", seed, 1, 1, tmp_path)[2] == ["x 0: AssertionError: something was left behind"]
