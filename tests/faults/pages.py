"""Open pages: readers that come back with their cursor, and what each has got of whom."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import websockets

from tests.faults.bare import Got, assert_ids_never_go_back
from tests.faults.deeds import Deed, Key, key_of

_SHOWN = ("post", "post-deleted", "login", "logout", "account-deleted")
_PAUSE = (0.1, 0.3)  # seconds; a browser waits for `retry`


class Reading(Protocol):
    """A reader, through whichever door."""

    frames: list[Got]
    at: str | None
    connections: int

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


@dataclass(eq=False)
class SocketReader:
    """The WebSocket as docs/protocol.md describes it: comes back with the last id."""

    address: str
    token: str
    at: str | None = None
    frames: list[Got] = field(default_factory=list)
    connections: int = 0
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _live(self) -> None:
        while True:
            with suppress(OSError, EOFError, TimeoutError, websockets.WebSocketException):
                await self._once()
            await asyncio.sleep(random.uniform(*_PAUSE))

    async def _once(self) -> None:
        url = self.address.replace("http", "ws", 1) + "/v1/ws" + (f"?cursor={self.at}" if self.at else "")
        protocols = [websockets.Subprotocol("feed.v1"), websockets.Subprotocol(f"bearer.{self.token}")]
        async with websockets.connect(url, subprotocols=protocols, proxy=None, close_timeout=1) as socket:
            self.connections += 1
            async for text in socket:
                message = json.loads(text)
                self.at = message.get("id") or self.at
                at = asyncio.get_running_loop().time()
                self.frames.append(Got(message["event"], message.get("id"), message["data"], self.connections, at))


class Page:
    """What one reader has got since the last `turn_over`, each event counted by its id, and in which order."""

    def __init__(self, reader: Reading) -> None:
        self.reader = reader
        self.turn_over()

    def turn_over(self) -> None:
        """Forgets what it has got; the connection and the cursor stay."""
        self._seen = 0
        del self.reader.frames[:]
        self.came: dict[Key, list[str]] = {}
        self.by_author: dict[int, list[Key]] = {}
        self.repeats: Counter[str] = Counter()  # how often an event came again, by its id
        self._sure: set[str] = set()
        self.gaps: list[dict[str, Any]] = []

    def look(self) -> None:
        """Counts the frames that have come since it was last called."""
        for frame in self.reader.frames[self._seen :]:
            if frame.event == "gap":
                self.gaps.append(frame.data)
            elif frame.event == "snapshot":
                for event in frame.data["items"]:
                    self._take(event, is_sure=True)
            elif frame.event in _SHOWN:
                # A frame without an id belongs to the follow behind it and may come again (docs/protocol.md).
                self._take(frame.data, is_sure=frame.id is not None)
        self._seen = len(self.reader.frames)

    def shows(self, deed: Deed) -> bool:
        """Whether it has come."""
        return deed.key in self.came if deed.when is None else any(deed.is_told_by(key) for key in self.came)

    def check(self, orders: Mapping[int, Sequence[Key]]) -> None:
        """No gap, nothing under two ids, ids that never go back, and of each author what came in the order given."""
        assert not self.gaps, self.gaps
        doubled = [key for key, ids in self.came.items() if len(set(ids)) > 1]
        assert not doubled, f"happened twice: {doubled}"
        for author, order in orders.items():
            place = {key: at for at, key in enumerate(order)}
            came = [place[key] for key in self.by_author.get(author, ()) if key in place]
            assert came == sorted(came), f"what {author} did came out of order"
        assert_ids_never_go_back(self.reader.frames)

    def _take(self, event: dict[str, Any], *, is_sure: bool) -> None:
        key = key_of(event)
        if key is None:
            return
        ids = self.came.setdefault(key, [])
        if not ids:
            self.by_author.setdefault(event["actor"]["id"], []).append(key)
        if is_sure and event["id"] in self._sure:
            self.repeats[event["id"]] += 1
        if is_sure:
            self._sure.add(event["id"])
        ids.append(event["id"])
