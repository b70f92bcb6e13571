"""A scenario: how many streams there are and who reads whom. Authors are numbered from 1, readers from 10,000."""

from array import array
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from random import Random

FIRST_READER = 10_000
RATE = 20  # events per second, of all authors together


class Position(StrEnum):
    """What stands before the server: nothing, a bare HAProxy that is the same for all, or the project's own, with tokens."""

    ALONE = "alone"
    BARE = "behind HAProxy"
    EDGE = "behind our edge, with tokens"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`seconds` of a steady rate, then bursts of `burst` events each; `stall` or `storm` in their place."""

    name: str
    streams: int
    authors: int = 1
    followed: int = 1
    seconds: float = 5
    burst: int = 20
    phases: tuple[str, ...] = ("steady", "bursts")

    @property
    def graph(self) -> str:
        """In words, for the tables."""
        return "broadcast" if self.authors == 1 else f"{self.followed} of {self.authors} authors each"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("broadcast-2000", 2000),
        Scenario("broadcast-9000", 9000, seconds=3),
        Scenario("social20-2000", 2000, 200, 20, seconds=10, burst=100),
        Scenario("social20-9000", 9000, 200, 20, burst=100),
        Scenario("social200-2000", 2000, 200, 200, burst=100),
        Scenario("social200-9000", 9000, 200, 200, seconds=3, burst=100),
        Scenario("stall-1000", 1000, phases=("steady", "stall")),
        Scenario("storm-9000", 9000, 200, 20, phases=("steady", "storm")),
    )
}


@cache
def reads(uid: int, authors: int, followed: int) -> "array[int]":
    """The authors whom a reader follows: the same for the same reader, whoever asks."""
    if followed >= authors:
        return array("H", range(1, authors + 1))
    return array("H", sorted(Random(uid).sample(range(1, authors + 1), followed)))


def readers(scenario: Scenario) -> list[int]:
    """The users whose streams are opened, one each."""
    return list(range(FIRST_READER, FIRST_READER + scenario.streams))


def audience(scenario: Scenario) -> Counter[int]:
    """How many read each author."""
    return Counter(author for uid in readers(scenario) for author in reads(uid, scenario.authors, scenario.followed))
