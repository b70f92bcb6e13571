"""A stream node as a whole: everything it opens, closed in reverse."""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from quart import Quart

from store.app import App
from store.archive import open_archive
from store.feed import Feed
from store.process import health, serve_until_sigterm
from store.sessions import Sessions
from store.timelines import open_redis
from store.tokens import Verifier
from stream.life import cut_stalled
from stream.lifecycle import Now
from stream.meters import Meters
from stream.node import Node
from stream.plain import BoundedWebsocket, plain_door
from stream.reasons import EndReason
from stream.session_ends import hear_session_ends
from stream.settings import StreamSettings
from stream.standstill import watch_tail
from stream.tail import follow_log
from stream.wire.door import open_door

log = logging.getLogger(__name__)

_SEND_BUFFER = 64 * 1024  # else the kernel would keep megabytes for every reader that does not read
_DRAIN_STEPS = 100
_LOOK = 0.25  # seconds: with the time for last words, a stream is gone within one
_LOOK_AT_TAIL = 1.0
_SEEN_BY_THE_EDGE = 1.5  # seconds: two failed health checks


def create_app(node: Node, meters: Meters, verifier: Verifier) -> Quart:
    """The plain door and the health routes over a node."""
    app = App(__name__)
    app.asgi_websocket_class = BoundedWebsocket

    async def ready() -> dict[str, str]:
        return node.unready

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

        tasks = [follow_log(node, meters), hear_session_ends(node), cut_stalled_streams(node), empty_when_told(node)]
        tasks += [watch_tail(node), empty_while_standing_still(node)]
        wire = None
        if settings.stream_wire_bind:
            wire = await stack.enter_async_context(open_door(node, meters, verifier))
            tasks.append(wire.look_after_links())

        async def drain() -> None:
            if wire is not None:
                wire.go_away()
            await drained(node)

        await serve_until_sigterm(
            create_app(node, meters, verifier),
            settings.stream_bind,
            *tasks,
            drain=drain,
            send_buffer=_SEND_BUFFER,
            # Of a stream that was cut a connection is left, which Hypercorn closes when its client has read what is in it.
            unread_for=settings.slow_after,
        )


async def cut_stalled_streams(node: Node) -> None:
    """For ever: cuts streams of the plain door whose clients don't read. Those of the wire are looked at by their links."""
    while True:
        await asyncio.sleep(_LOOK)
        if node.hub is not None:
            cut_stalled(node.hub, Now.read(), node.settings.slow_after)


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


async def empty_while_standing_still(node: Node) -> None:
    """Streams that a tail which stands still leaves in silence end evenly, those first whose clients have seen more elsewhere."""
    while True:
        await asyncio.sleep(_LOOK_AT_TAIL)
        if node.standstill and node.hub:
            await asyncio.sleep(_SEEN_BY_THE_EDGE)
            await end_evenly(node, EndReason.ROTATE, lambda: bool(node.standstill))


async def end_evenly(
    node: Node, reason: EndReason = EndReason.DRAIN, goes_on: Callable[[], bool] = lambda: True
) -> None:
    """Ends the streams there are, over DRAIN seconds, as long as that `goes_on`."""
    streams = sorted(node.hub or (), key=lambda stream: stream.past is None)
    log.info("ending %d streams over %d s", len(streams), node.settings.drain)
    at_once = -(-len(streams) // _DRAIN_STEPS)
    for first in range(0, len(streams), at_once or 1):
        if not goes_on():
            return
        for stream in streams[first : first + at_once]:
            if node.hub is not None:
                node.hub.end(stream, reason)
        await asyncio.sleep(node.settings.drain * at_once / len(streams))
