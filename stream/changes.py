"""Changes of whom people follow, as a ring has them: of each pair the highest `seq` is the truth, in whatever order they came."""

from collections.abc import Collection

from stream.ring import Entry, Ring


def newest_changes(ring: Ring, uid: int) -> Collection[Entry]:
    """Of each pair of the user's that was changed the entry with the highest `seq`; of two with the same the first."""
    newest: dict[int, Entry] = {}
    for entry in ring.of_author(uid):
        if entry.arrival.change and _seq(entry) > _seq(newest.get(entry.arrival.change.followee)):
            newest[entry.arrival.change.followee] = entry
    return newest.values()


def is_superseded(ring: Ring, entry: Entry) -> bool:
    """Whether the ring has, before this change of a pair, a newer one, or this one already.

    Nobody keeps the `seq` of pairs that are off. The ring has it for as long as it reaches back: a follow that comes behind its
    unfollow, because it was told twice or driven again from the dead letters, is not done again.
    """
    change = entry.arrival.change
    return change is not None and any(
        before.seq < entry.seq
        and before.arrival.change is not None
        and before.arrival.change.followee == change.followee
        and before.arrival.change.seq >= change.seq
        for before in ring.of_author(change.follower)
    )


def _seq(entry: Entry | None) -> int:
    return entry.arrival.change.seq if entry is not None and entry.arrival.change is not None else 0
