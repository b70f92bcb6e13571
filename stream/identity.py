"""Who a request comes from: what the edge says, if it is the edge."""

import hmac
import re

from quart import Request
from quart.wrappers import Websocket

from store.tokens import Identity

_SID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGITS = re.compile(r"[1-9][0-9]{0,15}")


class NotFromTheEdge(Exception):
    """The request did not come through the edge, or the edge did not verify it."""


def identity_of(request: Request | Websocket, secret: str) -> Identity:
    """The verified identity. Raises NotFromTheEdge unless each header is there exactly once and the secret is right."""
    given = {
        name: request.headers.getlist(name) for name in ("X-Edge-Secret", "X-User-Id", "X-Session-Id", "X-Token-Exp")
    }
    if any(len(values) != 1 for values in given.values()):
        raise NotFromTheEdge
    told, uid, sid, exp = (values[0] for values in given.values())
    if not hmac.compare_digest(told.encode(), secret.encode()):
        raise NotFromTheEdge
    if not (_DIGITS.fullmatch(uid) and _DIGITS.fullmatch(exp) and _SID.fullmatch(sid)):
        raise NotFromTheEdge
    return Identity(int(uid), sid, int(exp))
