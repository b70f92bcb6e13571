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


def _seq(entry: Entry | None) -> int:
    return entry.arrival.change.seq if entry is not None and entry.arrival.change is not None else 0
