"""The wire as a door of the node: it listens, takes requests, and looks at its links once in a while."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from store.settings import SettingsError
from store.tokens import Identity, Verifier
from stream import lifecycle
from stream.frames import bye
from stream.identity import NotFromTheEdge, identity_of
from stream.inbound import Inbound
from stream.lifecycle import Now
from stream.meters import Meters
from stream.node import Node
from stream.reasons import EndReason
from stream.wire import requests
from stream.wire.codes import Code
from stream.wire.conversation import Conversation
from stream.wire.happened import Asked
from stream.wire.lane import Lane
from stream.wire.link import Link
from stream.wire.outlet import Outlet, opening
from stream.wire.requests import Malformed, Request, answer
from stream.wire.stile import Stile
from stream.wire.ticks import tick

log = logging.getLogger(__name__)

_BACKLOG = 4096
_TICK = 0.5


class Door:
    """Takes requests from links."""

    def __init__(self, node: Node, meters: Meters, verifier: Verifier) -> None:
        self._node, self._meters, self._verifier = node, meters, verifier
        self._secret = node.settings.edge_secret.get_secret_value()
        self._links: set[Link] = set()
        self._stile = Stile()

    def link(self) -> Link:
        """A connection that has come."""
        made = Link(self._node, self._meters, self._stile, self._asked)
        self._links.add(made)
        return made

    async def look_after_links(self) -> None:
        """For ever: heartbeats, expiry, and connections that take nothing."""
        while True:
            await asyncio.sleep(_TICK)
            for link in list(self._links):
                if link.closed:
                    self._links.discard(link)
                else:
                    tick(link)
                    await asyncio.sleep(0)

    def go_away(self) -> None:
        """Asks the edge for no more streams on the connections that there are."""
        for link in self._links:
            if not link.closed:
                link.go_away()

    def close(self) -> None:
        """Ends all connections."""
        for link in self._links:
            link.close()

    def _asked(self, link: Link, asked: Asked) -> None:
        try:
            request = requests.parse(asked.headers)
        except Malformed as error:
            log.warning("a request is no request: %s", error)
            link.core.reset(asked.sid, Code.PROTOCOL_ERROR)
            return
        try:
            self._route(link, asked.sid, request)
        except NotFromTheEdge:
            link.answer(asked.sid, requests.NOT_FROM_THE_EDGE)

    def _route(self, link: Link, sid: int, request: Request) -> None:
        match request.method, request.path, request.protocol:
            case "GET", "/v1/stream", None:
                identity = identity_of(request.values_of, self._secret)
                given = request.values_of("last-event-id")
                if len(given) > 1:
                    link.answer(sid, requests.CURSOR_AMBIGUOUS)
                    return
                # A browser that reconnects repeats its URL and adds the newer header: the header wins.
                text = given[0] if given and given[0] else request.argument("cursor")
                self._open(link, link.sse, sid, identity, text, head=requests.SSE)
            case "CONNECT", "/v1/ws", "websocket":
                identity = identity_of(request.values_of, self._secret)
                offered = ",".join(request.values_of("sec-websocket-protocol")).replace(" ", "").split(",")
                head = requests.WEBSOCKET_OF_OURS if requests.PROTOCOL in offered else requests.WEBSOCKET
                outlet = self._open(link, link.ws, sid, identity, request.argument("cursor"), head=head)
                if outlet is not None:
                    outlet.conversation = Conversation(outlet, Inbound(self._node, self._verifier, identity))
            case "GET", "/readyz", None:
                missing = self._node.unready
                link.answer(sid, answer(503 if missing else 200, {"ready": not missing, "missing": missing}))
            case _:
                link.answer(sid, requests.NOT_FOUND)

    def _open(
        self, link: Link, lane: Lane, sid: int, identity: Identity, text: str | None, *, head: bytes
    ) -> Outlet | None:
        """A stream, whose answer with `head` comes when its session is known to live; None if it is not taken, which a bye says."""
        refusal = self._node.refusal(identity.uid)
        if refusal or self._node.hub is None or self._node.ring is None:
            refusal = refusal or EndReason.UNAVAILABLE
            self._meters.ended.labels(refusal).inc()
            link.core.answer(sid, head)
            last = lane.encode(bye(refusal)) + lane.close
            if link.room(sid) >= len(last):
                link.core.send(sid, last, last=True)
            else:
                link.core.reset(sid, Code.REFUSED_STREAM)
            link.want_write()
            return None
        outlet = Outlet(identity.uid, identity.sid, identity.exp, link=link, lane=lane, number=sid, head=head)
        outlet.door = lane.door
        outlet.rotate_at = lifecycle.rotation(Now.read(), self._node.settings.stream_max_age)
        self._meters.opened.labels(lane.door).inc()
        link.outlets[sid] = outlet
        self._node.hub.add(outlet)
        outlet.open(opening(outlet, text))
        link.want_write()
        return outlet


@asynccontextmanager
async def open_door(node: Node, meters: Meters, verifier: Verifier) -> AsyncIterator[Door]:
    """Listens on STREAM_WIRE_BIND, until the block is left. Raises SettingsError where that cannot be."""
    door, bind = Door(node, meters, verifier), node.settings.stream_wire_bind
    host, _, port = bind.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(door.link, host.strip("[]"), int(port), backlog=_BACKLOG)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot listen on {bind}: {error}; it is to be host:port, and free") from None
    try:
        yield door
    finally:
        server.close()
        door.close()
