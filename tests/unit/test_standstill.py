"""A node finds out that the log goes on without it, and not when Kafka is gone for everybody: G3, G7."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from store.cursor import Cursor
from store.feed import Feed
from store.process import cancel
from stream import standstill
from stream.hub import Hub
from stream.node import Node
from stream.ring import Ring
from stream.settings import StreamSettings
from stream.standstill import Standstill, watch_tail
from tests.unit.logs import EPOCH

_LONG = 60


class Clock:
    """Looks once a second at a node and at what others have had."""

    def __init__(self, partitions: int = 3) -> None:
        self.found, self.now = Standstill(partitions), 0.0
        self.here, self.elsewhere = [0] * partitions, [0] * partitions

    def pass_by(self, seconds: int) -> list[int]:
        """What stands still after so many looks."""
        for _ in range(seconds):
            self.now += 1
            self.found.observe(self.now, self.here, self.elsewhere)
        return self.found.partitions(self.now)


def test_a_tail_that_reads_all_the_time_stands_still_nowhere_though_others_are_a_moment_ahead() -> None:
    clock = Clock()
    for second in range(_LONG):
        clock.here = [10 * second] * 3
        clock.elsewhere = [10 * second + 5] * 3

        assert clock.pass_by(1) == []


@pytest.mark.parametrize("deaf", [[0, 1, 2], [1]], ids=["all of Kafka", "one partition"])
def test_it_stands_still_in_those_partitions_in_which_others_get_on_and_it_does_not_until_it_does(
    deaf: list[int],
) -> None:
    clock = Clock()
    for second in range(1, 12):
        clock.elsewhere = [second] * 3
        clock.here = [0 if p in deaf else second for p in range(3)]
        clock.pass_by(1)

    assert clock.pass_by(1) == deaf
    clock.here = [11] * 3
    assert clock.pass_by(1) == []


@pytest.mark.parametrize("more", [1, 100])
def test_what_others_had_a_moment_before_kafka_went_for_all_does_not_make_it_stand_still(more: int) -> None:
    clock = Clock()
    clock.elsewhere = [more, 0, 0]
    assert clock.pass_by(1) == []
    clock.elsewhere = [more, more, 0]  # what they had fetched comes in, in two steps

    assert all(clock.pass_by(1) == [] for _ in range(_LONG))


def test_a_second_event_long_after_the_first_is_enough_in_whichever_partition() -> None:
    clock = Clock()
    clock.elsewhere = [1, 0, 0]
    assert clock.pass_by(_LONG) == []
    clock.elsewhere = [1, 0, 1]

    assert clock.pass_by(10) == [0, 2]


def test_a_node_that_was_frozen_itself_is_given_time_to_read_what_it_has_missed() -> None:
    clock = Clock()
    clock.now += _LONG
    clock.elsewhere = [1000] * 3
    assert clock.pass_by(2) == []
    clock.here = [1000] * 3

    assert clock.pass_by(10) == []


@dataclass
class Others:
    """What Redis and the archive say: with each question one event more of partition 1, in the log of this epoch."""

    epoch: str = EPOCH
    asked: list[Cursor] = field(default_factory=list)

    async def reached(self) -> list[Cursor]:
        self.asked.append(Cursor(self.epoch, (0, len(self.asked) + 1, 0)))
        return [Cursor(self.epoch, (0, 0, 0)), self.asked[-1]]


@pytest.mark.parametrize("epoch", [EPOCH, "deadbeef"], ids=["the same log", "another log"])
async def test_a_node_that_stands_still_in_one_partition_takes_no_streams_and_says_why_until_it_has_read_on(
    epoch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("_LOOK_EVERY", "_REACHED_WITHIN", "_GOES_ON"):
        monkeypatch.setattr(standstill, bound, 0.0)
    others = Others(epoch)
    settings = StreamSettings.model_validate({"edge_secret": "x" * 20, "token_keys": "/nowhere"})
    node = Node(settings, cast("Feed", others), *[None] * 2)  # type: ignore[arg-type]
    node.ring = Ring(EPOCH, [0, 0, 0], seconds=600, max_bytes=10**8)
    node.hub, node.missing = Hub(node.ring), ""
    watching = asyncio.create_task(watch_tail(node))
    async with asyncio.timeout(30):
        while len(others.asked) < 10:
            await asyncio.sleep(0)
    if epoch == EPOCH:
        assert node.refusal(7) == "unavailable"
        assert node.unready == {"tail": "the log goes on, and the tail stands still in partitions [1]"}
        node.ring.next[1] = 10**6
        async with asyncio.timeout(30):
            while node.unready:
                await asyncio.sleep(0)
    assert node.refusal(7) is None
    await cancel(watching)
