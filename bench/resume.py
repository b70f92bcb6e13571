"""A node is killed under load: how soon all its streams are live again, and whether anything is lost or doubled."""

import asyncio
import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from bench.direct import Direct, Process, cpu_seconds, direct, processes, resident_kb

_FRAME = re.compile(rb'(?:id: (\S+)\n)?event: (\S+)\ndata: \{"id":"([0-9a-f-]{36})"')
_ID = re.compile(rb"id: (\S+)\nevent")
_RETRY = re.compile(rb"retry: (\d+)\n")


@dataclass(frozen=True, slots=True)
class Plan:
    """`followed` of the authors are followed by each reader."""

    directory: Path
    readers: int
    authors: int
    followed: int
    rate: float
    seconds: float


@dataclass(eq=False)
class Client(asyncio.Protocol):
    """What a browser does: keeps the last id, comes back after `retry`, and here also every post's id."""

    address: tuple[str, int]
    token: str
    got: Counter[bytes] = field(default_factory=Counter)
    gaps: int = 0
    last: bytes = b""
    live: bool = False
    live_again: float = 0.0
    closing: bool = False
    _retry: float = 2.0
    _rest: bytes = b""
    _transport: asyncio.Transport | None = None

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, *self.address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._rest = cast("asyncio.Transport", transport), b""
        last = b"Last-Event-ID: " + self.last + b"\r\n" if self.last else b""
        head = f"GET /v1/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.token}\r\n".encode()
        self._transport.write(head + last + b"\r\n")

    def data_received(self, data: bytes) -> None:
        whole, end, rest = (self._rest + data).rpartition(b"\n\n")
        if not end:
            self._rest += data
            return
        self._rest, whole = rest, whole + end
        if b"event: hello" in whole:
            self.live, self.live_again = True, time.monotonic()
            self._retry = int(_RETRY.findall(whole)[-1]) / 1000
        self.gaps += whole.count(b"event: gap")
        # The story begins behind the first snapshot.
        self.got.update(event for _, name, event in _FRAME.findall(whole) if name == b"post")
        if ids := _ID.findall(whole):
            self.last = ids[-1]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.live = False
        if not self.closing:
            asyncio.get_running_loop().call_later(self._retry, lambda: asyncio.ensure_future(self._again()))

    async def _again(self) -> None:
        try:
            await self.connect()
        except OSError:
            asyncio.get_running_loop().call_later(self._retry, lambda: asyncio.ensure_future(self._again()))

    def close(self) -> None:
        self.closing = True
        if self._transport is not None:
            self._transport.abort()


async def run(plan: Plan) -> None:
    """Prints what was lost, what was doubled, and how long it took."""
    running = processes(plan.directory)
    edge = urlsplit(running["haproxy"].addresses[0])
    nodes = [process for name, process in running.items() if name.startswith("stream-")]
    async with direct(plan.directory) as way:
        authors = list(range(way.base + 1, way.base + 1 + plan.authors))
        readers = list(range(authors[-1] + 1, authors[-1] + 1 + plan.readers))
        follows = {reader: random.sample(authors, plan.followed) for reader in readers}
        await way.follow([(reader, author) for reader in readers for author in follows[reader]])
        print(
            f"{plan.readers} readers, each following {plan.followed} of {plan.authors} authors; {plan.rate:g} posts/s"
        )
        await asyncio.sleep(plan.readers * plan.followed / 2000)  # the storekeeper keeps the follows meanwhile
        before = {node.name: (resident_kb(node.pid), cpu_seconds(node.pid)) for node in nodes}
        clients = {reader: Client((edge.hostname or "", edge.port or 80), way.token(reader)) for reader in readers}
        await _open(list(clients.values()))
        for node in nodes:
            memory, cpu = before[node.name]
            opened = plan.readers / len(nodes)
            print(
                f"  {node.name}: {(resident_kb(node.pid) - memory) / opened:.1f} KB and "
                f"{(cpu_seconds(node.pid) - cpu) / opened * 1e6:.0f} us of processor per stream opened (about {opened:.0f})"
            )
        posted = await _kill_under_load(plan, way, authors, clients, nodes[0])
        _report(follows, posted, clients)
        for client in clients.values():
            client.close()


async def _open(clients: list[Client]) -> None:
    began = time.monotonic()
    for start in range(0, len(clients), 100):
        await asyncio.gather(*(client.connect() for client in clients[start : start + 100]))
    async with asyncio.timeout(120):
        while not all(client.live for client in clients):
            await asyncio.sleep(0.05)
    print(f"  {len(clients)} streams live after {time.monotonic() - began:.1f} s")
    await asyncio.sleep(2)
    for client in clients:
        client.got.clear()
        client.gaps = 0


async def _kill_under_load(
    plan: Plan, way: Direct, authors: list[int], clients: dict[int, Client], node: Process
) -> dict[str, int]:
    posted: dict[str, int] = {}
    began, killed = time.monotonic(), 0.0
    for number in range(int(plan.rate * plan.seconds)):
        if not killed and number > plan.rate * plan.seconds / 4:
            os.kill(node.pid, signal.SIGKILL)
            killed = time.monotonic()
        author = random.choice(authors)
        posted[await way.post(author, number, f"post {number}")] = author
        await asyncio.sleep(max(0.0, began + (number + 1) / plan.rate - time.monotonic()))
    async with asyncio.timeout(60):
        while not all(client.live for client in clients.values()):
            await asyncio.sleep(0.05)
    moved = [client.live_again - killed for client in clients.values() if client.live_again > killed]
    print(f"  {node.name} killed: {len(moved)} streams moved, the last was live again after {max(moved):.1f} s")
    await asyncio.sleep(3)
    return posted


def _report(follows: dict[int, list[int]], posted: dict[str, int], clients: dict[int, Client]) -> None:
    lost = doubled = arrived = 0
    for reader, client in clients.items():
        followed = set(follows[reader])
        expected = {event.encode() for event, author in posted.items() if author in followed}
        lost += len(expected - client.got.keys())
        doubled += sum(count - 1 for count in client.got.values())
        arrived += len(expected & client.got.keys())
    gaps = sum(client.gaps for client in clients.values())
    print(f"  {len(posted)} posts, {arrived} deliveries: {lost} lost, {doubled} doubled on the wire, {gaps} gaps")
