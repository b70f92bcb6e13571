"""A tail that stands still while the log goes on: the node has lost Kafka, or a partition's leader, and others have not.

An outage of Kafka looks the same from inside a node, whoever else has it. What tells the two apart is that others get on: the
storekeeper, by what it has told Redis and by the archive's progress. A client's cursor that is ahead of the node says so too, but
anybody can make one up.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from store.cursor import Cursor
from store.process import heed_cancellation
from stream.node import Node

log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0  # seconds between two looks at Redis and the archive, and none while the log has just answered
# Seconds for the tail to reach what others have had. It lags by milliseconds; to find a partition's new leader takes it one or two.
_REACHED_WITHIN = 4.0
# Seconds between two offsets that it has not reached: what others had fetched a moment before Kafka went for everybody, they may
# still take in while nobody gets more. That the log goes on only what comes later shows.
_GOES_ON = 2.0


class Standstill:
    """What others have had of the log and this node has not. Pure; `now` are monotonic seconds."""

    def __init__(self, partitions: int) -> None:
        # Of each partition the first offset that was known to be in the log and is not reached, and one known later.
        self._marks: list[list[tuple[int, float]]] = [[] for _ in range(partitions)]

    def observe(self, now: float, here: Sequence[int], elsewhere: Sequence[int]) -> None:
        """This node's next offsets, and those of others who read the same log."""
        for marks, mine, theirs in zip(self._marks, here, elsewhere, strict=True):
            marks[:] = [mark for mark in marks if mark[0] > mine]
            if theirs > mine and (
                not marks or (len(marks) == 1 and theirs > marks[0][0] and now >= marks[0][1] + _GOES_ON)
            ):
                marks.append((theirs, now))

    def partitions(self, now: float) -> list[int]:
        """Those that stand still while the log goes on; empty if there are none, or the log stands still for all."""
        overdue = [(at, p) for p, marks in enumerate(self._marks) for _, at in marks if now >= at + _REACHED_WITHIN]
        if not overdue or max(overdue)[0] < min(overdue)[0] + _GOES_ON:
            return []
        return sorted({p for _, p in overdue})


async def watch_tail(node: Node) -> None:
    """For ever: says in `node.standstill` why the node is not to have streams while its tail stands still and the log goes on."""
    found: Standstill | None = None
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        if node.ring is None:
            continue
        found = found or Standstill(len(node.ring.next))
        others = [] if node.is_caught_up() else await node.feed.reached()
        heed_cancellation()
        now, here = time.monotonic(), node.ring.next
        found.observe(now, here, _furthest(Cursor(node.ring.epoch, tuple(here)), others))
        still = found.partitions(now)
        why = f"the log goes on, and the tail stands still in partitions {still}" if still else ""
        if bool(why) != bool(node.standstill):
            log.warning("%s", why or "the tail gets on again")
        node.standstill = why


def _furthest(mine: Cursor, others: Sequence[Cursor]) -> list[int]:
    """In each partition; another log says nothing of this one."""
    same = [one.offsets for one in others if one.epoch == mine.epoch and len(one.offsets) == len(mine.offsets)]
    return [max(offsets) for offsets in zip(mine.offsets, *same, strict=True)]
