"""Whether MySQL still knows the numbers that it has given out: set back to a dump, it would give them out again.

The archive keeps the highest account and post it has ever known, and the newest event. What it has was committed before, so a
primary that lacks any of it has been set back, or was promoted without its last transactions. An archive that lags proves less.
"""

import asyncio
import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from api.database import Database
from api.errors import ApiError
from api.pool import DatabaseUnavailable, Pool
from api.rows import execute, fetch_one
from store.archive import Archive, ArchiveUnavailable
from store.highest import Highest

log = logging.getLogger(__name__)

_EVERY_SECONDS = 1.0  # also for a primary that another one takes the place of
_FIRST_WITHIN = 2.0  # seconds; an archive that does not answer keeps nobody from starting
_READ_SECONDS = 2.0
_AGAIN_SECONDS = 60  # when a client that was refused may ask again: a person has to do something first
_NEXT = re.compile(r"\bAUTO_INCREMENT=(\d+)")


@dataclass(frozen=True, slots=True)
class Given:
    """What the primary would give out next, and the greatest event id that it knows of one author: empty if none."""

    user: int
    post: int
    event: str


class Numbers:
    """Refuses every action once it is proven that numbers would be given out twice, until they would not."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database, self._archive = database, archive
        self.proof = ""  # in words; empty as long as there is none
        self.compared = asyncio.Event()  # or there was nothing to be had to compare with

    def ensure_new(self) -> None:
        """Raises ApiError 503 if what is given out now may have been given out before."""
        if self.proof:
            raise ApiError(503, "set-back", self.proof, retry_after=_AGAIN_SECONDS)

    async def watch(self) -> None:
        """Runs for ever: compares as soon as there are tables, and then every second. A server that is away proves nothing."""
        await self._database.migrated.wait()
        asyncio.get_running_loop().call_later(_FIRST_WITHIN, self.compared.set)
        while True:
            with suppress(ArchiveUnavailable, DatabaseUnavailable):
                await self.compare()
                self.compared.set()
            await asyncio.sleep(_EVERY_SECONDS)

    async def compare(self) -> None:
        """Once. Raises ArchiveUnavailable and DatabaseUnavailable, and then what was proven stays so."""
        # The archive first: all that it has by now was committed by then.
        state = await self._archive.log(lambda logbook: logbook.state())
        if state is None or state.highest is None:
            return
        proof = proof_of(state.highest, await select_given(self._database.primary, state.highest.author))
        if proof and proof != self.proof:
            log.critical("%s", proof)
        elif self.proof and not proof:
            log.warning("the numbers of MySQL are above those of the archive again: actions are taken")
        self.proof = proof


def proof_of(highest: Highest, given: Given) -> str:
    """Why these numbers would be, or were, given out twice; empty if nothing says so."""
    found = []
    if given.user <= highest.actor:
        found.append(
            f"it would give account {given.user} to somebody new, and the archive knows account {highest.actor}"
        )
    if given.post <= highest.post:
        found.append(f"it would make post {given.post}, and the archive knows post {highest.post}")
    if "" < given.event < highest.event:
        found.append(
            f"the newest event of account {highest.author} that it knows is {given.event}, and the archive knows {highest.event}"
        )
    if not found:
        return ""
    return (
        f"MySQL has been set back: {'; '.join(found)}. Nothing is written until `python -m api reconcile` has put its numbers"
        " above those of the archive (docs/restore.md)"
    )


async def select_given(primary: Pool, author: int) -> Given:
    """What the primary says of itself. Raises DatabaseUnavailable."""
    async with primary.connection(_READ_SECONDS) as conn:
        users, posts = await select_next(conn, "users"), await select_next(conn, "posts")
        row = await fetch_one(
            conn,
            "SELECT GREATEST(l.event_id, COALESCE(a.event_id, '')) FROM last_events l"
            " LEFT JOIN events_from_ahead a ON a.author = l.author WHERE l.author = %s",
            author,
        )
    # An account without such a row has left, or has done nothing since a version that kept none: that proves nothing.
    return Given(users, posts, row[0] if row else "")


async def select_next(conn: Any, table: str) -> int:
    """The number that the next row gets. Not the greatest that is there: its row may have been deleted.

    Of this statement, because what information_schema says of it may be a day old on MySQL.
    """
    row = await fetch_one(conn, f"SHOW CREATE TABLE {table}")
    found = _NEXT.search(row[1]) if row else None
    return int(found[1]) if found else 1


async def raise_next(conn: Any, table: str, least: int) -> int:
    """Sees to it that the next row gets no less than this. The number that it would have got."""
    found = await select_next(conn, table)
    if found < least:
        await execute(conn, f"ALTER TABLE {table} AUTO_INCREMENT = {least:d}")
    return found
