"""Who asks: checked before every request, whatever its route."""

import hmac
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from quart import Quart, g, request

from api.bodies import MAX_BYTES
from api.errors import ApiError
from api.parts import parts
from api.pool import DatabaseUnavailable
from api.session_rows import select_session_ended
from store.tokens import Identity, TokenError

View = TypeVar("View", bound=Callable[..., Any])

# What orchestration asks, inside the network: the edge lets nobody through to these.
INSIDE = ("/healthz", "/readyz", "/metrics")
_READ_SECONDS = 2.0


def public(view: View) -> View:
    """Marks a route that needs no token. Every route that is not marked does."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def is_public(view: Callable[..., Any]) -> bool:
    """Whether the route is on the public list."""
    return getattr(view, "is_public", False)


def who() -> Identity:
    """Who asks; only on routes that need a token."""
    return cast("Identity", g.identity)


def guard(app: Quart) -> None:
    """Lets a request through only with the edge's secret, and on routes that are not public with a good token."""

    @app.before_request
    async def _check() -> None:
        if request.path in INSIDE:
            return
        ensure_from_edge()
        if (request.content_length or 0) > MAX_BYTES:
            raise ApiError(413, "body-too-large", f"the body is over {MAX_BYTES} bytes")
        if request.url_rule is None:
            return  # nothing there, or not by this method: nothing to guard
        if request.path.startswith("/v1/") and not parts().database.migrated.is_set():
            raise ApiError(503, "unavailable", "the database is not ready yet", retry_after=1)
        if not is_public(app.view_functions[request.url_rule.endpoint]):
            g.identity = await identify()


def ensure_from_edge() -> None:
    """Raises ApiError 403 unless the edge has sent this request."""
    secret = parts().settings.edge_secret.get_secret_value().encode()
    if not hmac.compare_digest(request.headers.get("X-Edge-Secret", "").encode("utf-8", "replace"), secret):
        raise ApiError(403, "edge-only", "requests come through the edge")


async def identify() -> Identity:
    """Who the bearer token speaks for. Raises TokenError or ApiError 4xx. A token in cookie or query is not looked at."""
    lines = request.headers.getlist("Authorization")
    if len(lines) > 1:
        raise ApiError(400, "token-ambiguous", "there is more than one Authorization header")
    scheme, _, token = (lines[0] if lines else "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenError("token-missing", "this needs a token: Authorization: Bearer <token>")
    identity = parts().verifier.verify(token.strip())
    if await has_ended(identity):
        raise ApiError(401, "session-ended", "this session has ended: sign in again")
    return identity


async def has_ended(identity: Identity) -> bool:
    """Whether the session is over. Redis mostly knows, the primary always does. Raises DatabaseUnavailable if nobody can tell.

    Only what the primary says is remembered, and of a session that it does not know not even that: an end is one that it has.
    """
    here = parts()
    known = await here.sessions.is_ended(identity.uid, identity.sid)
    if known is not None:
        return known
    try:
        ended = await here.database.read_primary(select_session_ended, identity.sid)
    except DatabaseUnavailable:
        stale = await here.database.read_replica(select_session_ended, identity.sid)
        found = stale.regardless(
            "an end is final, and a session that is there has begun; that it is not there says nothing"
        )
        if found is None:
            raise
        return found
    if ended is not None:
        await here.sessions.remember(identity.sid, ended, int(time.time()) + here.settings.token_life)
    return ended is not False


def ensure_same_origin() -> None:
    """Raises ApiError 403 if another site's page sent this request: it must not set or use our cookies."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
        raise ApiError(403, "origin", "another site's page cannot do this")
