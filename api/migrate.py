"""Brings the tables to what this version expects, once, however many processes start at the same moment."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiomysql import ProgrammingError

from api.database import Database
from api.passwords import hash_now
from api.pool import DatabaseUnavailable, Pool
from api.rows import execute, fetch_all, fetch_one

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
JANITOR = 1
_LOCK_SECONDS = 30
_ANSWER_SECONDS = 10.0  # for what is short; a migration's own statement takes as long as it takes
# How long a statement waits for who uses its table. Whoever reads or writes that table meanwhile waits behind it: less than the
# 2 s of a read, so that they are late and not refused, and with a pause that grows before the next try.
_TABLE_SECONDS = 1
_SAY_SECONDS = 5.0
_AGAIN_SECONDS, _LONGEST_PAUSE = 0.5, 8.0
_PROBE_SECONDS = 0.5


async def look_after(database: Database) -> None:
    """Runs for ever: migrates as soon as the primary is there, then watches both servers.

    If only a replica is there, and has everything, that is enough to read.
    """
    pause = _AGAIN_SECONDS
    while not database.migrated.is_set():
        try:
            await migrate(database.primary)
            database.migrated.set()
        except DatabaseUnavailable as error:
            log.warning("the tables can't be seen to yet: %s", error)
            if await _is_migrated(database.replica):
                database.migrated.set()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE) if database.primary.up else _AGAIN_SECONDS
    await database.watch_replica()


async def migrate(primary: Pool) -> None:
    """Applies the migrations that are missing, in the order of their numbers, and makes user 1, `janitor`.

    Another process that does the same waits. A statement may take hours; it is said every few seconds which one is at work, and
    each is recorded when it is done, with its text, so that whoever comes next goes on behind it. Raises DatabaseUnavailable; what
    was done stays, and doing the statement again during which it broke off is right.
    """
    async with primary.connection(None, probe=True) as conn:
        try:
            await _migrate(primary, conn)
        finally:
            conn.close()  # the server gives the lock back; nobody else gets a session with these settings


async def _migrate(primary: Pool, conn: Any) -> None:
    async with primary.answering(_LOCK_SECONDS + _ANSWER_SECONDS):
        # That a table is there already is no news.
        await execute(conn, "SET SESSION lock_wait_timeout = %s, sql_notes = 0", _TABLE_SECONDS)
        lock = await fetch_one(conn, "SELECT GET_LOCK(CONCAT(DATABASE(), '.migrations'), %s)", _LOCK_SECONDS)
    if lock != (1,):
        raise DatabaseUnavailable("another process is migrating the tables")
    async with primary.answering(_ANSWER_SECONDS):
        for table in _TABLES:
            await execute(conn, table)
        applied, done = await select_applied(conn), await select_done(conn)
    for number, path in sorted(_wanted().items()):
        if number in applied:
            continue
        for place, statement in enumerate(statements(path.read_text()), start=1):
            if done.get((number, place)) == statement:
                continue
            async with _told(f"migration {path.stem}, statement {place}"):
                changed, _ = await execute(conn, statement)
            async with primary.answering(_ANSWER_SECONDS):
                await insert_done(conn, number, place, statement, changed)
        async with primary.answering(_ANSWER_SECONDS):
            await execute(conn, "INSERT INTO migrations VALUES (%s, %s, %s)", number, path.stem, datetime.now(UTC))
        log.info("applied migration %s", path.stem)
    async with primary.answering(_ANSWER_SECONDS):
        await insert_janitor(conn)


_TABLES = (
    "CREATE TABLE IF NOT EXISTS migrations (number INT NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL,"
    " applied_at DATETIME(3) NOT NULL) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4",
    "CREATE TABLE IF NOT EXISTS migration_statements (number INT NOT NULL, place INT NOT NULL, statement TEXT NOT NULL,"
    " changed BIGINT NOT NULL, done_at DATETIME(3) NOT NULL, PRIMARY KEY (number, place))"
    " ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4",
)


@asynccontextmanager
async def _told(what: str) -> AsyncIterator[None]:
    """Says every few seconds that this is still at work."""

    async def tell() -> None:
        for times in itertools.count(1):
            await asyncio.sleep(_SAY_SECONDS)
            log.info("%s is at work for %.0f s", what, times * _SAY_SECONDS)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


async def select_done(conn: Any) -> dict[tuple[int, int], str]:
    """The statements that were done: number of the migration and place in it -> text."""
    rows = await fetch_all(conn, "SELECT number, place, statement FROM migration_statements")
    return {(number, place): statement for number, place, statement in rows}


async def insert_done(conn: Any, number: int, place: int, statement: str, changed: int) -> None:
    """Records that a statement was done, and how many rows it changed; in the place of another text that stood there."""
    sql = "REPLACE INTO migration_statements VALUES (%s, %s, %s, %s, %s)"
    await execute(conn, sql, number, place, statement, changed, datetime.now(UTC))


async def select_applied(conn: Any) -> set[int]:
    """The numbers of the migrations that were done."""
    return {number for (number,) in await fetch_all(conn, "SELECT number FROM migrations")}


def _wanted() -> dict[int, Path]:
    return {int(path.stem.split("_", 1)[0]): path for path in MIGRATIONS.glob("*.sql")}


async def _is_migrated(server: Pool) -> bool:
    try:
        async with server.connection(_PROBE_SECONDS, probe=True) as conn:
            return _wanted().keys() <= await select_applied(conn)
    except (DatabaseUnavailable, ProgrammingError):  # it is gone too, or has no such table
        return False


def statements(script: str) -> list[str]:
    """The statements of a script: each ends with a semicolon at the end of a line; `--` starts a line of comment."""
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part.strip() for part in ("\n".join(lines) + "\n").split(";\n") if part.strip()]


async def insert_janitor(conn: Any) -> None:
    """User 1, whose password nobody knows, unless it is there."""
    if await fetch_one(conn, "SELECT id FROM users WHERE id = %s", JANITOR):
        return
    await execute(
        conn,
        "INSERT INTO users (id, username, password, created_at) VALUES (%s, 'janitor', %s, %s)",
        JANITOR,
        hash_now(secrets.token_urlsafe(48)),
        datetime.now(UTC),
    )
