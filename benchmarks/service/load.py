"""A load from a process of its own: HTTP/1.1 over kept connections, one request after another, or at a given rate.

    python -m service.load PORT SECONDS --connections 4 [--rate 50] [--path /search] [--queries FILE]

Prints JSON: seconds of every answer, statuses, and what each answer said it was made of. Knows nothing about who answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

SEED = 13


class Connection:
    """One kept connection to the loopback."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; status 0 where none came."""
        for attempt in (0, 1):
            try:
                if self.writer is None:
                    self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                head = (
                    f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n"
                )
                self.writer.write(head.encode() + body)
                await self.writer.drain()
                return await self._answer()
            except (OSError, asyncio.IncompleteReadError, ValueError):
                if self.writer is not None:
                    self.writer.close()
                self.writer = None
                if attempt:
                    return 0, b""
        return 0, b""

    async def _answer(self) -> tuple[int, bytes]:
        assert self.reader is not None
        status = int((await self.reader.readline()).split()[1])
        length, kept = 0, True
        while (line := (await self.reader.readline()).strip().lower()) != b"":
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
            if name == b"connection" and value.strip() == b"close":
                kept = False
        body = await self.reader.readexactly(length)
        if not kept and self.writer is not None:
            self.writer.close()
            self.writer = None
        return status, body


async def closed(port: int, path: str, bodies: list[bytes], seconds: float, connections: int) -> list[dict[str, Any]]:
    """Every connection asks as soon as it has its answer."""
    until = time.perf_counter() + seconds
    found: list[dict[str, Any]] = []

    async def one(number: int) -> None:
        connection, rng = Connection(port), random.Random(SEED + number)
        while time.perf_counter() < until:
            found.append(await _timed(connection, path, rng.choice(bodies), time.perf_counter()))

    await asyncio.gather(*(one(number) for number in range(connections)))
    return found


async def opened(
    port: int, path: str, bodies: list[bytes], seconds: float, connections: int, rate: float
) -> list[dict[str, Any]]:
    """Requests at random moments, `rate` a second, whether answers come or not; waiting counts."""
    rng, found = random.Random(SEED), list[dict[str, Any]]()
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        idle.put_nowait(Connection(port))

    async def one(due: float) -> None:
        connection = await idle.get()
        found.append(await _timed(connection, path, rng.choice(bodies), due))
        idle.put_nowait(connection)

    tasks, now = [], time.perf_counter()
    until = now + seconds
    while now < until:
        now += rng.expovariate(rate)
        await asyncio.sleep(max(0.0, now - time.perf_counter()))
        tasks.append(asyncio.create_task(one(now)))
    await asyncio.gather(*tasks)
    return found


async def _timed(connection: Connection, path: str, body: bytes, due: float) -> dict[str, Any]:
    status, answer = await connection.post(path, body)
    row: dict[str, Any] = {"seconds": time.perf_counter() - due, "status": status}
    try:
        told = json.loads(answer)
    except ValueError:
        return row
    row["made of"] = [told.get(name) for name in ("candidate", "snapshot", "fingerprint")]
    row["hits"] = len(told.get("hits", ()))
    return row


def main() -> None:
    """Load, and say what came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--path", default="/search")
    parser.add_argument("--queries", type=Path, required=True, help="JSON: a list of texts")
    parser.add_argument("--more", default="{}", help="JSON: what else every request asks for")
    arguments = parser.parse_args()
    more = json.loads(arguments.more)
    bodies = [
        json.dumps({"query": text, "k": 10, **more}).encode() for text in json.loads(arguments.queries.read_text())
    ]
    given = (arguments.port, arguments.path, bodies, arguments.seconds, arguments.connections)
    found = asyncio.run(opened(*given, arguments.rate) if arguments.rate else closed(*given))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
