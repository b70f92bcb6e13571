"""What the archive writes for events and follows: each write may be repeated, to the same effect."""

from collections.abc import Iterable
from typing import Any

from pymongo import DeleteOne, UpdateOne

from store.events import Arrival, EventType, FollowChange, decode

Write = UpdateOne | DeleteOne


def writes_of_events(arrivals: Iterable[Arrival]) -> list[Write]:
    """Keeps each event once, by its id, where it stood first; a deletion also takes the author's own post out."""
    writes: list[Write] = []
    for arrival in arrivals:
        body = decode(arrival.value)
        kept: dict[str, Any] = {
            "actor": arrival.actor,
            "type": str(arrival.type),
            "at": body["at"],
            "part": arrival.partition,
            "off": arrival.offset,
            "body": arrival.value.decode(),
        }
        post = body["object"].get("id")  # type: ignore[attr-defined]
        if arrival.type is EventType.POST:
            kept["post"] = post
        writes.append(UpdateOne({"_id": arrival.id}, {"$setOnInsert": kept}, upsert=True))
        if arrival.type is EventType.POST_DELETED:
            writes.append(DeleteOne({"post": post, "actor": arrival.actor}))
    return writes


def writes_of_follows(changes: Iterable[FollowChange]) -> list[Write]:
    """For each pair the highest `seq` wins; an older one fails as a duplicate key, which is what it should do."""
    newest: dict[tuple[int, int], FollowChange] = {}
    for change in changes:
        pair = (change.follower, change.followee)
        if pair not in newest or newest[pair].seq < change.seq:
            newest[pair] = change
    return [
        UpdateOne(
            {"_id": f"{change.follower}:{change.followee}", "seq": {"$lt": change.seq}},
            {"$set": {"follower": change.follower, "followee": change.followee, "seq": change.seq, "on": change.on}},
            upsert=True,
        )
        for change in newest.values()
    ]
