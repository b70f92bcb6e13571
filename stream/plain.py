"""The plain door: streams on Quart, one generator each, over HTTP/1.1 or whatever else Hypercorn speaks."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from hypercorn.typing import WebsocketScope
from quart import Blueprint, Quart, Response, request, websocket
from quart.asgi import ASGIWebsocketConnection

from store.archive import ArchiveUnavailable
from store.tokens import Verifier
from stream.explain import explain
from stream.frames import Frame
from stream.identity import SIGNED_OUT, NotFromTheEdge, identity_of
from stream.inbound import Inbound, Violation
from stream.life import Life, SessionEnded, live
from stream.meters import Meters
from stream.node import Node
from stream.reasons import EndReason
from stream.renewal import renewed

log = logging.getLogger(__name__)

_PROTOCOL = "feed.v1"
_WAITING = 4  # messages of a client, 16 KiB each at most, that wait for an answer; above, its socket is not read


class BoundedWebsocket(ASGIWebsocketConnection):
    """Quart's keeps every message that comes until it is asked for."""

    def __init__(self, app: Quart, scope: WebsocketScope) -> None:
        super().__init__(app, scope)
        self.queue = asyncio.Queue(_WAITING)


def plain_door(node: Node, meters: Meters, verifier: Verifier) -> Blueprint:
    """GET /v1/stream and what belongs to it, and GET /v1/ws."""
    blueprint = Blueprint("plain", __name__)
    secret = node.settings.edge_secret.get_secret_value()
    _refuse_on(blueprint)

    @blueprint.get("/v1/stream")
    async def stream() -> Response | tuple[dict[str, str], int]:
        identity = identity_of(request.headers.getlist, secret)
        given = request.headers.getlist("Last-Event-ID")
        if len(given) > 1:
            return {"error": "cursor-ambiguous", "message": "send Last-Event-ID once"}, 400
        # A browser that reconnects repeats its URL and adds the newer header: the header wins.
        text = given[0] if given and given[0] else request.args.get("cursor") or None

        batches = live(node, meters, identity, text, "plain-sse")
        first = await anext(batches)  # or the session has ended, and there is no stream
        response = Response(_body(first, batches), content_type="text/event-stream")
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

        async with aclosing(life.batches(websocket.args.get("cursor") or None)) as batches:
            first = await anext(batches)  # or the session has ended, and there is no stream
            await websocket.accept(subprotocol=_PROTOCOL if _PROTOCOL in offered else None)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(read())
                await _write(first)
                async for batch in batches:
                    await _write(batch)
                reading.cancel()
        await websocket.close(*closing)

    return blueprint


async def _body(first: list[Frame], batches: AsyncGenerator[list[Frame], None]) -> AsyncGenerator[bytes, None]:
    """The stream as SSE. Of a batch only its bytes are kept while they are written."""
    async with aclosing(batches):
        if first:
            yield _joined(first)
        async for batch in batches:
            if batch:
                yield _joined(batch)


def _joined(batch: list[Frame]) -> bytes:
    data = b"".join([frame.sse for frame in batch])
    batch.clear()
    return data


async def _write(batch: list[Frame]) -> None:
    """The batch, a message for each frame, which is not kept any more when it is sent."""
    batch.reverse()
    while batch:
        await websocket.send(batch.pop().ws)


def _refuse_on(blueprint: Blueprint) -> None:
    """What is answered in place of a stream."""

    @blueprint.errorhandler(NotFromTheEdge)
    async def refuse(_: NotFromTheEdge) -> tuple[dict[str, str], int]:
        return {"error": "forbidden", "message": "streams are opened through the edge, with a token"}, 403

    @blueprint.errorhandler(SessionEnded)
    async def sign_in(_: SessionEnded) -> tuple[dict[str, str], int, dict[str, str]]:
        return SIGNED_OUT, 401, {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}

    @blueprint.errorhandler(ArchiveUnavailable)
    async def wait(_: ArchiveUnavailable) -> tuple[dict[str, str], int, dict[str, str]]:
        return (
            {"error": "unavailable", "message": "the session cannot be checked now, try again"},
            503,
            {"Retry-After": "2"},
        )
