"""Takes out what is over: expired sessions and refresh tokens, keys of posts, and what is left of accounts that are gone."""

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime

from api.database import Database
from api.departures import delete_departed
from api.pool import DatabaseUnavailable
from api.post_keys import delete_old_keys
from api.session_rows import delete_expired_sessions, delete_expired_tokens

_EVERY_SECONDS = 60.0
_AT_ONCE = 1000  # rows of each kind in one transaction: short enough to be in nobody's way
_WITHIN_SECONDS = 10.0


async def tidy(database: Database) -> None:
    """Runs for ever: about once a minute, spread over the processes."""
    await database.migrated.wait()
    while True:
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
        with suppress(DatabaseUnavailable):
            while await _some(database):
                pass  # each round waits for MySQL


async def _some(database: Database) -> int:
    async with database.primary.connection(_WITHIN_SECONDS) as conn:
        now = datetime.now(UTC)
        gone = [
            await delete(conn, now, _AT_ONCE)
            for delete in (delete_expired_tokens, delete_expired_sessions, delete_old_keys, delete_departed)
        ]
        return sum(gone)
