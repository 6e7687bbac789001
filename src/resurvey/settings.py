"""Settings: one table of (name, default, sentence); `resurvey.toml` overrides, nothing else does.

This module knows nothing about what the settings are used for.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resurvey.errors import Problem, ResurveyError

FILE = "resurvey.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    default: str | int | float
    sentence: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    below: float | None = None
    serving: bool = False
    """Read by what serves alone: a change makes nothing anew."""


TABLE: tuple[Setting, ...] = (
    Setting("model", "bundled", "Encoder: `bundled`, a sentence-transformers folder, or a hub name."),
    Setting(
        "encoders",
        "",
        "Other encoders to compare, folders or hub names between commas; the best one may replace `model`.",
    ),
    Setting(
        "endpoint_url",
        "",
        "An OpenAI-compatible address such as https://host/v1: `model` is then what it calls its model, and embeds there.",
    ),
    Setting("endpoint_dimensions", 0, "Length of vectors to ask the endpoint for; 0 takes what it gives.", least=0),
    Setting("endpoint_key_env", "OPENAI_API_KEY", "Environment variable with the endpoint's key; unset, none is sent."),
    Setting(
        "endpoint_tokenizer",
        "",
        "Hub name or folder of the endpoint's tokenizer; without one, tokens are estimated by words, on the safe side.",
    ),
    Setting(
        "endpoint_tokens",
        0,
        "Tokens of one text that the endpoint reads; 0: as its tokenizer says, or else 512.",
        least=0,
    ),
    Setting("endpoint_query_prompt", "", "What the endpoint's model wants before a query."),
    Setting("endpoint_passage_prompt", "", "What the endpoint's model wants before a passage."),
    Setting(
        "engine",
        "auto",
        "What embeds: OpenVINO on a CPU and torch on a GPU (auto), or always one of them.",
        ("auto", "openvino", "torch"),
    ),
    Setting(
        "precision",
        "auto",
        "Arithmetic of the encoder: float32 on a CPU and int8 for larger corpora, bfloat16 on a GPU that has it (auto). int8 is several times faster on a CPU, and refused where your rankings would suffer.",
        ("auto", "float32", "bfloat16", "int8"),
    ),
    Setting(
        "rechunk",
        "auto",
        "What to do with documents the encoder would cut short: split them into passages, or refuse.",
        ("auto", "never"),
    ),
    Setting("passage_tokens", 128, "Most tokens of a passage; 0 takes as many as the encoder reads.", least=0),
    Setting(
        "language",
        "auto",
        "Language of the stemmer that the lexical index uses: a Snowball name, or what most documents are in (auto).",
    ),
    Setting(
        "terms", "", "Words of your own, with commas between, that are asked for a second meaning beside those found."
    ),
    Setting(
        "thresholds",
        "",
        "Levels of your own, `R12-hubs 2 10, R18-recall 0.9 0.7`: a finding, up to where it is healthy, from where confirmed.",
    ),
    Setting("depth", 100, "Documents that each branch of a search contributes.", least=10),
    Setting(
        "exact_up_to",
        50_000,
        "Vectors up to which a search looks at all of them; beyond, a graph leads to the nearest (recall@100 of 0.98 or more).",
        least=0,
    ),
    Setting(
        "memory",
        1.0,
        "Gigabytes that searching and preparing vectors may use; blocks follow from it, results do not.",
        least=0.05,
    ),
    Setting(
        "reranker",
        "",
        "Reranker to try: a CrossEncoder folder, a hub name, or a /v1/rerank URL (`http://host/v1/rerank#model`); empty for none.",
    ),
    Setting(
        "teacher",
        "",
        "Whom the encoder learns from (`--effort large`): a cross-encoder as `reranker` names it, or `encoder:NAME`, a larger encoder; empty takes the `reranker`.",
    ),
    Setting(
        "reranker_key_env",
        "RERANKER_API_KEY",
        "Environment variable with the reranking endpoint's key; unset, none is sent.",
    ),
    Setting("rerank_depth", 0, "Documents that are reranked; 0 takes what `rerank_budget_ms` allows here.", least=0),
    Setting(
        "rerank_budget_ms",
        300,
        "Milliseconds a query that reranking may take; a search that waited twice as long answers without it.",
        least=1,
    ),
    Setting("rerank_minutes", 30, "Minutes that training a cross-encoder may take.", least=1),
    Setting("measure", "nDCG@10", "The measure by which treatments are kept (any name ir-measures knows)."),
    Setting("confidence", 0.95, "Confidence of every interval.", least=0.5, below=1),
    Setting(
        "not_covered",
        0.02,
        "Share of your own held-out queries that may be called not covered; a query as far from the documents is.",
        least=0,
        below=1,
    ),
    Setting(
        "may_be_missing",
        0.5,
        "Probability that any of the first ten hits is relevant, below which the answer is said to be missing, maybe.",
        least=0,
        below=1,
    ),
    Setting("folds", 5, "Cross-validation folds for whatever is fitted.", least=2),
    Setting(
        "train_queries",
        1500,
        "Most judged queries that fusion and the ranker are fitted on; the rest still serve as memory.",
        least=10,
    ),
    Setting(
        "standin_queries", 400, "Known-item queries made from the corpus where no judgments are brought.", least=20
    ),
    Setting(
        "gate_slice_points", 1.0, "Points of the measure that any slice may lose before promotion is refused.", least=0
    ),
    Setting("gate_slice_queries", 100, "Queries a slice needs before it can refuse a promotion.", least=5),
    Setting("llm_url", "", "OpenAI-compatible endpoint of a language model that rewrites queries; empty asks none."),
    Setting("llm_model", "", "Name of the language model at that endpoint."),
    Setting("llm_key_env", "OPENAI_API_KEY", "Environment variable that holds the endpoint's key."),
    Setting(
        "llm_seconds",
        2.0,
        "Seconds that a language model may take for one query; later, it is searched as it is.",
        least=0.05,
    ),
    Setting("seed", 13, "Seed of everything drawn at random.", least=0),
    Setting(
        "query_constraints",
        "show",
        "What the service does with prices, dates, quantities and known values that a query states: show them as filters to be taken, apply them as filters that can be taken away, or neither.",
        ("show", "apply", "off"),
        serving=True,
    ),
    Setting(
        "boosts",
        "",
        'Boosts of every search the service answers, as JSON: [{"field": "updated", "half_life": 365, "weight": 0.2}, {"field": "status", "value": "current", "weight": 0.3}].',
        serving=True,
    ),
    Setting(
        "valid_from_field",
        "",
        "Field with the date from which a document holds; the service finds what holds today, or `at` another day.",
        serving=True,
    ),
    Setting("valid_until_field", "", "Field with the last date on which a document holds.", serving=True),
    Setting(
        "superseded_field",
        "",
        "Field that names the newer document in a document's place; the service leaves such documents out unless asked.",
        serving=True,
    ),
    Setting(
        "embed_seconds",
        2.0,
        "Seconds that an endpoint may take to embed a query; later, the service answers by words alone and says so.",
        least=0.05,
        serving=True,
    ),
    Setting("serve_seconds", 30.0, "Seconds that the service may take for one request.", least=0.1, serving=True),
    Setting("serve_megabytes", 16, "Megabytes of one request to the service.", least=1, serving=True),
    Setting(
        "serve_rate",
        0.0,
        "Requests a second of one key; 0 for no limit. Twice as many may come at once.",
        least=0,
        serving=True,
    ),
    Setting(
        "serve_drain_seconds",
        1.0,
        "Seconds between the moment a service that was told to stop says so at /ready and the moment it takes no more requests.",
        least=0,
        serving=True,
    ),
    Setting(
        "log_queries", "no", "Whether the service's log may hold the texts of queries.", ("no", "yes"), serving=True
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of one workspace; ask with `settings["depth"]`."""

    values: Mapping[str, str | int | float]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def making(self) -> dict[str, str | int | float]:
        """Those that what is made depends on."""
        serving = {row.name for row in TABLE if row.serving}
        return {name: value for name, value in self.values.items() if name not in serving}

    def names(self, name: str) -> list[str]:
        """What stands between the commas of a text."""
        return [found for part in self.text(name).split(",") if (found := part.strip())]

    def integer(self, name: str) -> int:
        """A whole-number setting."""
        return int(self.values[name])

    def number(self, name: str) -> float:
        """A real-number setting."""
        return float(self.values[name])

    def text(self, name: str) -> str:
        """A text setting."""
        return str(self.values[name])


def defaults() -> dict[str, str | int | float]:
    """Name to default, for every setting."""
    return {row.name: row.default for row in TABLE}


def _problem(row: Setting, value: object) -> str | None:
    if isinstance(row.default, str):
        return _text_problem(row, value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return f"is {value!r}, must be a number"
    if isinstance(row.default, int) and not isinstance(value, int):
        return f"is {value!r}, must be a whole number"
    if row.least is not None and value < row.least:
        return f"is {value!r}, must be at least {row.least:g}"
    if row.below is not None and value >= row.below:
        return f"is {value!r}, must be below {row.below:g}"
    return None


def _text_problem(row: Setting, value: object) -> str | None:
    if not isinstance(value, str):
        return f"is {value!r}, must be a text"
    if row.choices and value not in row.choices:
        return f"is {value!r}, must be one of {', '.join(row.choices)}"
    return None


def load(path: Path) -> Settings:
    """Read `path` over the defaults.

    Raises:
        ResurveyError: naming every unknown name and every bad value of the file.
    """
    values = defaults()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ResurveyError([Problem(str(path), f"is not TOML: {error}")], f"mend {path}") from error
    rows = {row.name: row for row in TABLE}
    problems = []
    for name, value in given.items():
        if name not in rows:
            near = difflib.get_close_matches(name, rows, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            problems.append(Problem(str(path), f"`{name}` is not a setting{hint}"))
        elif (wrong := _problem(rows[name], value)) is not None:
            problems.append(Problem(str(path), f"`{name}` {wrong}"))
        else:
            values[name] = value
    if problems:
        raise ResurveyError(problems, f"mend {path}; every setting has a default, so a line may go")
    return Settings(values)


def render(changed: Mapping[str, str | int | float]) -> str:
    """A settings file in which only `changed` is set and every other row stands as a comment."""
    lines = ["# Settings of this workspace. Remove the # of a line to change it.", ""]
    for row in TABLE:
        value = changed.get(row.name, row.default)
        shown = _toml(value)
        mark = "" if row.name in changed else "# "
        choices = f" One of: {', '.join(row.choices)}." if row.choices else ""
        lines += [f"# {row.sentence}{choices}", f"{mark}{row.name} = {shown}", ""]
    return "\n".join(lines)


def changed(text: str, name: str, value: str | int | float) -> str:
    """A settings file with one row set, all else as it stands; a row that is not there is added.

    Raises:
        ResurveyError: when there is no such setting, or it cannot have the value.
    """
    row = next((row for row in TABLE if row.name == name), None)
    wrong = "is not a setting" if row is None else _problem(row, value)
    if wrong is not None:
        raise ResurveyError([Problem(f"`{name}`", wrong)], f"mend {FILE}")
    line = f"{name} = {_toml(value)}"
    found = re.search(rf"^{name}\s*=.*$", text, re.MULTILINE) or re.search(rf"^# {name} = .*$", text, re.MULTILINE)
    if found:
        return f"{text[: found.start()]}{line}{text[found.end() :]}"
    return f"{text.rstrip()}\n\n{line}\n".lstrip("\n")


def _toml(value: str | int | float) -> str:
    """A value as TOML; it escapes as JSON does, but for the one control character that JSON lets stand."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
