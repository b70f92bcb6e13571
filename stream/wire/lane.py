"""A lane: the streams of one link that read the same bytes, by the authors whom they are told of."""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from stream.frames import Frame
from stream.ring import Entry


class Lane:
    """The index costs four bytes for each stream and author."""

    def __init__(self, door: str, encode: Callable[[Frame], bytes], close: bytes = b"") -> None:
        """`close` is what follows the last frame of a stream."""
        self.door, self.encode, self.close = door, encode, close
        self._by_author: dict[int, array[int]] = {}

    def __len__(self) -> int:
        return len(self._by_author)

    def join(self, sid: int, authors: Iterable[int]) -> None:
        """Tells the stream of these authors from now on."""
        by_author = self._by_author
        for author in authors:
            sids = by_author.get(author)
            if sids is None:
                by_author[author] = array("I", (sid,))
            elif sids[-1] < sid:  # a peer's ids grow
                sids.append(sid)
            elif sids[at := bisect_left(sids, sid)] != sid:
                sids.insert(at, sid)

    def leave(self, sid: int, authors: Iterable[int]) -> None:
        """Tells it no more."""
        by_author = self._by_author
        for author in authors:
            sids = by_author.get(author)
            if sids is None:
                continue
            at = bisect_left(sids, sid)
            if at < len(sids) and sids[at] == sid:
                del sids[at]
                if not sids:
                    del by_author[author]

    def count(self, author: int) -> int:
        """How many streams are told of this author."""
        return len(self._by_author.get(author, ()))

    def clear(self) -> None:
        """Forgets everybody."""
        self._by_author.clear()

    def readers(self, entries: Sequence[Entry]) -> "Iterator[tuple[array[int], list[int]]]":
        """Streams that are to get the same of these entries, and the indices of those, ascending. Each stream is in one group."""
        theirs: defaultdict[int, list[int]] = defaultdict(list)
        for number, entry in enumerate(entries):
            if entry.arrival.actor in self._by_author:
                theirs[entry.arrival.actor].append(number)
        # Authors with the very same readers count as one: in a broadcast that is all of them.
        alike: dict[bytes, tuple[array[int], list[int]]] = {}
        for author, numbers in theirs.items():
            sids = self._by_author[author]
            known = alike.setdefault(sids.tobytes() if len(theirs) > 1 else b"", (sids, []))
            known[1].extend(numbers)
        if len(alike) == 1:
            ((sids, numbers),) = alike.values()
            numbers.sort()
            yield sids[:], numbers
        elif alike:
            yield from _split(list(alike.values()))


def _split(alike: "list[tuple[array[int], list[int]]]") -> "Iterator[tuple[array[int], list[int]]]":
    """Every stream into the group of those that read the same: one step for each stream and set of entries."""
    groups: list[tuple[int, list[int]]] = [(0, [])]  # the group that each was split from, and what it reads besides
    group_of: dict[int, int] = {}
    for sids, numbers in alike:
        after: dict[int, int] = {}
        for sid in sids:
            before = group_of.get(sid, 0)
            now = after.get(before)
            if now is None:
                now = after[before] = len(groups)
                groups.append((before, numbers))
            group_of[sid] = now
    members: defaultdict[int, list[int]] = defaultdict(list)
    for sid, group in group_of.items():
        members[group].append(sid)
    for group, of_group in members.items():
        read: list[int] = []
        while group:
            group, numbers = groups[group]  # noqa: PLW2901
            read += numbers
        read.sort()
        yield array("I", of_group), read
