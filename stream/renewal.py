"""POST /v1/stream/token: a newer token prolongs the streams of its session. The same for every door."""

from typing import Any

from store.tokens import Identity
from stream.identity import SIGNED_OUT
from stream.node import Node


async def renewed(node: Node, identity: Identity) -> tuple[dict[str, Any], int]:
    """Body and status. The edge has verified the token that the request came with: its expiry is the streams' new one.

    Raises ArchiveUnavailable if nobody can tell whether the session has ended.
    """
    if await node.has_ended(identity.uid, identity.sid, identity.exp):
        return {**SIGNED_OUT}, 401
    streams = node.hub.renew(identity.uid, identity.sid, identity.exp) if node.hub else 0
    if not streams:
        return {"error": "no-stream", "message": "this session has no stream open: open one with the new token"}, 404
    return {"streams": streams, "expires_at": identity.exp}, 200
