"""The encoder: what it runs on, whether its weights are the official ones, how fast it embeds here."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from resurvey.doctor.check import Found, Speed

if TYPE_CHECKING:
    from resurvey.protocols import Encoder

PASSAGES, PASSAGE_TOKENS, QUERIES = 64, 100, 15
ENOUGH_SECONDS = 8.0
"""A slow encoder is measured on fewer passages."""
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "for",
    "is",
    "on",
    "that",
    "by",
    "this",
    "with",
    "you",
    "it",
    "not",
    "or",
    "be",
    "are",
    "from",
    "at",
    "as",
    "your",
    "all",
    "have",
    "new",
    "more",
    "an",
    "was",
    "we",
    "will",
    "home",
    "can",
    "us",
    "about",
    "if",
    "page",
    "my",
    "has",
    "search",
    "free",
    "but",
    "our",
    "one",
    "other",
    "do",
    "no",
    "information",
    "time",
    "they",
    "site",
    "he",
    "up",
    "may",
    "what",
    "which",
    "their",
    "news",
    "out",
    "use",
    "any",
    "there",
    "see",
    "only",
    "so",
    "his",
    "when",
    "contact",
    "here",
    "business",
    "who",
    "web",
    "also",
    "now",
    "help",
    "get",
]


def torch() -> Iterator[Found]:
    """What torch would run an encoder on."""
    import torch as library

    if library.cuda.is_available():
        what = f"CUDA, {library.cuda.get_device_name(0)}"
    elif library.backends.mps.is_available():
        what = "MPS, the graphics processor of this Mac"
    else:
        what = f"CPU ({library.backends.cpu.get_cpu_capability()}), {library.get_num_threads()} threads"
    yield Found("device", "ok", what)


def weights(model: str, required: bool) -> Iterator[Found]:
    """The bundled weights, by their hash."""
    from resurvey.errors import ResurveyError
    from resurvey.search.encode import BUNDLED, BUNDLED_SHA256, locate

    try:
        locate(BUNDLED)
    except ResurveyError as error:
        missing = error.__cause__ is not None
        what = "not installed" if missing else "not the official file"
        what += "" if required else f", and not needed for {model}"
        yield Found("bundled weights", "missing" if missing else "wrong", what, error.next, required)
        return
    yield Found("bundled weights", "ok", f"sha256 {BUNDLED_SHA256[:12]}… is the official one", required=required)


def speed(encoder: Encoder) -> Speed:
    """Embed made-up passages and queries, and take the time."""
    texts, length = made_up(encoder)
    encoder.encode(texts[:4], "passage")  # the first call also starts threads and fills caches
    done, began = 0, time.perf_counter()
    for start in range(0, len(texts), 16):
        done += len(encoder.encode(texts[start : start + 16], "passage"))
        if time.perf_counter() - began > ENOUGH_SECONDS:
            break
    seconds = time.perf_counter() - began
    asked = []
    for text in texts[:QUERIES]:
        began = time.perf_counter()
        encoder.encode([" ".join(text.split()[:8])], "query")
        asked.append(time.perf_counter() - began)
    return Speed(encoder.name, length, done / seconds, done * length / seconds, 1000 * statistics.median(asked))


def made_up(encoder: Encoder) -> tuple[list[str], int]:
    """Passages of ordinary words, each cut to the same number of tokens, which is returned with them."""
    draw = random.Random(13)
    length = min(PASSAGE_TOKENS, encoder.max_tokens)
    long = [" ".join(draw.choices(WORDS, k=2 * PASSAGE_TOKENS)) for _ in range(PASSAGES)]
    spans = encoder.offsets(long)
    return [text[: found[length - 1][1]] for text, found in zip(long, spans, strict=True)], length


def duration(minutes: float) -> str:
    """Minutes as people say them: '31 minutes', '2.5 hours'."""
    steps = ((1, 60, "seconds"), (90, 1, "minutes"), (48 * 60, 1 / 60, "hours"))
    for below, factor, unit in steps:
        if minutes < below:
            return f"{minutes * factor:.{0 if minutes * factor >= 10 else 1}f} {unit}"
    return f"{minutes / 60 / 24:.0f} days"
