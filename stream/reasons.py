"""Why a stream ends and why it has a gap: each word that clients and metrics read, in one place."""

import random
from enum import StrEnum

_USUAL_MS = (1000, 4000)


class EndReason(StrEnum):
    """The `reason` of a `bye`; docs/protocol.md says what a client does about each."""

    SIGNED_OUT = "signed-out"
    EXPIRED = "expired"
    SLOW = "slow"
    DRAIN = "drain"
    ROTATE = "rotate"
    TOO_MANY = "too-many"
    UNAVAILABLE = "unavailable"
    PROTOCOL = "protocol"
    CLOSED = "closed"  # by the client itself: nobody is there to be told
    STUCK = "stuck"  # its connection from the edge takes nothing: nobody can be told

    @property
    def retry_ms(self) -> int:
        """How long the client is to wait before it comes back, in milliseconds: jittered, as `usual_retry_ms` is."""
        return random.randint(*_RETRY_MS.get(self, _USUAL_MS))  # noqa: S311


_RETRY_MS = {
    EndReason.DRAIN: (100, 2000),
    EndReason.TOO_MANY: (10_000, 30_000),
    # For good; an EventSource, which knows no `bye`, comes back once an hour.
    EndReason.SIGNED_OUT: (3_600_000, 3_600_000),
}


class GapReason(StrEnum):
    """The `reason` of a `gap`."""

    MALFORMED = "malformed"
    EPOCH = "epoch"
    TOO_OLD = "too-old"
    AHEAD = "ahead"
    STOREKEEPER = "storekeeper"


def usual_retry_ms() -> int:
    """For a stream that ends without a word, in milliseconds: jittered, so that many who left together don't return together."""
    return random.randint(*_USUAL_MS)  # noqa: S311
