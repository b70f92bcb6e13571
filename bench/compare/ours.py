"""Our node, fed by hand, so that what is compared is how streams are written and nothing else."""

import asyncio
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.compare.edge import SECRET
from bench.compare.load import Way
from bench.compare.peer import Peer
from bench.compare.posts import Post
from bench.compare.scenario import Position, Scenario
from local.keys import signing_key
from local.ports import free_port
from store.tokens import Signer

_LIFE = 7200
THROUGH_HAPROXY = frozenset((Position.BARE, Position.EDGE))


def sid_of(uid: int) -> str:
    """The session of a reader."""
    return f"00000000-0000-4000-8000-{uid:012d}"


class Ours(Peer):
    """How a node is asked, whatever feeds it. Both doors are open; `h2` says which one is used."""

    way = Way(live="event: snapshot", resumed='"resumed":true')
    positions = frozenset(Position)

    def __init__(self, scenario: Scenario, directory: Path) -> None:
        super().__init__(scenario, directory)
        self.wire, self.plain = free_port(), free_port()
        self.port = self.wire if self.h2 else self.plain
        self.keys = directory / "keys"
        for path in (self.keys / "public", self.keys / "private"):
            path.mkdir(parents=True)
        self._signer = Signer(signing_key(self.keys), "stickyfeed", "stickyfeed", _LIFE)

    def target(self, uid: int, authors: Sequence[int]) -> str:  # noqa: ARG002
        return f"/v1/stream?uid={uid:012d}"

    def lines(self, uid: int, position: Position) -> tuple[str, ...]:
        if position is Position.EDGE:
            return (f"Authorization: Bearer {self._signer.sign(uid, sid_of(uid))[0]}",)
        if position is Position.BARE:
            return ()
        return (
            f"X-Edge-Secret: {SECRET}",
            f"X-User-Id: {uid}",
            f"X-Session-Id: {sid_of(uid)}",
            f"X-Token-Exp: {int(time.time()) + _LIFE}",
        )

    def edge_environment(self) -> Mapping[str, str]:
        doors = {"STREAM_1": f"127.0.0.1:{self.plain}", "STREAM_WIRE_1": f"127.0.0.1:{self.wire}"}
        return {**doors, "STREAM_DOOR": "wire" if self.h2 else "plain", "TOKEN_KEYS": str(self.keys / "public")}


class Fed(Ours):
    """Fed over a socket."""

    async def start(self) -> None:
        wire, plain, feed = self.wire, self.plain, free_port()
        scenario = self.scenario
        env = {
            "STREAM_WIRE_BIND": f"127.0.0.1:{wire}",
            "STREAM_BIND": f"127.0.0.1:{plain}",
            "FEED_PORT": str(feed),
            "EDGE_SECRET": SECRET,
            "DRAIN": "0",
        }
        sizes = (str(size) for size in (scenario.authors, scenario.followed, scenario.streams))
        await self.run(sys.executable, "-m", "bench.compare.fed_node", *sizes, env=env, port=plain)
        _, self._feed = await asyncio.open_connection("127.0.0.1", feed)

    async def publish(self, posts: Sequence[Post]) -> None:
        batch = b"".join(struct.pack("<II", author, len(value)) + value for author, value in posts)
        self._feed.write(struct.pack("<I", len(batch)) + batch)
        await self._feed.drain()


class FedWire(Fed):
    name = "stickyfeed, wire"
    h2 = True
    positions = THROUGH_HAPROXY


class FedPlain(Fed):
    name = "stickyfeed, plain door"


class FedSockets(Fed):
    """The same wire, and WebSocket at the edge."""

    name = "stickyfeed, wire, WebSocket"
    way = Way(live='"event":"snapshot"', cursors=False, websocket=True)
    h2 = True
    positions = frozenset((Position.BARE,))

    def target(self, uid: int, authors: Sequence[int]) -> str:  # noqa: ARG002
        return f"/v1/ws?uid={uid:012d}"
