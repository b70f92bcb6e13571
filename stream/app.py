"""A stream node as a whole: everything it opens, closed in reverse."""

import asyncio
import logging
import signal
import time
from contextlib import AsyncExitStack

from quart import Quart

from store.app import App
from store.archive import open_archive
from store.feed import Feed
from store.process import health, serve_until_sigterm
from store.sessions import Sessions
from store.timelines import open_redis
from store.tokens import Verifier
from stream.meters import Meters
from stream.node import Node
from stream.plain import plain_door
from stream.settings import StreamSettings
from stream.tail import follow_log
from stream.wire.door import open_door

log = logging.getLogger(__name__)

_SEND_BUFFER = 64 * 1024  # else the kernel would keep megabytes for every reader that does not read
_DRAIN_STEPS = 100
_SEEN_BY_THE_EDGE = 1.5  # seconds: two failed health checks


def create_app(node: Node, meters: Meters, verifier: Verifier) -> Quart:
    """The plain door and the health routes over a node."""
    app = App(__name__)

    async def ready() -> dict[str, str]:
        return {
            name: why for name, why in (("tail", node.missing), ("drain", "ending" if node.draining else "")) if why
        }

    app.register_blueprint(health(ready))
    app.register_blueprint(plain_door(node, meters, verifier))
    return app


async def run() -> None:
    """Runs a node until SIGTERM."""
    settings = StreamSettings.read()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(settings))
        archive = await stack.enter_async_context(open_archive(settings))
        node = Node(settings, Feed(redis, archive), archive, Sessions(redis))
        meters = Meters(node)
        verifier = Verifier(settings.token_keys, settings.token_issuer, settings.token_audience)

        tasks = [follow_log(node, meters), end_stuck_streams(node), empty_when_told(node)]
        wire = None
        if settings.stream_wire_bind:
            wire = await stack.enter_async_context(open_door(node, meters, verifier))
            tasks.append(wire.look_after_links())

        async def drain() -> None:
            if wire is not None:
                wire.go_away()
            await drained(node)

        await serve_until_sigterm(
            create_app(node, meters, verifier), settings.stream_bind, *tasks, drain=drain, send_buffer=_SEND_BUFFER
        )


async def end_stuck_streams(node: Node) -> None:
    """Ends streams whose clients don't read, from outside their own writes, which may never return."""
    while True:
        await asyncio.sleep(1)
        if node.hub is not None:
            node.hub.end_stuck(time.monotonic() - node.settings.slow_after)


async def drained(node: Node) -> None:
    """Not ready first, so that the edge sends nobody else; then the streams end evenly."""
    node.draining = True
    if node.hub is None or not len(node.hub):
        return
    await asyncio.sleep(_SEEN_BY_THE_EDGE)
    await end_evenly(node)


async def empty_when_told(node: Node) -> None:
    """At SIGUSR1 the streams end evenly, and the node goes on: for an edge that sends it nobody any more."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    while True:
        await told.wait()
        told.clear()
        await end_evenly(node)


async def end_evenly(node: Node) -> None:
    """Ends the streams there are, over DRAIN seconds."""
    streams = list(node.hub or ())
    log.info("ending %d streams over %d s", len(streams), node.settings.drain)
    at_once = -(-len(streams) // _DRAIN_STEPS)
    for first in range(0, len(streams), at_once or 1):
        for stream in streams[first : first + at_once]:
            if node.hub is not None:
                node.hub.end(stream, "drain")
        await asyncio.sleep(node.settings.drain * at_once / len(streams))
