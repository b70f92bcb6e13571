"""The plain door: streams on Quart, one generator each, over HTTP/1.1 or whatever else Hypercorn speaks."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from quart import Blueprint, Response, request, websocket

from store.archive import ArchiveUnavailable
from store.tokens import Verifier
from stream.explain import explain
from stream.identity import NotFromTheEdge, identity_of
from stream.inbound import Inbound, Violation
from stream.life import Life, live
from stream.meters import Meters
from stream.node import Node
from stream.reasons import EndReason
from stream.renewal import renewed

log = logging.getLogger(__name__)

_PROTOCOL = "feed.v1"


def plain_door(node: Node, meters: Meters, verifier: Verifier) -> Blueprint:
    """GET /v1/stream and what belongs to it, and GET /v1/ws."""
    blueprint = Blueprint("plain", __name__)
    secret = node.settings.edge_secret.get_secret_value()

    @blueprint.errorhandler(NotFromTheEdge)
    async def refuse(_: NotFromTheEdge) -> tuple[dict[str, str], int]:
        return {"error": "forbidden", "message": "streams are opened through the edge, with a token"}, 403

    @blueprint.errorhandler(ArchiveUnavailable)
    async def wait(_: ArchiveUnavailable) -> tuple[dict[str, str], int, dict[str, str]]:
        return (
            {"error": "unavailable", "message": "the session cannot be checked now, try again"},
            503,
            {"Retry-After": "2"},
        )

    @blueprint.get("/v1/stream")
    async def stream() -> Response | tuple[dict[str, str], int]:
        identity = identity_of(request.headers.getlist, secret)
        given = request.headers.getlist("Last-Event-ID")
        if len(given) > 1:
            return {"error": "cursor-ambiguous", "message": "send Last-Event-ID once"}, 400
        # A browser that reconnects repeats its URL and adds the newer header: the header wins.
        text = given[0] if given and given[0] else request.args.get("cursor") or None

        async def body() -> AsyncGenerator[bytes, None]:
            async with aclosing(live(node, meters, identity, text, "plain-sse")) as batches:
                async for batch in batches:
                    yield b"".join([frame.sse for frame in batch])

        response = Response(body(), content_type="text/event-stream")
        response.timeout = None
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        return response

    @blueprint.post("/v1/stream/token")
    async def token() -> tuple[dict[str, Any], int]:
        return await renewed(node, identity_of(request.headers.getlist, secret))

    @blueprint.get("/v1/stream/explain")
    async def explained() -> dict[str, Any]:
        return explain(node, identity_of(request.headers.getlist, secret), request.args.get("cursor"))

    @blueprint.websocket("/v1/ws")
    async def ws() -> None:
        identity = identity_of(websocket.headers.getlist, secret)
        offered = websocket.requested_subprotocols
        await websocket.accept(subprotocol=_PROTOCOL if _PROTOCOL in offered else None)

        inbound, life = Inbound(node, verifier, identity), Life(node, meters, identity, "plain-ws")
        closing = 1000, "bye"

        async def read() -> None:
            nonlocal closing
            try:
                while True:
                    answer = await inbound.answer_to(await websocket.receive())
                    await websocket.send(answer.ws)
            except Violation as violation:
                closing = violation.code, str(violation)
                life.end(EndReason.PROTOCOL)
            except ArchiveUnavailable:
                life.end(EndReason.UNAVAILABLE)
            except Exception:
                log.exception("a message of user %d could not be answered", identity.uid)
                life.end(EndReason.UNAVAILABLE)

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            async with aclosing(life.batches(websocket.args.get("cursor") or None)) as batches:
                async for batch in batches:
                    for frame in batch:
                        await websocket.send(frame.ws)
            reading.cancel()
        await websocket.close(*closing)

    return blueprint
