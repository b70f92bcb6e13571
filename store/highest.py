"""The highest numbers that the archive has ever kept: what a MySQL that gave them out must know of, or it has been set back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from store.events import Arrival, EventType, decode


@dataclass(frozen=True, slots=True)
class Highest:
    """`actor` and `post` are ids, 0 if there was none; `event` is the id of the newest event, which is `author`'s."""

    actor: int
    post: int
    event: str
    author: int

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> "Highest":
        """What `highest_of` has made, as the logbook keeps it."""
        event, _, author = row["event"].partition(" ")
        return cls(row["actor"], row.get("post", 0), event, int(author))


def highest_of(arrivals: Iterable[Arrival]) -> dict[str, int | str]:
    """Of a batch, as fields of which each only ever grows; nothing of an empty one."""
    every = list(arrivals)
    posts = [_post(one) for one in every if one.type in (EventType.POST, EventType.POST_DELETED)]
    found: dict[str, int | str] = {"post": max(posts)} if posts else {}
    if every:
        newest = max(every, key=lambda one: one.id)
        # As text: the ids are of one length, so whichever is greater as text is the newer.
        found |= {"actor": max(one.actor for one in every), "event": f"{newest.id} {newest.actor}"}
    return found


def _post(arrival: Arrival) -> int:
    return int(decode(arrival.value)["object"]["id"])  # type: ignore[index]
