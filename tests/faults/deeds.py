"""What the crowd does, as it was answered, and as pages show it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

# ("post", its text), ("post-deleted", its id), ("account-deleted", who), ("login", (who, when)), ("logout", (who, when))
Key = tuple[str, Any]


@dataclass(eq=False, slots=True)
class Deed:
    """Something that others are to see. Until it is answered nobody knows whether it was done. Times are monotonic.

    `when`, of a sign-in or sign-out: between which times the event must be, as events have them; nothing else tells it from others.
    """

    key: Key
    began: float
    answered: float | None = None
    when: tuple[str, str] | None = None

    def is_told_by(self, key: Key) -> bool:
        """Whether the event of this key tells of it."""
        if self.when is None:
            return key == self.key
        return key[0] == self.key[0] and key[1][0] == self.key[1] and self.when[0] <= key[1][1] <= self.when[1]


@dataclass
class Tally:
    """How requests were answered."""

    answers: Counter[str] = field(default_factory=Counter)  # "write 201", "read 503", "write cut"
    slowest: float = 0.0
    longest: float = 0.0  # seconds in which a write was refused, cut or waited for, again and again, until it was done
    last_refused: float = 0.0  # monotonic seconds
    stale: int = 0  # answers that did not have what the asker had written before

    def __str__(self) -> str:
        return (
            f"{dict(sorted(self.answers.items()))}, {self.stale} stale, the slowest in {self.slowest:.1f} s,"
            f" a write done after {self.longest:.1f} s at the latest"
        )

    def refused(self, kind: str) -> int:
        """How many writes, or reads, were not done."""
        return sum(count for said, count in self.answers.items() if said.startswith(kind) and said[-3] not in "24")


def key_of(event: dict[str, Any]) -> Key | None:
    """Which deed the event tells of; None if it is none of the crowd's."""
    match event["type"]:
        case "post":
            return "post", event["object"]["text"]
        case "post-deleted":
            return "post-deleted", event["object"]["id"]
        case "account-deleted":
            return "account-deleted", event["actor"]["id"]
        case "login" | "logout":
            return event["type"], (event["actor"]["id"], event["at"])
    return None


def now_as_events_have_it() -> str:
    """The time, as `at` of an event."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
