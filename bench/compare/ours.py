"""Our node, fed by hand, so that what is compared is how streams are written and nothing else."""

import asyncio
import struct
import sys
import time
from collections.abc import Sequence

from bench.compare.edge import SECRET
from bench.compare.load import Way
from bench.compare.peer import Peer
from bench.compare.posts import Post
from local.ports import free_port


def sid_of(uid: int) -> str:
    """The session of a reader."""
    return f"00000000-0000-4000-8000-{uid:012d}"


class Ours(Peer):
    """How a node is asked, whatever feeds it. Both doors are open; `h2` says which one is used."""

    way = Way(live="event: snapshot", resumed='"resumed":true')

    def target(self, uid: int, authors: Sequence[int]) -> str:  # noqa: ARG002
        return f"/v1/stream?uid={uid:012d}"

    def identity(self, uid: int) -> tuple[str, ...]:
        return (
            f"X-Edge-Secret: {SECRET}",
            f"X-User-Id: {uid}",
            f"X-Session-Id: {sid_of(uid)}",
            f"X-Token-Exp: {int(time.time()) + 7200}",
        )


class Fed(Ours):
    """Fed over a socket."""

    async def start(self) -> None:
        wire, plain, feed = free_port(), free_port(), free_port()
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
        self.port = wire if self.h2 else plain
        _, self._feed = await asyncio.open_connection("127.0.0.1", feed)

    async def publish(self, posts: Sequence[Post]) -> None:
        batch = b"".join(struct.pack("<II", author, len(value)) + value for author, value in posts)
        self._feed.write(struct.pack("<I", len(batch)) + batch)
        await self._feed.drain()


class FedWire(Fed):
    name = "stickyfeed, wire"
    h2 = True
    only_behind = True


class FedPlain(Fed):
    name = "stickyfeed, plain door"
