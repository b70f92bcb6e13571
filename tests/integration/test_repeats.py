"""What is repeated is right also after what came later: records that stand twice in the log, and batches that are done twice."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from local.process import Process
from store.archive import Archive, open_archive
from store.events import TAKES_BACK, Arrival, EventType, decode
from store.feed import Feed
from store.logbook import Turn
from store.sessions import Sessions
from store.storekeeper import Storekeeper
from store.timelines import open_redis
from store.topic import Topic
from store.warming import Warming
from tests.integration.conftest import settings_of
from tests.integration.test_storekeeper import METERS
from tests.unit.logs import EPOCH, arrival

PEOPLE = (1, 2, 3, 4)


@dataclass
class Truth:
    """What there is to be, whatever stands twice: each record counts where it stood first."""

    events: dict[str, Arrival] = field(default_factory=dict)
    deleted: set[tuple[int, object]] = field(default_factory=set)
    follows: dict[tuple[int, int], tuple[int, bool]] = field(default_factory=dict)
    departed: set[int] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)

    def take(self, one: Arrival) -> None:
        self.events.setdefault(one.id, one)
        if one.type is EventType.POST_DELETED:
            self.deleted.add((one.actor, post_of(one)))
        elif one.type is EventType.ACCOUNT_DELETED:
            self.departed.add(one.actor)
        elif one.type is EventType.LOGOUT and one.sid:
            self.ended.add(one.sid)
        if one.change and one.change.seq > self.follows.get((one.actor, one.change.followee), (0, False))[0]:
            self.follows[one.actor, one.change.followee] = (one.change.seq, one.change.on)

    def feed(self, uid: int) -> list[str]:
        authors = {uid}
        if uid not in self.departed:
            authors |= {followee for (follower, followee), (_, on) in self.follows.items() if follower == uid and on}
        return sorted(
            (
                one.id
                for one in self.events.values()
                if one.actor in authors - self.departed
                and one.type not in TAKES_BACK
                and not (one.type is EventType.POST and (one.actor, post_of(one)) in self.deleted)
            ),
            reverse=True,
        )


def post_of(one: Arrival) -> object:
    return decode(one.value)["object"].get("id")  # type: ignore[attr-defined]


class OneTurn:
    def __init__(self) -> None:
        self.mine = {0: Turn(0, 1)}

    async def is_whole(self) -> bool:
        return True

    async def are_ours(self, partitions: Iterable[int]) -> list[int]:
        return list(partitions)


def log_of(random: Random, count: int) -> list[Arrival]:
    """So many records, of which a third stood in the log before."""
    log: list[Arrival] = []
    seqs: dict[tuple[int, int], int] = {}
    posts: list[tuple[int, int]] = []
    here = list(PEOPLE)
    while len(log) < count:
        author, other = random.sample(PEOPLE, 2)
        deed = random.choice(("again", "again", "post", "post", "delete", "turn", "turn", "logout", "leave"))
        at = len(log)
        if deed == "again" and log:
            log.append(replace(random.choice(log), offset=at))
        elif author not in here:
            continue
        elif deed == "delete" and (own := [post for by, post in posts if by == author]):
            log.append(arrival(0, at, author, EventType.POST_DELETED, id=own[-1]))
            posts.remove((author, own[-1]))
        elif deed == "turn":
            seq = seqs[author, other] = seqs.get((author, other), 0) + 1
            type = EventType.FOLLOW if seq % 2 else EventType.UNFOLLOW
            log.append(arrival(0, at, author, type, id=other, username="x", seq=seq))
        elif deed == "logout":
            log.append(arrival(0, at, author, EventType.LOGOUT, sid=f"{uuid4()}"))
        elif deed == "leave" and random.random() < 0.3:
            log.append(arrival(0, at, author, EventType.ACCOUNT_DELETED))
            here.remove(author)
        elif deed == "post":
            log.append(arrival(0, at, author, id=at + 1, text="x"))
            posts.append((author, at + 1))
    return log


@pytest.mark.timeout(400)
@given(seed=st.integers(0, 2**32), count=st.integers(2, 24))
@examples(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
async def test_what_stands_twice_in_the_log_counts_once_warm_and_cold(
    mongo: Process, redis: Process, seed: int, count: int
) -> None:
    random, truth = Random(seed), Truth()
    # The topic is named anew: nothing is there of another example.
    settings = settings_of({"mongo_database": f"test-{uuid4().hex[:8]}", "kafka_servers": "nowhere:1"}, mongo, redis)
    async with open_archive(settings) as archive, open_redis(settings) as client:
        await client.flushdb()
        await archive.log(lambda logbook: logbook.begin(EPOCH, {0: 0}, {0: 0}))
        feed, turns = Feed(client, archive), OneTurn()
        warming = Warming(client, archive, Topic("x", 1, EPOCH), _at_once)
        keeper = Storekeeper(settings, METERS)
        keeper._archive = archive
        await warming.look_after(turns)  # type: ignore[arg-type]
        rest = log_of(random, count)
        while rest:
            size = random.randint(1, 4)
            batch, rest = rest[:size], rest[size:]
            span = {0: (batch[0].offset, batch[-1].offset + 1)}
            for one in batch:
                truth.take(one)
            for _ in range(random.randint(1, 2)):  # it may be killed before it says that it is done
                await keeper._into_archive(EPOCH, batch)
                await warming.tell(batch, span, turns)  # type: ignore[arg-type]
            assert await archive.log(lambda logbook: logbook.advance(EPOCH, span))  # noqa: B023
            turns.mine[0].next = span[0][1]

            # Who has left may still be among the followers of somebody, with a feed that nobody can read.
            readers = [uid for uid in PEOPLE if uid not in truth.departed]
            seen = {uid: (await feed.page(uid, None, 100)).ids for uid in readers}
            assert seen == {uid: truth.feed(uid) for uid in readers}, "warm"
            assert await cold(archive, readers) == seen, "cold"
        assert all([(await archive.is_ended(1, sid)).regardless("an end is final") for sid in truth.ended])
        assert all([await Sessions(client).is_ended(1, sid) for sid in truth.ended])
        assert all([(await archive.is_ended(uid, "any")).regardless("an end is final") for uid in truth.departed])


async def _at_once(step: Any) -> Any:
    return await step()


async def cold(archive: Archive, readers: Iterable[int]) -> dict[int, list[str]]:
    """The same pages out of the archive alone."""
    pages = {}
    for uid in readers:
        authors = [uid, *(await archive.following(uid)).regardless("a test looks")]
        pages[uid] = [one.id for one in (await archive.newest(authors, None, 100)).regardless("a test looks")]
    return pages
