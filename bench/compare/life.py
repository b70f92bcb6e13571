"""Our node as in life: fed by Kafka, followees and sessions in Redis, the archive behind them."""

import asyncio
import sys
import time
from collections.abc import Sequence

from bench.compare.edge import SECRET
from bench.compare.ours import THROUGH_HAPROXY, Ours, sid_of
from bench.compare.posts import Post, id_of
from bench.compare.scenario import readers, reads
from local import servers
from local.http_check import expect_200
from store.broker import Publisher
from store.events import record_of
from store.sessions import Sessions
from store.settings import Settings
from store.timelines import Timelines, open_redis

_AT_ONCE = 30  # connections to Redis there are 32
_READY_WITHIN = 30.0


class Life(Ours):
    """The storekeeper runs beside it, as it does; what it costs is not the node's."""

    async def start(self) -> None:
        running = [
            await self.stack.enter_async_context(servers.running(kind, self.directory / "system"))
            for kind in ("kafka", "mongo", "redis", "storekeeper")
        ]
        env = {name: value for server in running for name, value in server.env.items()}
        env |= {"EDGE_SECRET": SECRET, "TOKEN_KEYS": str(self.keys / "public"), "DRAIN": "0"}
        self._settings = Settings.model_validate({name.lower(): value for name, value in env.items()})
        await self._warm()
        wire, plain = self.wire, self.plain
        env |= {"STREAM_WIRE_BIND": f"127.0.0.1:{wire}", "STREAM_BIND": f"127.0.0.1:{plain}"}
        await self.run(sys.executable, "-m", "stream", env=env, port=plain)
        self._publisher = await self.stack.enter_async_context(Publisher(self._settings))
        self._made = 0
        async with asyncio.timeout(_READY_WITHIN):
            while not await _is_ready(plain):
                await asyncio.sleep(0.1)

    async def publish(self, posts: Sequence[Post]) -> None:
        records = []
        for author, value in posts:
            records.append(record_of(id_of(self._made), "post", author, value))
            self._made += 1
        await self._publisher.publish(records)

    async def _warm(self) -> None:
        """Redis as it is when everybody was here lately: followees, an empty feed, a session that goes on."""
        async with open_redis(self._settings) as redis:
            timelines, sessions = Timelines(redis), Sessions(redis)

            async def one(uid: int) -> None:
                authors = reads(uid, self.scenario.authors, self.scenario.followed)
                for key, members in (
                    (f"following:{uid}", [f"{author}:1".encode() for author in authors]),
                    (f"feed:{uid}", []),
                ):
                    await timelines.fill(key, await timelines.lease(key), members)
                await sessions.remember(sid_of(uid), False, int(time.time()) + 7200)

            everybody = readers(self.scenario)
            for start in range(0, len(everybody), _AT_ONCE):
                await asyncio.gather(*map(one, everybody[start : start + _AT_ONCE]))


async def _is_ready(port: int) -> bool:
    try:
        await expect_200(f"127.0.0.1:{port}", "/readyz")
    except (RuntimeError, OSError):
        return False
    return True


class LifeWire(Life):
    name = "stickyfeed, wire, Kafka"
    h2 = True
    positions = THROUGH_HAPROXY


class LifePlain(Life):
    name = "stickyfeed, plain door, Kafka"
