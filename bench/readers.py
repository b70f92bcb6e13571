"""Many readers in one process, as cheap as asyncio makes them: each notes when an event came, and nothing else."""

import asyncio
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

_POST = re.compile(rb'"type":"post","at":"([^"]+)"')


@dataclass
class Tally:
    """What all readers got: seconds from an event's `at` (milliseconds, set just before its commit) to its receipt."""

    delays: list[float] = field(default_factory=list)
    live: int = 0
    lost_connections: int = 0


class Reader(asyncio.Protocol):
    """One SSE stream over a plain socket. Only whole frames are looked at, so that no event is cut in two."""

    def __init__(self, path: str, host: str, token: str, tally: Tally) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        self._tally, self._rest, self._live = tally, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        whole, end, rest = (self._rest + data).rpartition(b"\n\n")
        self._rest = rest if end else self._rest + data
        if not self._live and b"event: snapshot" in whole:
            # What the snapshot shows is not a delivery.
            self._live = True
            self._tally.live += 1
            whole = whole.partition(b"event: snapshot")[2].partition(b"\n\n")[2]
        if self._live:
            self._tally.delays += [now - _seconds(at) for at in _POST.findall(whole)]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._tally.lost_connections += 1


_known: dict[bytes, float] = {}


def _seconds(at: bytes) -> float:
    if at not in _known:
        _known[at] = datetime.fromisoformat(at.decode()).timestamp()
    return _known[at]
