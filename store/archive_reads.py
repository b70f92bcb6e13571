"""What is read from the archive, and for how many authors at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Each of a reader's queries but the first looks only for what is newer than what the ones before have found, so many small ones
# read little more than a few large ones; MongoDB-compatible servers take three times as long for 200 at once.
_AUTHORS_A_QUERY = 25

# Documents that a server gives at a time where they are counted in bytes: what comes beyond the bound is thrown away.
A_BATCH = 16


@dataclass(frozen=True, slots=True)
class Kept:
    """An archived event and where in the log it stands."""

    id: str
    partition: int
    offset: int
    type: str
    value: bytes


def slices(authors: Iterable[int]) -> Iterable[list[int]]:
    """The authors, as many at a time as one query may ask for."""
    every = sorted(authors)
    return (every[i : i + _AUTHORS_A_QUERY] for i in range(0, len(every), _AUTHORS_A_QUERY))


def kept(row: Mapping[str, Any]) -> Kept:
    """The event of a document."""
    return Kept(row["_id"], row["part"], row["off"], row["type"], row["body"].encode())


def cut(events: Sequence[Kept], limit: int, max_bytes: int) -> tuple[list[Kept], int | None]:
    """The first events, at most `limit` and `max_bytes` of values or one, and the offset of the first that is left out."""
    size = 0
    for number, event in enumerate(events):
        size += len(event.value)
        if number and (number >= limit or size > max_bytes):
            return list(events[:number]), event.offset
    return list(events), None
