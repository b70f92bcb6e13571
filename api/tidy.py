"""Takes out what is over: expired sessions and refresh tokens, keys of posts, and what is left of accounts that are gone."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec

from api.database import Database
from api.departures import delete_departed, select_departures
from api.pool import DatabaseUnavailable
from api.post_keys import delete_old_keys
from api.rows import fetch_one
from api.session_rows import delete_expired_sessions, delete_expired_tokens

log = logging.getLogger(__name__)

P = ParamSpec("P")

_EVERY_SECONDS = 60.0
_AT_ONCE = 1000  # rows of each kind in one transaction: short enough to be in nobody's way
_ACCOUNTS = 100  # read at once
# For the `_AT_ONCE` rows of each kind of one account, or of one kind: a hundred times what they take. Whatever takes longer is left
# for the next time, so that nothing else waits for it.
_WITHIN_SECONDS = 10.0


async def tidy(database: Database) -> None:
    """Runs for ever: about once a minute, spread over the processes."""
    await database.migrated.wait()
    while True:
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            await tidy_up(database)
        except DatabaseUnavailable as error:
            log.warning("not tidied up to the end: %s", error)


async def tidy_up(database: Database) -> None:
    """Goes on while anything goes; what takes too long or fails is said, and stops nothing else. Raises DatabaseUnavailable."""
    for delete in (delete_expired_tokens, delete_expired_sessions, delete_old_keys):
        while await _some(database, delete):
            pass  # each time waits for MySQL
    while await _some_of_each_departure(database):
        pass


async def _some_of_each_departure(database: Database) -> int:
    """How many rows went. Each account in its turn, so that nobody's rows wait for the millions of another."""
    gone, after = 0, 0
    while departures := await database.read_primary(select_departures, after, _ACCOUNTS):
        for departure in departures:
            gone += await _some(database, delete_departed, departure)
        after = departures[-1].uid
    return gone


async def _some(
    database: Database,
    delete: Callable[Concatenate[Any, datetime, int, P], Awaitable[int]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> int:
    """How many rows went. Raises DatabaseUnavailable when the primary is away."""
    try:
        # Around the connection, not within: that this was slow says nothing about the server, which requests go on to use.
        async with asyncio.timeout(_WITHIN_SECONDS), database.primary.connection(None) as conn:
            return await delete(conn, await select_now(conn), _AT_ONCE, *args, **kwargs)
    except (DatabaseUnavailable, TimeoutError) as error:
        if not database.primary.up:
            raise DatabaseUnavailable(str(error)) from error
        log.warning("%s%s is left for the next time: %r", delete.__name__, args, error)
        return 0


async def select_now(conn: Any) -> datetime:
    """The database's time: a host whose clock is ahead must not take out what still counts."""
    row = await fetch_one(conn, "SELECT UTC_TIMESTAMP(3)")
    assert row
    return row[0].replace(tzinfo=UTC)  # type: ignore[no-any-return]
