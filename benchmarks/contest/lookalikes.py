"""A generated catalogue of near-identical identifiers, and queries that write them otherwise (R60).

Families are a thing and its identifiers: hex bolts in fourteen threads, one statute's sections. Inside a family only
the identifier tells documents apart; a query names the family in short and writes the identifier as people type it.
Families are held out: those whose queries are asked are never those whose queries are judged. Two kinds are seen by
no judged query at all. Everything follows from the seed. Knows nothing about search.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Parts = dict[str, str]
"""The pieces of one identifier, by name."""
UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
TENS = ["–", "–", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
BELOW = {"2": ("half", "halves"), "4": ("quarter", "quarters"), "8": ("eighth", "eighths"), "16": ("sixteenth", "sixteenths")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of identifier: how the catalogue writes it, and how people do."""

    name: str
    things: tuple[tuple[str, str], ...]
    """Of each family: the catalogue's words, and a query's."""
    make: Callable[[random.Random], list[Parts]]
    written: str
    """The catalogue's form: a template over the parts, and `thing`."""
    forms: Mapping[str, str]
    """A query's forms by name: templates over the parts, and `thing`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, the document it wants, and how it differs from the catalogue."""

    id: str
    text: str
    wanted: str
    kind: str
    form: str
    family: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Documents (id to title and text), and queries by side: `train`, `dev`, `probe`."""

    documents: Mapping[str, tuple[str, str]]
    queries: Mapping[str, tuple[Asked, ...]]


def spelled(number: str) -> str:
    """A whole number below 1,000, or a fraction such as 5/16, in words."""
    if "/" in number:
        above, below = number.split("/")
        return f"{spelled(above)} {BELOW[below][int(above) > 1]}"
    value = int(number)
    if value < 20:
        return UNITS[value]
    if value < 100:
        return TENS[value // 10] + (f"-{UNITS[value % 10]}" if value % 10 else "")
    return f"{UNITS[value // 100]} hundred" + (f" {spelled(str(value % 100))}" if value % 100 else "")


def threads(rng: random.Random) -> list[Parts]:
    """Inch threads: a size, threads an inch, and which series that is."""
    table = {"1/4": (20, 28), "5/16": (18, 24), "3/8": (16, 24), "7/16": (14, 20), "1/2": (13, 20), "9/16": (12, 18), "5/8": (11, 18)}  # fmt: skip
    length = rng.choice(["1", "2", "3"])
    return [
        {"size": size, "words": spelled(size), "pitch": str(pitch), "pitched": spelled(str(pitch)), "series": series, "length": length}
        for size, pitches in table.items() for pitch, series in zip(pitches, ("UNC", "UNF"), strict=True)
    ]  # fmt: skip


def metric(rng: random.Random) -> list[Parts]:
    """Metric screws: diameter, pitch and length."""
    pitches = {"6": ("0.75", "1"), "8": ("1", "1.25"), "10": ("1.25", "1.5")}
    lengths = rng.sample(["16", "20", "25", "30", "35", "40"], 2)
    return [
        {"size": size, "pitch": pitch, "length": length}
        for size, found in pitches.items() for pitch in found for length in lengths
    ]  # fmt: skip


def parts(rng: random.Random) -> list[Parts]:
    """Part numbers that differ in one digit, in two digits swapped, or in the last letter."""
    head = "".join(rng.choices("ABCDEFGHKLMNPRSTVWX", k=2))
    number = "".join(rng.sample("123456789", 4))
    near = [
        number,
        number[0] + number[2] + number[1] + number[3],
        number[:3] + number[2],
        number[:2] + number[3] + number[2],
    ]
    near += [number[:-1] + digit for digit in rng.sample("0123456789", 3) if digit not in number[2:]]
    return [
        {"head": head, "low": head.lower(), "number": found, "tail": tail, "end": tail.lower()}
        for found in dict.fromkeys(near) for tail in rng.sample("BCDFG", 3)
    ]  # fmt: skip


def versions(rng: random.Random) -> list[Parts]:
    """Version numbers of three parts out of the same few digits."""
    digits = rng.sample(["1", "2", "3", "4", "7", "10", "12", "14"], 4)
    every = [(a, b, c) for a in digits[:2] for b in digits for c in digits]
    return [
        {"a": a, "b": b, "c": c, "as": spelled(a), "bs": spelled(b), "cs": spelled(c)}
        for a, b, c in rng.sample(every, 14)
    ]


def doses(rng: random.Random) -> list[Parts]:
    """Strengths that differ by a factor of ten, or by a digit."""
    first = rng.choice([2, 4, 6, 8])
    values = [
        f"0.{first}",
        f"0.{first}5",
        f"{first}",
        f"{first}.5",
        f"{first}0",
        f"{first}5",
        f"{first}00",
        f"{first}50",
    ]
    return [{"dose": dose, "words": _decimal(dose), "pack": rng.choice(["28", "30", "56"])} for dose in values]


def codes(rng: random.Random) -> list[Parts]:
    """Diagnosis codes: a letter, two digits, and one or two digits behind a point."""
    letter, block = rng.choice("CEFGHJKMN"), rng.randrange(1, 9)
    every = [(letter, f"{block}{unit}", str(digit)) for unit in (0, 1, 3) for digit in range(6)]
    return [{"letter": a, "low": a.lower(), "block": b, "digit": c} for a, b, c in rng.sample(every, 12)]


def sections(rng: random.Random) -> list[Parts]:
    """Sections of a code of laws, near one another."""
    titles = rng.sample(["11", "15", "17", "18", "26", "28", "29", "42"], 3)
    start = rng.randrange(11, 189) * 10
    return [{"title": t, "section": str(start + step)} for t in titles for step in rng.sample(range(10), 5)]


def forms(rng: random.Random) -> list[Parts]:
    """Official forms: a number and its letters."""
    start = rng.randrange(100, 899) * 10
    return [
        {"number": str(start + step), "letters": letters, "low": letters.lower()}
        for step in rng.sample(range(10), 4) for letters in rng.sample(["INT", "DIV", "MISC", "NEC", "B", "K", "R", "T"], 4)
    ]  # fmt: skip


def _decimal(number: str) -> str:
    whole, _, rest = number.partition(".")
    return spelled(whole) + (" point " + " ".join(map(spelled, rest)) if rest else "")


KINDS: tuple[Kind, ...] = (
    Kind(
        "thread",
        (("Hex head cap screw, zinc plated steel, grade 5", "hex cap screw"), ("Socket head cap screw, black oxide alloy steel", "socket head screw"),
         ("Heavy hex nut, galvanised", "heavy hex nut"), ("Threaded rod, stainless steel 304", "threaded rod"),
         ("Carriage bolt, round head, square neck", "carriage bolt"), ("Wing nut, brass", "wing nut")),
        threads,
        '{thing}. Thread {size}-{pitch} {series}, length {length} in',
        {"as written": "{size}-{pitch} {thing}", "spaces": "{thing} {size} {pitch}", "inches": '{size}" x {pitch} tpi {thing}',
         "series": "{size} {series} {thing}", "order": "{pitch} tpi {thing} {size} inch", "words": "{words} inch {pitched} thread {thing}"},
    ),
    Kind(
        "metric",
        (("Flat head machine screw, A2 stainless", "flat head screw"), ("Pan head machine screw, torx drive", "torx pan head screw"),
         ("Set screw with cup point", "set screw"), ("Shoulder bolt, precision ground", "shoulder bolt"), ("Hex flange bolt, serrated", "flange bolt")),
        metric,
        "{thing}, M{size}x{pitch}x{length}",
        {"as written": "{thing} M{size}x{pitch}x{length}", "spaces": "m{size} x {pitch} x {length} {thing}", "units": "{thing} {size} mm {pitch} pitch {length} mm long",
         "order": "{length}mm {thing} M{size} {pitch} pitch", "dashes": "M{size}-{pitch}-{length} {thing}"},
    ),
    Kind(
        "part",
        (("Hydraulic pump seal kit", "pump seal"), ("Servo motor controller board", "servo controller"), ("Toner cartridge, black, high yield", "toner"),
         ("Oil filter element, spin-on", "oil filter"), ("Replacement lithium battery pack", "battery"), ("Pressure relief valve", "relief valve")),
        parts,
        "{thing}. Model {head}-{number}-{tail}",
        {"as written": "{head}-{number}-{tail}", "joined": "{thing} {head}{number}{tail}", "small": "{low}{number}{end}", "spaces": "{head} {number} {tail} {thing}",
         "slashes": "{thing} {head}/{number}/{tail}", "half": "{head}{number}-{tail} {thing}"},
    ),
    Kind(
        "version",
        (("Release notes of the Harbor message queue", "harbor queue"), ("Release notes of the Lumen image library", "lumen"), ("Changelog of the Quarry database driver", "quarry driver"),
         ("Upgrade guide of the Tern web framework", "tern framework"), ("Security bulletin for the Osier scheduler", "osier scheduler")),
        versions,
        "{thing}, version {a}.{b}.{c}",
        {"as written": "{thing} {a}.{b}.{c}", "v": "{thing} v{a}.{b}.{c}", "dashes": "{thing}-{a}-{b}-{c}", "underscores": "{thing} {a}_{b}_{c}",
         "words": "{thing} version {as} point {bs} point {cs}"},
    ),
    Kind(
        "dose",
        (("Metoprolol tartrate tablets", "metoprolol"), ("Levothyroxine sodium tablets", "levothyroxine"), ("Amlodipine besylate tablets", "amlodipine"), ("Haloperidol oral tablets", "haloperidol"),
         ("Warfarin sodium tablets", "warfarin"), ("Dexamethasone tablets", "dexamethasone"), ("Lisinopril tablets", "lisinopril"), ("Prednisolone tablets", "prednisolone")),
        doses,
        "{thing} {dose} mg, pack of {pack}",
        {"as written": "{thing} {dose} mg", "joined": "{dose}mg {thing}", "unit": "{thing} {dose} milligrams", "words": "{words} milligram {thing}"},
    ),
    Kind(
        "code",
        (("Episodic condition of adults, coded for billing", "episodic condition"), ("Chronic inflammatory disease, coded for billing", "chronic inflammation"),
         ("Injury of the upper limb, coded for billing", "arm injury"), ("Disorder of metabolism, coded for billing", "metabolic disorder"), ("Infection of the airways, coded for billing", "airway infection")),
        codes,
        "{thing}: {letter}{block}.{digit}",
        {"as written": "{letter}{block}.{digit} {thing}", "joined": "{low}{block}{digit} {thing}", "spaces": "{thing} {letter} {block}.{digit}", "dash": "{thing} {letter}{block}-{digit}"},
    ),
    Kind(
        "statute",
        (("Federal statute on jurisdiction of the courts", "jurisdiction"), ("Federal statute on reporting duties", "reporting duty"), ("Federal statute on civil penalties", "civil penalty")),
        sections,
        "{thing}, {title} U.S.C. § {section}",
        {"as written": "{title} U.S.C. § {section}", "joined": "{title}usc{section} {thing}", "plain": "{title} USC {section} {thing}", "sec": "{thing} {title} U.S. Code sec. {section}",
         "order": "section {section} of title {title} {thing}"},
    ),
    Kind(
        "form",
        (("Tax return of individuals", "individual return"), ("Statement for recipients of payments", "payment statement"), ("Application of small employers", "small employer")),
        forms,
        "{thing}, Form {number}-{letters}",
        {"as written": "form {number}-{letters}", "joined": "{number}{low} {thing}", "spaces": "{thing} {number} {letters}", "order": "{letters} {number} {thing}"},
    ),
)  # fmt: skip
UNSEEN = ("statute", "form")
"""Kinds that no judged query asks for."""
FORMS_ASKED = 2
"""Forms in which every document is asked for."""
FRAMES = ("{0}", "Catalogue entry. {0}", "{0}. In stock", "{0}. See the general terms")


def catalogue(seed: int) -> Catalogue:
    """Documents and queries; of a seen kind every other family is probed, one of many is dev, the rest train."""
    rng = random.Random(seed)
    documents: dict[str, tuple[str, str]] = {}
    sides: dict[str, list[Asked]] = {"train": [], "dev": [], "probe": []}
    for kind in KINDS:
        order = rng.sample(range(len(kind.things)), len(kind.things))
        for place, family in enumerate(order):
            side = (
                "probe"
                if kind.name in UNSEEN or place % 2 == 0
                else "dev"
                if place == 1 and len(kind.things) > 5
                else "train"
            )
            thing, short = kind.things[family]
            made = _family(kind, thing, f"{kind.name}{family}", documents, rng)
            for id, pieces in made.items():
                for form in rng.sample(list(kind.forms), FORMS_ASKED):
                    text = kind.forms[form].format(thing=short, **pieces)
                    asked = Asked(
                        f"q{sum(map(len, sides.values()))}", text, id, kind.name, form, f"{kind.name}{family}"
                    )
                    sides[side].append(asked)
    return Catalogue(documents, {side: tuple(found) for side, found in sides.items()})


def _family(
    kind: Kind, thing: str, name: str, documents: dict[str, tuple[str, str]], rng: random.Random
) -> dict[str, Parts]:
    """Add a family's documents; their parts by document id."""
    made = {f"{name}-{place}": pieces for place, pieces in enumerate(_unlike(kind, documents, rng))}
    for id, pieces in made.items():
        written = kind.written.format(thing=thing, **pieces)
        documents[id] = thing.split(",", maxsplit=1)[0], rng.choice(FRAMES).format(written)
    return made


def _unlike(kind: Kind, documents: Mapping[str, tuple[str, str]], rng: random.Random) -> list[Parts]:
    """A family's parts; where a query may leave the family's name out, none that another family has."""
    bare = any("{thing}" not in form for form in kind.forms.values())
    every = " ".join(text for _, text in documents.values()) if bare else ""
    while True:
        made = kind.make(rng)
        if not any(kind.written.format(thing="", **pieces).lstrip(".:, ") in every for pieces in made):
            return made
