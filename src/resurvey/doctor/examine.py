"""The doctor's table: every check, in the order a newcomer would mend things. A check that cannot run is a finding too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from resurvey.doctor import installed, machine, model
from resurvey.doctor.check import Found, Speed

if TYPE_CHECKING:
    from resurvey.protocols import Encoder
    from resurvey.search.endpoint import Endpoint

Look: TypeAlias = Callable[["Patient"], Iterable[Found]]


@dataclass(slots=True)
class Patient:
    """What is examined: the machine, with the folder and the encoder that would be used; `speed` is filled in."""

    folder: Path
    model: str = "bundled"
    root: Path | None = None
    endpoint: Endpoint | None = None
    speed: Speed | None = None


def patient_of(root: Path | None) -> Patient:
    """The workspace at `root`, or, without one, the current folder and the default encoder.

    Raises:
        ResurveyError: when `root` is no workspace, or its settings are not in order.
    """
    from resurvey.workspace import Workspace

    if root is None:
        here = Path.cwd()
        return Patient(here if os.access(here, os.W_OK) else Path(tempfile.gettempdir()))
    from resurvey.search.endpoint import endpoint_of

    settings = Workspace.open(root).settings
    return Patient(root, settings.text("model"), root, endpoint_of(settings))


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table: what it is called, what it does, why it matters."""

    name: str
    look: Look
    sentence: str


def _embedding(patient: Patient) -> Iterator[Found]:
    from resurvey.errors import ResurveyError

    try:
        with tempfile.TemporaryDirectory() as folder:  # as a workspace of some size would have it
            encoder = _opened(patient, Path(folder))
            patient.speed = found = model.speed(encoder)
    except ResurveyError as error:
        yield Found("embedding", "wrong", str(error.problems[0]), error.next)
        return
    what = f"{found.passages:.0f} passages/s, {found.tokens:,.0f} tokens/s, query {found.query:.0f} ms"
    yield Found("embedding", "ok", what)
    if patient.endpoint is not None:
        reads = getattr(encoder, "reading", "")
        told = f"{encoder.name} at {patient.endpoint.url}, {encoder.dimensions} dimensions, longest text: {reads}"
        yield Found("endpoint", "ok", told)


def _opened(patient: Patient, folder: Path) -> Encoder:
    """The encoder; an endpoint is held against the probes that its workspace keeps, where it keeps any."""
    from resurvey.search.encode import open_encoder
    from resurvey.search.endpoint import kept_probes, open_endpoint

    if patient.endpoint is None:
        return open_encoder(patient.model, folder)
    kept = kept_probes(patient.folder / "index" / "engines", patient.endpoint)
    return open_endpoint(patient.endpoint, kept.parent if kept.exists() else folder)


CHECKS: tuple[Check, ...] = (
    Check("Python", lambda _: installed.python(), "Older interpreters cannot read the source."),
    Check("resurvey", lambda _: installed.resurvey(), "Its metadata says what else is needed."),
    Check("dependencies", lambda _: installed.needs(), "A version outside the range was never tried."),
    Check("extras", lambda _: installed.extras(), "Optional: [offline] brings the default encoder, [dev] the tests."),
    Check("bundled weights", lambda p: model.weights(p.model, p.model == "bundled"), "Other weights are another map."),
    Check("device", lambda _: model.torch(), "A GPU embeds ten to a hundred times faster than a CPU."),
    Check("processor", lambda _: machine.processor(), "AVX2 or better makes embedding on a CPU bearable."),
    Check("memory", lambda _: machine.memory(), "Too little memory ends a run without a word."),
    Check("disk", lambda p: machine.disk(p.folder), "Vectors and indexes take about as much as your documents."),
    Check("file system", lambda p: machine.file_system(p.folder), "Nothing is lost by a kill only where these hold."),
    Check("terminal", lambda _: machine.terminal(), "Tables are made for 80 columns."),
    Check("network", lambda _: machine.network(), "Only hub names and endpoints need a network."),
    Check("embedding", _embedding, "Vectors are computed once; this is how long that takes."),
)


def examine(patient: Patient, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    """All checks: `checks` (rows of `Found` with their sentence), `speed`, `meaning`, `ok` and `next`."""
    rows: list[tuple[Check, Found]] = []
    for place, check in enumerate(CHECKS):
        progress("looking", place, len(CHECKS))
        rows += [(check, found) for found in _looked(check, patient)]
    bad = [found for _, found in rows if found.required and found.state != "ok"]
    speed = patient.speed
    return {
        "checks": [{**asdict(found), "sentence": check.sentence} for check, found in rows],
        "speed": asdict(speed) if speed else None,
        "meaning": meaning(speed) if speed else None,
        "ok": not bad,
        "next": _next(patient, bad),
    }


def _looked(check: Check, patient: Patient) -> list[Found]:
    """What a check found; a library that is missing or broken is its finding, not a crash."""
    try:
        return [_without_remedy(found) for found in check.look(patient)]
    except ModuleNotFoundError as error:
        name = (error.name or "a module").split(".")[0]
        return [Found(check.name, "missing", f"cannot look without {name}", f"pip install {name}")]
    except (ImportError, OSError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return [Found(check.name, "wrong", reason, 'pip install --force-reinstall "resurvey"')]


def _without_remedy(found: Found) -> Found:
    return replace(found, remedy="") if found.state == "ok" else found


def meaning(speed: Speed, passages: int = 100_000) -> str:
    """What a speed means: how long a corpus of some size takes."""
    took = model.duration(speed.minutes(passages))
    return f"{passages:,} passages of {speed.passage_tokens} tokens: about {took}"


def _next(patient: Patient, bad: list[Found]) -> str:
    this = f"resurvey doctor {patient.root}" if patient.root else "resurvey doctor"
    if bad:
        return f"{bad[0].remedy}; then {this}"
    return f"resurvey run {patient.root}" if patient.root else "resurvey init DIR --corpus FILE"
