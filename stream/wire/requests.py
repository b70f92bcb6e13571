"""A request as the edge sends it, taken out of a header block; and what we answer that is no stream."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from stream import identity
from stream.wire import blocks
from stream.wire.blocks import Headers

# Names are in lower case and values without line breaks and NUL (RFC 9113, 8.2.1).
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_NOT_IN_VALUE = re.compile(rb"[\0\r\n]")
_OF_CONNECTIONS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))


class Malformed(Exception):
    """The headers make no request (RFC 9113, 8.1.1)."""


@dataclass(frozen=True, slots=True)
class Request:
    """`protocol` is what an extended CONNECT asks for (RFC 8441), else None."""

    method: str
    path: str
    query: str
    protocol: str | None
    headers: Mapping[str, list[str]]

    def values_of(self, name: str) -> list[str]:
        """The values of a header, whose name is given in lower case."""
        return self.headers.get(name, [])

    def argument(self, name: str) -> str | None:
        """The first value of an argument of the query; None if there is none, or an empty one."""
        # However many there are: the edge bounds the length of a request's line.
        return parse_qs(self.query).get(name, [None])[0] if self.query else None


def parse(headers: Headers) -> Request:
    """The request. Raises Malformed."""
    pseudo: dict[bytes, str] = {}
    plain: dict[str, list[str]] = {}
    if _NOT_IN_VALUE.search(b" ".join([value for _, value in headers])):
        raise Malformed("a value has a line break")
    for name, value in headers:
        if name[:1] == b":":
            if plain or name in pseudo or name not in _PSEUDO:
                raise Malformed(f"{name!r:.40} is unknown, late, or there twice")
            pseudo[name] = value.decode("latin-1")
        elif name == b"te" and value != b"trailers":
            raise Malformed("te asks for more than trailers")
        else:
            plain.setdefault(_name(name), []).append(value.decode("latin-1"))
    method, target, protocol = pseudo.get(b":method"), pseudo.get(b":path"), pseudo.get(b":protocol")
    if not method or not target or not pseudo.get(b":scheme") or (protocol is not None and method != "CONNECT"):
        raise Malformed("a pseudo-header is missing, or one too many")
    path, _, query = target.partition("?")
    return Request(method, path, query, protocol, plain)


@lru_cache(maxsize=256)
def _name(name: bytes) -> str:
    """The name of a header, as text. Raises Malformed. An edge sends the same few at every request."""
    if not _NAME.fullmatch(name) or name in _OF_CONNECTIONS:
        raise Malformed(f"{name!r:.40} is not a header of HTTP/2")
    return name.decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """A short answer that is no stream."""

    block: bytes
    body: bytes


def answer(status: int, body: Mapping[str, Any], *headers: tuple[str, str]) -> Answer:
    """An answer in JSON."""
    text = json.dumps(body).encode()
    lines = (("content-type", "application/json"), ("content-length", str(len(text))), *headers)
    return Answer(blocks.encode(status, lines), text)


SSE = blocks.encode(
    200,
    (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-store"), ("x-accel-buffering", "no")),
)
WEBSOCKET = blocks.encode(200)
WEBSOCKET_OF_OURS = blocks.encode(200, (("sec-websocket-protocol", "feed.v1"),))
PROTOCOL = "feed.v1"

NOT_FOUND = answer(404, {"error": "not-found", "message": "there is nothing here"})
NOT_FROM_THE_EDGE = answer(403, {"error": "forbidden", "message": "streams are opened through the edge, with a token"})
SIGNED_OUT = answer(401, identity.SIGNED_OUT, ("www-authenticate", "Bearer"), ("cache-control", "no-store"))
CURSOR_AMBIGUOUS = answer(400, {"error": "cursor-ambiguous", "message": "send Last-Event-ID once"})
