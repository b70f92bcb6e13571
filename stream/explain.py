"""Why a user is where they are: what the node can say about the caller's streams, for whoever has to find out."""

import time
from typing import Any

from store import cursor
from store.cursor import BadCursor
from store.tokens import Identity
from stream.node import Node
from stream.replay import here
from stream.stream import Stream


def explain(node: Node, identity: Identity, text: str | None) -> dict[str, Any]:
    """Node, ring, and the state of each of the caller's streams; and what a cursor means here, if one is given."""
    ring, hub = node.ring, node.hub
    told: dict[str, Any] = {
        "node": node.settings.node_name,
        "why": "the edge hashes the user's id onto the nodes that are up: all streams of a user are on one",
        "userId": identity.uid,
        "session": {"id": identity.sid, "token_expires_in": identity.exp - int(time.time())},
        "ready": not node.unready,
        "missing": "; ".join(node.unready.values()),
    }
    if ring is None or hub is None:
        return told
    told["log"] = {
        "epoch": ring.epoch,
        "partitions": [
            {"partition": p, "ring_from": floor, "next": at, "log_end": end, "lag": max(0, end - at)}
            for p, (floor, at, end) in enumerate(zip(ring.floor, ring.next, node.log_ends or ring.next, strict=True))
        ],
    }
    told["ring"] = {
        "events": len(ring),
        "bytes": ring.bytes,
        "seconds": node.settings.ring_seconds,
        "cursor": ring.cursor(),
    }
    told["streams"] = [_stream(stream, node) for stream in hub.of_user(identity.uid)]
    told["streams_on_node"] = len(hub)
    if text:
        told["cursor"] = _cursor(text, node)
    return told


def _stream(stream: Stream, node: Node) -> dict[str, Any]:
    assert node.ring is not None
    behind = 0 if stream.place is None else node.ring.head - stream.place
    return {
        "session": stream.sid,
        "door": stream.door,
        "state": "live" if stream.place is None else "behind",
        "entries_behind": behind,
        "ahead_of_node": stream.past is not None,
        "cursor": here(stream, node.ring) if stream.place is None else None,
        "follows": len(stream.follows),
        "token_expires_in": stream.expires_at - int(time.time()),
        "writing_for": None if stream.writing_since is None else round(time.monotonic() - stream.writing_since, 3),
    }


def _cursor(text: str, node: Node) -> dict[str, Any]:
    assert node.ring is not None
    try:
        given = cursor.decode(text)
    except BadCursor as error:
        return {"is": "malformed", "why": str(error)}
    known = given.epoch == node.ring.epoch and len(given.offsets) == len(node.ring.next)
    return {
        "is": "known" if known else "of another log",
        "epoch": given.epoch,
        "offsets": list(given.offsets),
        "in_the_ring": known and node.ring.reaches(given.offsets),
        "ahead_of_node": known and any(map(int.__gt__, given.offsets, node.ring.next)),
    }
