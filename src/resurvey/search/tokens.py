"""Where a text may be cut when the model itself is out of reach: by a tokenizer that is named, or by an estimate.

Knows nothing about vectors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from resurvey.errors import Problem, ResurveyError

PIECE = re.compile(r"[A-Za-z]{1,4}|[0-9]{1,2}|[^\W0-9A-Za-z_]|[^\w\s]|_")
"""At most four letters, two digits, or one character of any other script or of punctuation.

Byte-pair and word-piece vocabularies have longer tokens for nearly all English words, so this counts too many
tokens (about half as many again) rather than too few: what it lets through fits.
"""
UNLIMITED = 1_000_000
"""A tokenizer that names a longer limit than this names none."""

Spans = list[list[tuple[int, int]]]


class Estimated:
    """An estimate that errs on the side of too many tokens; nobody has told how many the model reads."""

    known = False
    limit = 0
    specials = 0

    def offsets(self, texts: Sequence[str]) -> Spans:
        """Character spans [start, end) of every piece of every text."""
        return [[match.span() for match in PIECE.finditer(text)] for text in texts]


class Named:
    """The tokenizer of a hub name or a folder; `limit` is 0 where it names none."""

    known = True

    def __init__(self, name: str) -> None:
        """Load it.

        Raises:
            ResurveyError: when it cannot be had, or gives no offsets.
        """
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        except Exception as error:  # a folder can be damaged, and a hub unreachable, in more ways than one can name
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise _refused(name, f"cannot be loaded: {reason}") from error
        if not self._tokenizer.is_fast:
            raise _refused(name, "does not say where in a text its tokens are")
        longest = int(self._tokenizer.model_max_length)
        self.limit = longest if 0 < longest < UNLIMITED else 0
        self.specials = int(self._tokenizer.num_special_tokens_to_add())

    def offsets(self, texts: Sequence[str]) -> Spans:
        """Character spans [start, end) of every token of every text, untruncated."""
        return offsets_of(self._tokenizer, texts)


def offsets_of(tokenizer: Any, texts: Sequence[str]) -> Spans:
    """Character spans of every token by a tokenizer of transformers, without special tokens, untruncated."""
    if not texts:
        return []
    read = tokenizer(
        list(texts),
        add_special_tokens=False,
        truncation=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    return [[(int(start), int(end)) for start, end in spans] for spans in read["offset_mapping"]]


def _refused(name: str, what: str) -> ResurveyError:
    return ResurveyError(
        [Problem("endpoint_tokenizer", f"{name!r} {what}")],
        'name a folder or hub name with a tokenizer.json, or set endpoint_tokenizer = "" for an estimate',
    )
