"""What the archive writes for events and follows: each write may be repeated, to the same effect."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING, DESCENDING, DeleteMany, UpdateMany, UpdateOne

from store.events import Arrival, EventType, FollowChange, decode

Write = UpdateOne | UpdateMany | DeleteMany
_EXPIRES: dict[str, Any] = {"expireAfterSeconds": 0}

# Collection, keys, options.
INDEXES: tuple[tuple[str, list[tuple[str, int]], dict[str, Any]], ...] = (
    ("events", [("actor", ASCENDING), ("_id", DESCENDING)], {}),
    ("events", [("actor", ASCENDING), ("part", ASCENDING), ("off", ASCENDING)], {}),
    ("events", [("post", ASCENDING)], {"sparse": True}),
    ("events", [("until", ASCENDING)], {**_EXPIRES, "sparse": True}),  # most never expire
    ("follows", [("follower", ASCENDING)], {}),
    ("follows", [("followee", ASCENDING), ("_id", ASCENDING)], {}),
    ("follows", [("until", ASCENDING)], {**_EXPIRES, "sparse": True}),
    ("ended", [("until", ASCENDING)], _EXPIRES),
)

# What is left of a post that was taken out: its id, so that whoever comes late with it does not bring it back.
_TAKEN_OUT = {
    "$unset": dict.fromkeys(("actor", "type", "at", "body", "post"), ""),
    "$set": {"gone": True},
}

# How long followers of an account that is gone are still told so when they come back. After that nothing of it is left.
_GONE_KEPT = timedelta(days=30)


def documents_of(epoch: str, arrivals: Iterable[Arrival]) -> list[dict[str, Any]]:
    """The events of that topic as they are kept: each once, by its id, where it stood first."""
    documents = []
    for arrival in arrivals:
        body = decode(arrival.value)
        kept: dict[str, Any] = {
            "_id": arrival.id,
            "actor": arrival.actor,
            "type": str(arrival.type),
            "at": body["at"],
            "epoch": epoch,
            "part": arrival.partition,
            "off": arrival.offset,
            "body": arrival.value.decode(),
        }
        if arrival.type in (EventType.POST, EventType.POST_DELETED):
            kept["post"] = body["object"].get("id")  # type: ignore[attr-defined]
        if arrival.type is EventType.ACCOUNT_DELETED:
            kept["until"] = gone_until()
        documents.append(kept)
    return documents


def writes_of_deletions(documents: Iterable[Mapping[str, Any]]) -> list[Write]:
    """A deletion also takes the author's own post out."""
    deletion, post = str(EventType.POST_DELETED), str(EventType.POST)
    return [
        UpdateOne({"post": document["post"], "actor": document["actor"], "type": post}, _TAKEN_OUT)
        for document in documents
        if document["type"] == deletion
    ]


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


def writes_of_departed_events(uids: Iterable[int]) -> list[Write]:
    """Takes out all that these people did, but for the event that tells of the end of their accounts."""
    return [DeleteMany({"actor": uid, "type": {"$ne": str(EventType.ACCOUNT_DELETED)}}) for uid in uids]


def writes_of_departed_follows(uids: Iterable[int]) -> list[Write]:
    """Takes out whom these people followed. Those who followed them do so for a while yet: the word of it must reach them."""
    writes: list[Write] = []
    for uid in uids:
        kept = {"followee": uid, "until": {"$exists": False}}
        writes += [DeleteMany({"follower": uid}), UpdateMany(kept, {"$set": {"until": gone_until()}})]
    return writes


def gone_until() -> datetime:
    """When the last traces of an account that is deleted now go."""
    return datetime.now(UTC) + _GONE_KEPT


def user_name(uid: int | str) -> str:
    """Stands for every session of the user, in the place of one session's id."""
    return f"user:{uid}"
