"""The plain door: streams on Quart, one generator each, over HTTP/1.1 or whatever else Hypercorn speaks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from quart import Blueprint, Response, request, websocket

from stream.identity import NotFromTheEdge, identity_of
from stream.life import live
from stream.meters import Meters
from stream.node import Node

_PROTOCOL = "feed.v1"
_MAX_CURSOR = 8 * 1024


def plain_door(node: Node, meters: Meters) -> Blueprint:
    """GET /v1/stream and GET /v1/ws."""
    blueprint = Blueprint("plain", __name__)
    secret = node.settings.edge_secret.get_secret_value()

    @blueprint.errorhandler(NotFromTheEdge)
    async def refuse(_: NotFromTheEdge) -> tuple[dict[str, str], int]:
        return {"error": "forbidden", "message": "streams are opened through the edge, with a token"}, 403

    @blueprint.get("/v1/stream")
    async def stream() -> Response | tuple[dict[str, str], int]:
        identity = identity_of(request, secret)
        given = request.headers.getlist("Last-Event-ID")
        if len(given) > 1:
            return {"error": "cursor-ambiguous", "message": "send Last-Event-ID once"}, 400
        # A browser that reconnects repeats its URL and adds the newer header: the header wins.
        text = given[0] if given and given[0] else request.args.get("cursor") or None

        async def body() -> AsyncGenerator[bytes, None]:
            async with aclosing(live(node, meters, identity, text)) as batches:
                async for batch in batches:
                    meters.delivered.labels("plain-sse").inc(len(batch))
                    yield b"".join([frame.sse for frame in batch])

        meters.opened.labels("plain-sse").inc()
        response = Response(body(), content_type="text/event-stream")
        response.timeout = None
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        return response

    @blueprint.websocket("/v1/ws")
    async def ws() -> None:
        identity = identity_of(websocket, secret)
        offered = websocket.requested_subprotocols
        await websocket.accept(subprotocol=_PROTOCOL if _PROTOCOL in offered else None)
        meters.opened.labels("plain-ws").inc()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read())
            async with aclosing(live(node, meters, identity, websocket.args.get("cursor") or None)) as batches:
                async for batch in batches:
                    meters.delivered.labels("plain-ws").inc(len(batch))
                    for frame in batch:
                        await websocket.send(frame.ws)
            reading.cancel()
        await websocket.close(1000, "bye")

    return blueprint


async def _read() -> None:
    """What a client says is read, so that its pongs and its close are seen, and means nothing yet."""
    while True:
        await websocket.receive()
