"""What is published: events of 200 bytes, numbered for each author, that tell when they were published."""

import time
from collections import Counter
from dataclasses import dataclass, field

BYTES = 200
_FORM = (
    '{{"id":"{id}","type":"post","at":"2026-11-24T00:00:00.000Z","actor":{{"id":{author},"username":"b{author}"}},'
    '"object":{{"id":{number},"text":"#~{author:04d}.{number:08d}.{at:019d}{filling}"}}}}'
)

Post = tuple[int, bytes]  # an author and an event's JSON


def id_of(number: int) -> str:
    """An event's id."""
    return f"01a20adb-0000-7000-8000-{number:012d}"


@dataclass(slots=True)
class Posts:
    """Makes posts; `next` holds how many each author has made. Times are of the monotonic clock, in ns, as the client reads it."""

    next: Counter[int] = field(default_factory=Counter)
    made: int = 0

    def of(self, *authors: int) -> list[Post]:
        """One new post of each, as of now."""
        return [(author, self._one(author)) for author in authors]

    def _one(self, author: int) -> bytes:
        said = {"id": id_of(self.made), "author": author, "number": self.next[author], "at": time.monotonic_ns()}
        self.next[author] += 1
        self.made += 1
        text = _FORM.format(filling="", **said)
        return _FORM.format(filling="." * (BYTES - len(text)), **said).encode()
