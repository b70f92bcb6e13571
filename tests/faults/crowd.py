"""A crowd in a running system, under whose feet servers are taken away: what was answered must arrive, once and in order."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx

from local.system import System
from tests.e2e.people import Person
from tests.faults.bare import Door, Reader
from tests.faults.deeds import Tally, now_as_events_have_it
from tests.faults.members import Member
from tests.faults.pages import Page, Reading, SocketReader

_OURS = ("haproxy", "api-1", "api-2", "stream-1", "stream-2", "storekeeper-1")
_MEMBERS, _SOCKETS, _FOLLOWEES = 10, 2, 3  # of each kind, steady and fickle
_PACE = (0.1, 0.4)  # seconds between two deeds of one member
_ALL_WITHIN = 60.0  # a bound, not a promise: what has not come by then will not come


@dataclass
class Recovery:
    """Seconds, from when what was gone was started again, until the last was refused, and all pages and all feeds were whole."""

    refused: float = 0.0
    pages: float = 0.0
    feeds: float = 0.0

    def __str__(self) -> str:
        return (
            f"last refused after {self.refused:.1f} s, pages whole after {self.pages:.1f}, feeds after {self.feeds:.1f}"
        )


@dataclass
class Crowd:
    """Its members act while `acting`; `settle` ends that and compares all pages and feeds with what was answered."""

    system: System
    members: list[Member]
    tally: Tally
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def acting(self) -> AsyncIterator[None]:
        """Everybody acts, from a new leaf on, until the end of the block and what they have begun is answered."""
        self.tally.answers.clear()
        self.tally.slowest, self.tally.longest, self.tally.last_refused, self.tally.stale = 0.0, 0.0, 0.0, 0
        now = now_as_events_have_it()
        for member in self.members:
            member.turn_over(now)
        self._stop.clear()
        async with asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(self._live(member))
            try:
                yield
            finally:
                self._stop.set()

    def fickleness(self, share: float = 0.15) -> None:
        """How many of the deeds are changes of mind about whom to follow, from now on."""
        for member in self.members:
            member.fickleness = share

    @contextmanager
    def nobody_of_us_restarts(self) -> Iterator[None]:
        """G7: the same processes before and after."""
        before = {name: self.system.processes[name].pid for name in _OURS}
        yield
        assert {name: self.system.processes[name].pid for name in _OURS} == before

    async def recover(self, over: float) -> Recovery:
        """Waits, while all go on, until what was answered before `over` (monotonic seconds) has arrived everywhere."""
        took = Recovery()

        async def on_pages() -> None:
            await _until(lambda: not any(member.lacks(over) for member in self.members))
            took.pages = time.monotonic() - over

        async def in_feeds() -> None:
            for member in self.members[:: len(self.members) // 3]:
                await self._feed_is_whole(member, over)
            took.feeds = time.monotonic() - over

        await asyncio.gather(on_pages(), in_feeds())
        took.refused = max(0.0, self.tally.last_refused - over)
        return took

    async def settle(self) -> None:
        """After `acting`: everything has arrived, once and in order, on every page and in every feed."""
        now = time.monotonic()
        await _until(lambda: not any(member.lacks(now) for member in self.members), quietly=True)
        orders = {member.id: member.order() for member in self.members}
        for member in self.members:
            missing = member.lacks(now)
            assert not missing, f"{len(missing)} of {len(member.due(now))} are missing on a page: {missing[:5]}"
            member.page.check(orders)
        for member in self.members:
            await self._feed_is_whole(member, now)
            await self._feed_is_right(member)

    async def _live(self, member: Member) -> None:
        while not self._stop.is_set():
            await member.act()
            await asyncio.sleep(random.uniform(*_PACE))

    async def _feed_is_whole(self, member: Member, before: float) -> None:
        deadline = time.monotonic() + _ALL_WITHIN
        while True:
            due = member.due_in_feed(before)
            shown = {("post", item["object"].get("text")) for item in await member.feed()}
            # What was taken back, or whose author was left, while the feed was read is due no more.
            if not (missing := (due & member.due_in_feed(before)) - shown):
                return
            assert time.monotonic() < deadline, f"{len(missing)} of {len(due)} are not in a feed: {sorted(missing)[:5]}"
            await asyncio.sleep(0.2)

    async def _feed_is_right(self, member: Member) -> None:
        """Once the storekeeper has come as far; until then a feed may still show whom the member left, or what was taken back."""
        deadline = time.monotonic() + _ALL_WITHIN
        while True:
            try:
                return member.check_feed(await member.feed())
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.2)


@asynccontextmanager
async def crowd_in(system: System) -> AsyncIterator[Crowd]:
    """Ten people with a page each, two of them by WebSocket; each follows three others all the time, and three now and then."""
    tally = Tally()
    async with AsyncExitStack() as stack:
        limits = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=20, limits=limits))
        people = [await Person.signed_up(system.address, client) for _ in range(_MEMBERS)]
        readers = [_reader(system, person, number < _SOCKETS) for number, person in enumerate(people)]
        members = [Member(person, Page(reader), tally) for person, reader in zip(people, readers, strict=True)]
        for member in members:
            others = random.sample([other for other in members if other is not member], 2 * _FOLLOWEES)
            member.steady, member.fickle = others[:_FOLLOWEES], others[_FOLLOWEES:]
            for other in member.steady:
                await member.follow(other)
        for reader in readers:
            await stack.enter_async_context(reader)
        await _until(lambda: all(reader.at for reader in readers))
        yield Crowd(system, members, tally)


def _reader(system: System, person: Person, by_socket: bool) -> Reading:
    if by_socket:
        return SocketReader(system.address, person.token)
    door = Door(system.address.replace("localhost", "127.0.0.1"), (("Authorization", f"Bearer {person.token}"),))
    return Reader(lambda: door)


async def _until(condition: Callable[[], bool], quietly: bool = False) -> None:
    deadline = time.monotonic() + _ALL_WITHIN
    while not condition():
        if time.monotonic() > deadline:
            assert quietly, f"not within {_ALL_WITHIN} s"
            return
        await asyncio.sleep(0.05)
