"""The service at a hundred thousand passages, beside LanceDB's hybrid search written plainly, in one run.

    python benchmarks/serve.py [--data FOLDER] [--passages 100000] [--seconds 20] [--rounds 3]
    python benchmarks/serve.py --switch      # a minute of load with a switch and new documents in the middle

Servers are processes of their own, so is the load; all on the loopback, query embedding and HTTP included. Each round
asks every server in turn over one connection (latency), over eight (throughput at saturation) and at half of that rate
(latency under load); rows are medians over the rounds. Memory is the server's own, mapped files counted.
`--switch` checks every answer: none failed, none mixes two engines, and the switch was seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contest.source import HERE, commit
from service.crowd import asked, candidates, crowd
from work import real

CONNECTIONS = 8
PATIENCE = 300.0
SWITCHING = 60.0
QUERIES = 500


@dataclass(slots=True)
class Row:
    """What one server did, a value a round."""

    name: str
    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    half50: list[float] = field(default_factory=list)
    half99: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        one = " | ".join(f"{1000 * statistics.median(values):.1f}" for values in (self.p50, self.p95, self.p99))
        half = " / ".join(f"{1000 * statistics.median(values):.1f}" for values in (self.half50, self.half99))
        return f"| {self.name} | {one} | {statistics.median(self.rate):.0f} | {half} | {statistics.median(self.memory):.0f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--switch", action="store_true")
    arguments = parser.parse_args()
    root = crowd(arguments.data, arguments.passages)
    queries = real.KEPT / "asked.json"
    queries.write_text(json.dumps(asked(arguments.data, QUERIES)))
    print(f"commit {commit()}, {arguments.passages:,} passages, {os.cpu_count()} cores\n")
    if arguments.switch:
        print(switched(root, queries))
        return
    for line in compared(root, queries, arguments):
        print(line, flush=True)


def compared(root: Path, queries: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Every server in turn, round by round; then the table and the ratios."""
    ids = candidates(root)
    servers = {
        "LanceDB hybrid, SentenceTransformer": _plain(root, "torch"),
        "LanceDB hybrid, the same compiled encoder": _plain(root, "compiled"),
        "resurvey, hybrid": _ours(root),
        "resurvey, hybrid and ranker": _ours(root),
    }
    wanted = {"resurvey, hybrid": ids["hybrid"], "resurvey, hybrid and ranker": ids["ranker"]}
    rows = {name: Row(name) for name in servers}
    for number in range(arguments.rounds):
        for name, command in servers.items():
            more = {"candidate": wanted[name]} if name in wanted else {}
            with serving(command) as (port, process):
                _measure(rows[name], port, process, queries, arguments.seconds, more)
            print(f"round {number + 1}, {name}: {1000 * rows[name].p50[-1]:.1f} ms", file=sys.stderr, flush=True)
    yield "| server | p50, ms | p95 | p99 | requests/s at saturation | p50 / p99 at half of it, ms | memory, MB |\n|---|---|---|---|---|---|---|"
    yield from map(str, rows.values())
    for ours in wanted:
        for peer in (name for name in rows if name not in wanted):
            ratios = [a / b for a, b in zip(rows[ours].p50, rows[peer].p50, strict=True)]
            yield f"\n{ours} against {peer}: p50 {statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})."


def _plain(root: Path, engine: str) -> list[str]:
    folder = root.with_name(f"{root.name}-lance")
    return ["-m", "service.plain", str(folder), "{port}", "--engine", engine, "--workspace", str(root)]


def _ours(root: Path) -> list[str]:
    return ["-m", "resurvey", "serve", str(root), "--port", "{port}"]


@contextlib.contextmanager
def serving(command: Sequence[str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A server on a free port, ready; stopped at the end."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    given = [sys.executable, *(part.replace("{port}", str(port)) for part in command)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "LANCEDB_LOG": "error", "TOKENIZERS_PARALLELISM": "false"}
    log = real.KEPT / "server.log"
    with log.open("wb") as told:
        process = subprocess.Popen(given, cwd=HERE, env=environment, stdout=told, stderr=told)
        try:
            _wait(port, process, log)
            yield port, process
        finally:
            process.terminate()
            process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-4000:]
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as found:
            if found.status == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(log.read_text()[-4000:])


def _measure(
    row: Row, port: int, process: subprocess.Popen[bytes], queries: Path, seconds: float, more: dict[str, Any]
) -> None:
    _load(port, queries, 3, more)
    alone = _times(_load(port, queries, seconds, more))
    row.p50.append(_at(alone, 0.50))
    row.p95.append(_at(alone, 0.95))
    row.p99.append(_at(alone, 0.99))
    full = _times(_load(port, queries, seconds, more, connections=CONNECTIONS))
    row.rate.append(len(full) / seconds)
    half = _times(_load(port, queries, seconds, more, connections=4 * CONNECTIONS, rate=len(full) / seconds / 2))
    row.half50.append(_at(half, 0.50))
    row.half99.append(_at(half, 0.99))
    row.memory.append(memory(process.pid))


def _load(
    port: int, queries: Path, seconds: float, more: dict[str, Any], *, connections: int = 1, rate: float = 0.0
) -> list[dict[str, Any]]:
    found = subprocess.run(
        _loading(port, queries, seconds, more, connections, rate), cwd=HERE, capture_output=True, text=True, check=True
    )
    rows: list[dict[str, Any]] = json.loads(found.stdout)
    return rows


def _loading(
    port: int, queries: Path, seconds: float, more: dict[str, Any], connections: int, rate: float
) -> list[str]:
    return [
        sys.executable, "-m", "service.load", str(port), str(seconds), "--connections", str(connections),
        "--rate", str(rate), "--queries", str(queries), "--more", json.dumps(more),
    ]  # fmt: skip


def _times(rows: Sequence[dict[str, Any]]) -> list[float]:
    wrong = [row for row in rows if row["status"] != 200]
    assert not wrong, f"{len(wrong)} of {len(rows)} failed, first: {wrong[0]}"
    return sorted(row["seconds"] for row in rows)


def _at(times: Sequence[float], share: float) -> float:
    return times[min(len(times) - 1, int(share * len(times)))]


def memory(pid: int) -> float:
    """Megabytes that a process and its children hold, mapped files counted."""
    status = Path(f"/proc/{pid}/status").read_text()
    own = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(memory(int(child)) for child in children)


def switched(root: Path, queries: Path) -> str:
    """A minute at half of saturation; in its middle documents are written and another candidate goes live."""
    ids = candidates(root)
    with serving(_ours(root)) as (port, _):
        _load(port, queries, 3, {})
        rate = len(_times(_load(port, queries, 10, {}, connections=CONNECTIONS))) / 10 / 2
        load = subprocess.Popen(
            _loading(port, queries, SWITCHING, {}, 4 * CONNECTIONS, rate), cwd=HERE, stdout=subprocess.PIPE
        )
        time.sleep(SWITCHING / 4)
        _switch(root, ids["ranker"])
        time.sleep(SWITCHING / 4)
        _write(port)
        rows: list[dict[str, Any]] = json.loads(load.communicate()[0])
    _switch(root, ids["hybrid"])
    failed = [row for row in rows if row["status"] != 200]
    engines: dict[tuple[Any, ...], int] = {}
    for row in rows:
        if row["status"] == 200:
            made = tuple(row["made of"])
            engines[made] = engines.get(made, 0) + 1
    told = "; ".join(
        f"{candidate} over snapshot {snapshot} ({fingerprint[:8]}): {count}"
        for (candidate, snapshot, fingerprint), count in engines.items()
    )
    times = sorted(row["seconds"] for row in rows)
    return (
        f"{len(rows)} requests at {rate:.0f}/s, {len(failed)} failed; answered by {told}; "
        f"p50 {1000 * _at(times, 0.5):.1f} ms, p99 {1000 * _at(times, 0.99):.1f} ms, longest {1000 * times[-1]:.0f} ms."
    )


def _switch(root: Path, candidate: str) -> None:
    from resurvey.promote.live import Live, live, switch
    from resurvey.workspace import Workspace

    workspace = Workspace.open(root)
    now = live(workspace)
    assert now is not None
    switch(workspace, Live(candidate, now.snapshot), "benchmark")


def _write(port: int) -> None:
    """Ten documents through the service, searchable when a new snapshot is live."""
    documents = [
        {"id": f"new-{n}", "title": "new", "text": f"a new document number {n} about pumps"} for n in range(10)
    ]
    body = json.dumps({"documents": documents}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/documents?refresh=background", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as found:
        assert found.status in (200, 202), found.status


if __name__ == "__main__":
    main()
