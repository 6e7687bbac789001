"""Every setting has a default and a sentence; a bad file is told all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from resurvey.errors import ResurveyError
from resurvey.settings import TABLE, Setting, Settings, defaults, load, render

Write = Callable[[str, str], Path]
Value = str | int | float
NEXT = "; every setting has a default, so a line may go"
NAMES = [row.name for row in TABLE]


def refused(path: Path) -> list[str]:
    with pytest.raises(ResurveyError) as caught:
        load(path)
    assert caught.value.next.startswith(f"mend {path}")
    assert all(problem.where == str(path) for problem in caught.value.problems)
    return [problem.what for problem in caught.value.problems]


def test_names_are_unique_and_every_row_has_a_sentence_and_a_valid_default(write: Write) -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(row.sentence.endswith((".", ")")) and len(row.sentence) > 20 for row in TABLE)
    assert load(write("resurvey.toml", render(defaults()))).values == defaults()


@pytest.mark.parametrize("text", ["", "# nothing\n", render({})])
def test_what_is_not_set_has_its_default(write: Write, tmp_path: Path, text: str) -> None:
    assert load(write("resurvey.toml", text)).values == defaults()
    assert load(tmp_path / "none.toml").values == defaults()


def test_the_file_overrides_the_defaults(write: Write) -> None:
    found = load(write("resurvey.toml", 'model = "my/model"\ndepth = 10\nconfidence = 0.5\ngate_slice_points = 2\n'))
    changed = {"model": "my/model", "depth": 10, "confidence": 0.5, "gate_slice_points": 2}
    assert found.values == {**defaults(), **changed}
    assert found["model"] == found.text("model") == "my/model"
    assert found.integer("depth") == 10
    assert (found.number("gate_slice_points"), type(found.number("gate_slice_points"))) == (2.0, float)
    assert Settings({"seed": 7.0}).integer("seed") == 7


def test_all_that_is_wrong_is_named_at_once(write: Write) -> None:
    path = write(
        "resurvey.toml",
        'dept = 5\nwhatever = 1\nmodel = true\nlanguage = ["english"]\nmeasure = 10\nrechunk = "always"\n'
        'depth = "100"\nfolds = 2.5\nseed = true\nconfidence = 0.49\npassage_tokens = -1\n'
        "gate_slice_points = nan\ntrain_queries = 9\nstandin_queries = inf\n[gate_slice_queries]\n",
    )
    assert refused(path) == [
        "`dept` is not a setting; did you mean `depth`?",
        "`whatever` is not a setting",
        "`model` is True, must be a text",
        "`language` is ['english'], must be a text",
        "`measure` is 10, must be a text",
        "`rechunk` is 'always', must be one of auto, never",
        "`depth` is '100', must be a number",
        "`folds` is 2.5, must be a whole number",
        "`seed` is True, must be a number",
        "`confidence` is 0.49, must be at least 0.5",
        "`passage_tokens` is -1, must be at least 0",
        "`gate_slice_points` is nan, must be a number",
        "`train_queries` is 9, must be at least 10",
        "`standin_queries` is inf, must be a number",
        "`gate_slice_queries` is {}, must be a number",
    ]
    with pytest.raises(ResurveyError, match=NEXT):
        load(path)


@pytest.mark.parametrize("value", ["1", "1.0", "95"])
def test_a_confidence_is_below_one(write: Write, value: str) -> None:
    assert refused(write("resurvey.toml", f"confidence = {value}\n")) == [f"`confidence` is {value}, must be below 1"]


@pytest.mark.parametrize(("name", "least"), [(row.name, row.least) for row in TABLE if row.least is not None])
def test_the_least_value_of_a_setting_is_allowed_and_less_is_not(write: Write, name: str, least: float) -> None:
    assert load(write("resurvey.toml", f"{name} = {least:g}\n"))[name] == least
    path = write("resurvey.toml", f"{name} = {least - 1:g}\n")
    assert refused(path) == [f"`{name}` is {least - 1:g}, must be at least {least:g}"]


@pytest.mark.parametrize("row", [row for row in TABLE if row.choices], ids=lambda row: row.name)
def test_every_choice_of_a_setting_is_allowed(write: Write, row: Setting) -> None:
    assert [load(write("s.toml", f'{row.name} = "{choice}"'))[row.name] for choice in row.choices] == list(row.choices)
    assert f"One of: {', '.join(row.choices)}." in render({})


@pytest.mark.parametrize("content", [b"depth = ", b'model = "\xff"', b"seed = " + b"1" * 5000, b"seed = 1\nseed = 2"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "resurvey.toml"
    path.write_bytes(content)
    (what,) = refused(path)
    assert what.startswith("is not TOML: ")


def test_a_rendered_file_shows_every_row_as_a_comment_but_what_is_changed() -> None:
    lines = render({"depth": 50}).splitlines()
    for row in TABLE:
        default = f'"{row.default}"' if isinstance(row.default, str) else row.default
        place = lines.index("depth = 50" if row.name == "depth" else f"# {row.name} = {default}")
        assert lines[place - 1].startswith(f"# {row.sentence}")


def values(row: Setting) -> st.SearchStrategy[Value]:
    if row.choices:
        return st.sampled_from(row.choices)
    if isinstance(row.default, str):
        return st.text(max_size=12)
    if isinstance(row.default, int):
        return st.integers(int(row.least or 0), 10**6)
    return st.floats(row.least, row.below or 1e300, exclude_max=row.below is not None)


@tried(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.fixed_dictionaries({}, optional={row.name: values(row) for row in TABLE}))
@example({"model": 'C:\\models\\"new"\n\r\t\x00\x1f\x7f\x85\u2028😀', "gate_slice_points": 1e22, "confidence": 0.5})
def test_a_rendered_file_loads_as_what_was_rendered(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Value]
) -> None:
    path = tmp_path_factory.mktemp("settings") / "resurvey.toml"
    path.write_bytes(render(changed).encode("utf-8"))
    assert load(path).values == {**defaults(), **changed}
