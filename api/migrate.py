"""Brings the tables to what this version expects, once, however many processes start at the same moment."""

import asyncio
import logging
import secrets
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
_AGAIN_SECONDS = 0.5


async def look_after(database: Database) -> None:
    """Runs for ever: migrates as soon as the primary is there, then watches both servers.

    If only a replica is there, and has everything, that is enough to read.
    """
    while not database.migrated.is_set():
        try:
            await migrate(database.primary)
            database.migrated.set()
        except DatabaseUnavailable as error:
            log.warning("the tables can't be seen to yet: %s", error)
            if await _is_migrated(database.replica):
                database.migrated.set()
            await asyncio.sleep(_AGAIN_SECONDS)
    await database.watch_replica()


async def migrate(primary: Pool) -> None:
    """Applies the migrations that are missing, in the order of their numbers, and makes user 1, `janitor`.

    Another process that does the same waits. Raises DatabaseUnavailable; what was done stays, and doing it again is right.
    """
    async with primary.connection(_LOCK_SECONDS * 2, probe=True) as conn:
        lock = await fetch_one(conn, "SELECT GET_LOCK(CONCAT(DATABASE(), '.migrations'), %s)", _LOCK_SECONDS)
        if lock != (1,):
            raise DatabaseUnavailable("another process has been migrating the tables for too long")
        try:
            await _apply_missing(conn)
            await insert_janitor(conn)
        finally:
            if not conn.closed:
                await fetch_one(conn, "SELECT RELEASE_LOCK(CONCAT(DATABASE(), '.migrations'))")


async def _apply_missing(conn: Any) -> None:
    await execute(
        conn,
        "CREATE TABLE IF NOT EXISTS migrations (number INT NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL,"
        " applied_at DATETIME(3) NOT NULL) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4",
    )
    applied = await select_applied(conn)
    for number, path in sorted(_wanted().items()):
        if number in applied:
            continue
        for statement in statements(path.read_text()):
            await execute(conn, statement)
        await execute(conn, "INSERT INTO migrations VALUES (%s, %s, %s)", number, path.stem, datetime.now(UTC))
        log.info("applied migration %s", path.stem)


async def select_applied(conn: Any) -> set[int]:
    """The numbers of the migrations that were done."""
    return {number for (number,) in await fetch_all(conn, "SELECT number FROM migrations")}


def _wanted() -> dict[int, Path]:
    return {int(path.stem.split("_", 1)[0]): path for path in MIGRATIONS.glob("*.sql")}


async def _is_migrated(server: Pool) -> bool:
    try:
        async with server.connection(_AGAIN_SECONDS, probe=True) as conn:
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
