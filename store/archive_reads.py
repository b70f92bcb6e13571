"""What is read from the archive, and how the answers of several queries become one."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_AUTHORS_A_QUERY = 200  # beyond this MongoDB's merge of index scans becomes dearer than our own


@dataclass(frozen=True, slots=True)
class Kept:
    """An archived event and where in the log it stands."""

    id: str
    partition: int
    offset: int
    type: str
    value: bytes


def newest_of(found: list[list[Kept]], limit: int) -> list[Kept]:
    """The first `limit` of lists that are each sorted newest first."""
    merged = heapq.merge(*found, key=lambda kept: kept.id, reverse=True)
    return [kept for kept, _ in zip(merged, range(limit), strict=False)]


def slices(authors: Iterable[int]) -> Iterable[list[int]]:
    """The authors, as many at a time as one query may ask for."""
    every = sorted(authors)
    return (every[i : i + _AUTHORS_A_QUERY] for i in range(0, len(every), _AUTHORS_A_QUERY))


def kept(row: Mapping[str, Any]) -> Kept:
    """The event of a document."""
    return Kept(row["_id"], row["part"], row["off"], row["type"], row["body"].encode())
