"""`python -m api reconcile`: puts the numbers of a MySQL that was set back above those that the archive knows.

Whom people follow is taken from the archive where that has a pair's later word: else the pair's next word would count for nothing.
Accounts that have left since the dump leave again. Accounts and posts that are lost are not made anew.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import KafkaError

from api.departures import insert_departure
from api.migrate import migrate
from api.numbers import raise_next
from api.pool import DatabaseUnavailable, Pool
from api.rows import execute, fetch_all, marks
from api.settings import ApiSettings
from store.archive import Archive, ArchiveUnavailable, open_archive
from store.events import FollowChange
from store.rebuild import log_bounds
from store.topic import ensure_topics

Say = Callable[[str], None]

_AT_ONCE = 500  # pairs or people in one statement
_SECONDS = 60.0  # for one statement of those
_STANDS_STILL = 30  # seconds without progress after which no storekeeper is taken to run


class CannotReconcile(Exception):
    """The text says why, and the remedy. What was done until then stays, and the command may be given again."""


async def reconcile(settings: ApiSettings, say: Say) -> None:
    """Says what it does. Waits for Kafka as long as it takes. Raises CannotReconcile."""
    try:
        async with open_archive(settings) as archive, Pool("primary", settings.mysql_primary) as primary:
            await _until_whole(settings, archive, say)
            await migrate(primary)
            await _raise(primary, archive, say)
            changed = await _take_follows(primary, archive)
            say(
                "whom people follow is as the archive has it"
                if changed
                else "whom people follow was as the archive has it"
            )
            say(f"{await _depart_again(primary, archive)} accounts that had left before have left again")
    except (ArchiveUnavailable, DatabaseUnavailable, KafkaError, TimeoutError) as error:
        raise CannotReconcile(f"{error or 'Kafka has stopped answering'}; type the same command again") from error
    say("done: every API takes actions again within a second")


async def _until_whole(settings: ApiSettings, archive: Archive, say: Say) -> None:
    """Returns when the archive has everything that Kafka has: what is still to come has numbers too."""
    topic = await ensure_topics(settings)
    _, ends = await log_bounds(settings, topic)
    least, stood = -1, 0
    while True:
        at = await archive.progress()
        if at.epoch != topic.epoch:
            raise CannotReconcile(
                f"the archive is of another topic than {topic.name}: start a storekeeper, and type this again"
            )
        lacking = sum(max(0, end - at.offsets[partition]) for partition, end in ends.items())
        if not lacking:
            return
        stood = stood + 1 if lacking == least else 0
        if stood > _STANDS_STILL:
            raise CannotReconcile(
                f"the archive is {lacking} records behind Kafka and comes no nearer: start a storekeeper, and type this again"
            )
        least = lacking
        say(f"the archive is {lacking} records behind Kafka: waiting for it")
        await asyncio.sleep(1)


async def _raise(primary: Pool, archive: Archive, say: Say) -> None:
    state = await archive.log(lambda logbook: logbook.state())
    if state is None or state.highest is None:
        raise CannotReconcile("the archive knows of no numbers: start a storekeeper, and type this again")
    highest = state.highest
    async with primary.connection(_SECONDS) as conn:
        for table, known in (("users", highest.actor), ("posts", highest.post)):
            was = await raise_next(conn, table, known + 1)
            say(f"{table}: the next number was {was}, the archive knows {known}: it is {max(was, known + 1)}")
        await execute(
            conn,
            "UPDATE last_events SET event_id = GREATEST(event_id, %s) WHERE author = %s",
            highest.event,
            highest.author,
        )


async def _take_follows(primary: Pool, archive: Archive) -> int:
    """Pairs of which the archive has a later word, if both people are here. 0 if there were none."""
    changed, after = 0, ""
    while pairs := await archive.follows_after(after, _AT_ONCE):
        after = pairs[-1][0]
        changes = [change for _, change in pairs]
        async with primary.connection(_SECONDS) as conn:
            here = await select_here(conn, {uid for one in changes for uid in (one.follower, one.followee)})
            known = [one for one in changes if one.follower in here and one.followee in here]
            changed += await upsert_newer(conn, known)
    return changed


async def _depart_again(primary: Pool, archive: Archive) -> int:
    left, after = 0, ""
    while people := await archive.departed_after(after, _AT_ONCE):
        after = people[-1][0]
        async with primary.connection(_SECONDS) as conn:
            here = await select_here(conn, {uid for _, uid in people})
            for uid in here:
                await conn.begin()
                await insert_departure(conn, uid, datetime.now(UTC))
                await conn.commit()
            left += len(here)
    return left


async def select_here(conn: Any, uids: Iterable[int]) -> set[int]:
    """Those of the people who have an account."""
    wanted = sorted(uids)
    if not wanted:
        return set()
    rows = await fetch_all(conn, f"SELECT id FROM users WHERE id IN {marks(wanted)}", *wanted)  # noqa: S608
    return {uid for (uid,) in rows}


async def upsert_newer(conn: Any, changes: list[FollowChange]) -> int:
    """Makes each pair what the change says, if that is later than what is known of it.

    What the server counts: one for each pair that is new, two for each that was changed.
    """
    if not changes:
        return 0
    values = [value for one in changes for value in (one.follower, one.followee, one.seq, one.on)]
    rows = ", ".join(["(%s, %s, %s, %s)"] * len(changes))
    changed, _ = await execute(
        conn,
        f"INSERT INTO friends (follower, followee, seq, is_on) VALUES {rows}"  # noqa: S608
        " ON DUPLICATE KEY UPDATE is_on = IF(VALUES(seq) > seq, VALUES(is_on), is_on), seq = GREATEST(seq, VALUES(seq))",
        *values,
    )
    return changed
