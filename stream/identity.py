"""Who a request comes from: what the edge says, if it is the edge."""

import hmac
import re
from collections.abc import Callable

from store.tokens import Identity

# What a request is answered, with 401, whose token is good and whose session has ended.
SIGNED_OUT = {"error": "signed-out", "message": "the session has ended: sign in again"}

_SID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGITS = re.compile(r"[1-9][0-9]{0,15}")


class NotFromTheEdge(Exception):
    """The request did not come through the edge, or the edge did not verify it."""


def identity_of(values_of: Callable[[str], list[str]], secret: str) -> Identity:
    """The verified identity; `values_of` gives the values of a header, whose name is asked for in lower case.

    Raises NotFromTheEdge unless each header is there exactly once and the secret is right.
    """
    given = [values_of(name) for name in ("x-edge-secret", "x-user-id", "x-session-id", "x-token-exp")]
    if any(len(values) != 1 for values in given):
        raise NotFromTheEdge
    told, uid, sid, exp = (values[0] for values in given)
    if not hmac.compare_digest(told.encode(), secret.encode()):
        raise NotFromTheEdge
    if not (_DIGITS.fullmatch(uid) and _DIGITS.fullmatch(exp) and _SID.fullmatch(sid)):
        raise NotFromTheEdge
    return Identity(int(uid), sid, int(exp))
