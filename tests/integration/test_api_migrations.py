"""Migrations take as long as they take, are recorded statement by statement, and go on where they broke off."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api import migrate as migrating
from api.migrate import migrate, statements
from api.pool import DatabaseUnavailable, Pool
from api.rows import fetch_all, fetch_one
from api.settings import Dsn
from tests.integration.api_outages import PRIMARY, admin, admin_of

_NUMBER = 9000  # behind every real one


@pytest.fixture
async def empty(mysql: dict[str, Any]) -> AsyncIterator[Dsn]:
    """A database in which nothing is."""
    dsn = replace(admin_of(mysql[PRIMARY]), database=f"new_{uuid4().hex[:8]}")
    async with admin(mysql[PRIMARY]) as conn, conn.cursor() as cursor:
        await cursor.execute(f"CREATE DATABASE {dsn.database}")
        yield dsn
        await cursor.execute(f"DROP DATABASE {dsn.database}")


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the migrations, with room for more."""
    for path in migrating.MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(migrating, "MIGRATIONS", tmp_path)
    return tmp_path


async def test_a_statement_that_takes_longer_than_every_bound_is_done_once_said_and_recorded_with_what_it_did(
    empty: Dsn, ours: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sql = "INSERT INTO last_events SELECT SLEEP(3) + 1, 'x'"
    (ours / f"{_NUMBER}_slow.sql").write_text(f"-- Stands for an ALTER of a large table.\n{sql};\n")
    monkeypatch.setattr(migrating, "_ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(migrating, "_LOCK_SECONDS", 1)
    monkeypatch.setattr(migrating, "_SAY_SECONDS", 0.5)
    caplog.set_level(logging.INFO, "api.migrate")
    async with Pool("primary", empty) as pool:
        await migrate(pool)
        await migrate(pool)
        async with pool.connection(5) as conn:
            assert await fetch_all(conn, "SELECT author FROM last_events") == [(1,)]
            assert await fetch_one(conn, "SELECT name FROM migrations WHERE number = %s", _NUMBER) == (
                f"{_NUMBER}_slow",
            )
            done = await fetch_all(
                conn, "SELECT place, statement, changed FROM migration_statements WHERE number = %s", _NUMBER
            )

    assert done == [(1, sql, 1)]
    assert f"migration {_NUMBER}_slow, statement 1 is at work" in caplog.text


async def test_what_was_done_before_it_broke_off_is_not_done_again_and_a_text_that_was_mended_is(
    empty: Dsn, ours: Path
) -> None:
    path = ours / f"{_NUMBER}_two.sql"
    first = "INSERT INTO last_events (author, event_id) SELECT COUNT(*) + 1, 'x' FROM last_events AS before_it"
    path.write_text(f"{first};\nSELECT no_such_column FROM users;\n")
    async with Pool("primary", empty) as pool:
        for _ in range(2):
            with pytest.raises(Exception, match="no_such_column"):
                await migrate(pool)
        path.write_text(f"{first};\nUPDATE last_events SET event_id = 'y';\n")
        await migrate(pool)
        async with pool.connection(5) as conn:
            assert await fetch_all(conn, "SELECT author, event_id FROM last_events") == [(1, "y")]


async def test_who_reads_a_table_is_not_kept_waiting_behind_a_migration_that_waits_for_it(
    empty: Dsn, ours: Path, mysql: dict[str, Any]
) -> None:
    async with Pool("primary", empty) as pool, admin(mysql[PRIMARY]) as busy, busy.cursor() as cursor:
        await migrate(pool)
        (ours / f"{_NUMBER}_alter.sql").write_text("ALTER TABLE last_events ADD COLUMN more INT NULL;\n")
        await busy.begin()  # the table is somebody's until their transaction ends
        await cursor.execute(f"SELECT * FROM {empty.database}.last_events")  # noqa: S608
        waiting = asyncio.create_task(migrate(pool))
        async with asyncio.timeout(30), pool.connection(None, probe=True) as conn:
            while not await is_waiting_for_table(conn):
                await asyncio.sleep(0.01)
            await fetch_all(conn, "SELECT * FROM last_events")
        with pytest.raises(DatabaseUnavailable, match="1205"):
            await waiting
        await busy.rollback()
        await migrate(pool)
        async with pool.connection(5) as conn:
            assert await fetch_all(conn, "SELECT more FROM last_events") == []


async def test_no_session_with_the_settings_of_a_migration_is_given_to_a_request(empty: Dsn) -> None:
    async with Pool("primary", empty) as pool:
        async with pool.connection(5) as conn:
            before = await fetch_one(conn, "SELECT @@lock_wait_timeout, @@sql_notes")
        await migrate(pool)
        async with pool.connection(5) as conn:
            assert await fetch_one(conn, "SELECT @@lock_wait_timeout, @@sql_notes") == before


async def is_waiting_for_table(conn: Any) -> bool:
    state = "Waiting for table metadata lock"
    return bool(await fetch_one(conn, "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = %s", state))


def test_every_statement_of_ours_says_that_it_may_be_run_again() -> None:
    """Between a statement and its record a process may end: the next one runs it again."""
    for path in migrating.MIGRATIONS.glob("*.sql"):
        for statement in statements(path.read_text()):
            created = statement.startswith("CREATE TABLE")
            assert not created or statement.startswith("CREATE TABLE IF NOT EXISTS"), (path.name, statement)
