"""The phases of a run, and what each has cost."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from bench.compare import meter
from bench.compare.load import Load, Told
from bench.compare.peer import Peer
from bench.compare.posts import Post, Posts
from bench.compare.results import Row
from bench.compare.scenario import RATE, Scenario, audience

_BURSTS = 20
_BURSTS_SECONDS = 8.0  # a slow server is shown fewer
_SETTLES = 2.0
_STALLED_EVENTS = 600


@dataclass(slots=True)
class Run:
    """What is there while a run is under way. Costs are of `server`'s and `edge`'s processes."""

    scenario: Scenario
    peer: Peer
    load: Load
    edge_pids: list[int]
    say: Callable[[Row], None]
    posts: Posts = field(default_factory=Posts)
    random: Random = field(default_factory=lambda: Random(1))
    _audience: Counter[int] = field(default_factory=Counter)
    _expected: int = 0  # deliveries of this phase

    def __post_init__(self) -> None:
        self._audience = audience(self.scenario)

    async def publish(self, count: int) -> None:
        """That many posts of random authors, as one batch."""
        await self.peer.publish(self._made(count))

    async def steady(self) -> None:
        """Events at a steady rate, one at a time. What a server takes late counts as late: it was made when it was due."""
        due: asyncio.Queue[list[Post]] = asyncio.Queue()

        async def make() -> None:
            began = time.monotonic()
            for number in range(int(RATE * self.scenario.seconds)):
                await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
                due.put_nowait(self._made(1))
            due.put_nowait([])

        async def publish() -> None:
            while posts := await due.get():
                await self.peer.publish(posts)

        await asyncio.gather(make(), publish())

    def _made(self, count: int) -> list[Post]:
        authors = [self.random.randint(1, self.scenario.authors) for _ in range(count)]
        self._expected += sum(self._audience[author] for author in authors)
        return self.posts.of(*authors)

    async def bursts(self) -> None:
        """Bursts, the next when all but the last have arrived."""
        began, before = time.monotonic(), 0
        for _ in range(_BURSTS):
            due = self._expected
            await self.publish(self.scenario.burst)
            await self.load.wait(before)
            before = due
            if time.monotonic() - began > _BURSTS_SECONDS:
                break

    async def phase(self, name: str, work: Callable[[], Awaitable[None]], *, patience: float = 8) -> Row:
        """Does the work, waits for what it must bring about, and tells what it cost and what is missing."""
        self._expected = 0
        await self.load.ask("reset")
        before, mine, began = self._cpu(), (await self.load.ask("stats"))["cpu"], time.monotonic()
        await work()
        told = await self.load.wait(self._expected, idle=patience)
        wall, used = time.monotonic() - began - told["quiet"], self._cpu()
        told = await self.load.settle(self.posts.next)
        row: Row = {"phase": name, "expected": self._expected, "wall": wall, **_figures(told)}
        arrived = max(1, told["deliveries"])
        row["cpu"] = sum(used) - sum(before)
        row |= {"server_us": (used[0] - before[0]) / arrived * 1e6, "edge_us": (used[1] - before[1]) / arrived * 1e6}
        row |= {"client_us": (told["cpu"] - mine) / arrived * 1e6, "per_second": told["deliveries"] / wall}
        self.say(row)
        return row

    async def connect(self) -> None:
        """Opens all streams; what that costs, and what an idle one holds."""
        memory, cpu = self.memory(), self._cpu()
        told = await self.load.open(self.peer.at_once)
        await asyncio.sleep(_SETTLES)
        after, used, live = self.memory(), self._cpu(), max(1, told["live"])
        row: Row = {"phase": "connect", **_figures(told)}
        row |= {"server_us": (used[0] - cpu[0]) / live * 1e6, "edge_us": (used[1] - cpu[1]) / live * 1e6}
        row |= {"server_bytes": (after[0] - memory[0]) / live, "edge_bytes": (after[1] - memory[1]) / live}
        self.say(row)
        if told["live"] < self.scenario.streams:
            raise RuntimeError(f"only {told['live']} of {self.scenario.streams} streams are open")

    async def stall(self) -> None:
        """One reader stops; the others are told as ever; then it reads on."""

        async def work() -> None:
            await self.load.ask("stall 0")
            began, before = time.monotonic(), 0
            for _ in range(_STALLED_EVENTS // self.scenario.burst):
                due = self._expected * (self.scenario.streams - 1) // self.scenario.streams
                await self.publish(self.scenario.burst)
                await self.load.wait(before)
                before = due
            told = await self.load.wait(self._expected * (self.scenario.streams - 1) // self.scenario.streams)
            wall = time.monotonic() - began - told["quiet"]
            self.say({"phase": "stalled", **_figures(told), "per_second": told["deliveries"] / wall})
            await self.load.ask("read 0")

        await self.phase("stall", work)

    async def storm(self) -> None:
        """Every stream is cut and comes back at once, while events go on."""
        opened: Told = {}

        async def work() -> None:
            going = asyncio.create_task(self.steady())
            await asyncio.sleep(self.scenario.seconds / 5)
            await self.load.ask("cut")
            opened.update(await self.load.open(self.scenario.streams))
            await going

        row = await self.phase("storm", work)
        again = {"seconds": opened["seconds"], "live": opened["live"], "resumed": opened["resumed"]}
        self.say({**row, "phase": "storm live again", **again})

    def _cpu(self) -> tuple[float, float]:
        return meter.cpu(self.peer.pids), meter.cpu(self.edge_pids)

    def memory(self) -> tuple[int, int]:
        """Bytes that the server and HAProxy hold now."""
        return meter.resident(self.peer.pids), meter.resident(self.edge_pids)


def _figures(told: Told) -> Row:
    names = (
        "live",
        "deliveries",
        "lost",
        "doubled",
        "closed",
        "refused",
        "p50",
        "p99",
        "p999",
        "max",
        "open_p50",
        "open_p99",
    )
    return {name: told[name] for name in (*names, "seconds")}
