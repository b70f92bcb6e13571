"""The minute's tidying on a real primary: all that is over goes, and nothing that is slow holds up anything else."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest

from api import tidy
from api.database import Database
from api.departures import Departure, delete_departed
from api.pool import DatabaseUnavailable
from api.rows import execute, fetch_one
from api.tidy import select_now, tidy_up
from store.timelines import Wrote, open_redis
from tests.integration.api_support import Api, api, make_settings, settings

__all__ = ["api", "settings"]

FIRST = 5_000_000_000  # above the ids of all who sign up


@pytest.fixture
async def gone(api: Api) -> AsyncIterator[range]:
    """250 accounts, all deleted at the same moment, each with a post and a session that has a token."""
    uids = range(FIRST, FIRST + 250)
    async with api.parts.database.primary.connection(30) as conn:
        now = await select_now(conn)
        for uid in uids:
            sid = str(uuid4())
            await execute(conn, "INSERT INTO departures VALUES (%s, %s)", uid, now)
            await execute(conn, "INSERT INTO posts (author, text, created_at) VALUES (%s, 'x', %s)", uid, now)
            later = now + timedelta(days=30)
            await execute(conn, "INSERT INTO sessions VALUES (%s, %s, %s, %s, NULL)", sid, uid, now, later)
            sql = "INSERT INTO refresh_tokens VALUES (UNHEX(SHA2(%s, 256)), %s, %s, NULL)"
            await execute(conn, sql, sid, sid, later)
    yield uids
    # Another connection: MySQL ends those that say nothing for some seconds.
    async with api.parts.database.primary.connection(30) as conn:
        for table, column in (("departures", "user_id"), ("posts", "author"), ("sessions", "user_id")):
            await execute(conn, f"DELETE FROM {table} WHERE {column} >= %s", FIRST)  # noqa: S608
        await execute(conn, "DELETE FROM refresh_tokens WHERE session_id NOT IN (SELECT id FROM sessions)")


async def left(api: Api) -> dict[str, int]:
    counts: dict[str, Any] = {}
    async with api.parts.database.primary.connection(30) as conn:
        for table, column in (("departures", "user_id"), ("posts", "author"), ("sessions", "user_id")):
            counts[table] = await fetch_one(conn, f"SELECT COUNT(*) FROM {table} WHERE {column} >= %s", FIRST)  # noqa: S608
        counts["refresh_tokens"] = await fetch_one(
            conn,
            "SELECT COUNT(*) FROM refresh_tokens WHERE session_id NOT IN (SELECT id FROM sessions WHERE user_id < %s)",
            FIRST,
        )
    return {table: count[0] for table, count in counts.items() if count[0]}


async def test_all_accounts_that_were_deleted_together_are_cleared_in_one_round_and_forgotten_when_they_have_settled(
    api: Api, gone: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "_ACCOUNTS", 20)
    await tidy_up(api.parts.database)
    assert await left(api) == {"departures": len(gone)}
    async with api.parts.database.primary.connection(30) as conn:
        await execute(conn, "UPDATE departures SET at = at - INTERVAL 1 HOUR WHERE user_id >= %s", FIRST)
    await tidy_up(api.parts.database)

    assert await left(api) == {}


async def test_an_account_that_takes_too_long_holds_up_no_other_and_no_request(
    api: Api, gone: range, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slow, up = {gone[0], gone[7]}, []

    async def delete(conn: Any, now: datetime, limit: int, departure: Departure) -> int:
        if departure.uid in slow:
            await fetch_one(conn, "SELECT SLEEP(30)")
        up.append(api.parts.database.primary.up)
        return await delete_departed(conn, now, limit, departure)

    monkeypatch.setattr(tidy, "delete_departed", delete)
    monkeypatch.setattr(tidy, "_WITHIN_SECONDS", 0.5)
    await tidy_up(api.parts.database)

    assert await left(api) == {"departures": len(gone), "posts": 2, "sessions": 2, "refresh_tokens": 2}
    assert all(up)
    assert str(gone[7]) in caplog.text
    assert (await api.post(await api.person(), "a request")).status == 201


async def test_when_the_primary_is_away_a_round_ends_at_once_and_says_so(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with open_redis(settings) as redis, Database(settings, Wrote(redis)) as database:
        async with asyncio.timeout(20):
            with pytest.raises(DatabaseUnavailable):
                await tidy_up(database)


class NextYear(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(days=365)


async def test_a_host_whose_clock_is_ahead_takes_out_nothing_that_counts(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await api.person()
    monkeypatch.setattr(tidy, "datetime", NextYear)
    await tidy_up(api.parts.database)

    assert (await api.call("GET", "/v1/me", token=person.token)).status == 200
    assert (await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})).status == 200
