"""Takes out sessions and refresh tokens that expired by themselves."""

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime

from api.database import Database
from api.pool import DatabaseUnavailable
from api.session_rows import delete_expired_sessions

_EVERY_SECONDS = 3600.0
_AT_ONCE = 1000  # rows of each kind in one transaction: short enough to be in nobody's way
_WITHIN_SECONDS = 10.0


async def tidy(database: Database) -> None:
    """Runs for ever: about once an hour, spread over the processes."""
    while True:
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
        with suppress(DatabaseUnavailable):
            while await _some(database) >= _AT_ONCE:
                pass  # each round waits for MySQL


async def _some(database: Database) -> int:
    async with database.primary.connection(_WITHIN_SECONDS) as conn:
        return await delete_expired_sessions(conn, datetime.now(UTC), _AT_ONCE)
