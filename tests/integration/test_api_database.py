"""Tables that are there once, and a replica that goes, freezes, lags and comes back (G7)."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

from api.migrate import MIGRATIONS, migrate
from api.pool import Pool
from api.rows import fetch_all, fetch_one
from api.settings import ApiSettings
from tests.integration.api_outages import PRIMARY, REPLICA, admin, admin_of, frozen, timed
from tests.integration.api_support import (
    running_api,
    settings,
    until,
)

__all__ = ["settings"]


async def test_every_connection_is_read_committed_strict_and_utc(settings: ApiSettings) -> None:
    async with Pool("primary", settings.mysql_primary) as pool, pool.connection(5) as conn:
        maria = "mariadb" in conn.get_server_info().lower()
        isolation = "@@tx_isolation" if maria else "@@transaction_isolation"
        row = await fetch_one(conn, f"SELECT {isolation}, @@time_zone, @@sql_mode, @@autocommit")

    assert row is not None
    assert (row[0], row[1], row[3]) == ("READ-COMMITTED", "+00:00", 1)
    assert "STRICT_ALL_TABLES" in row[2]


async def test_two_processes_that_start_at_once_on_an_empty_database_migrate_once(
    mysql: dict[str, Any],
) -> None:
    dsn = replace(admin_of(mysql[PRIMARY]), database=f"new_{uuid4().hex[:8]}")
    async with admin(mysql[PRIMARY]) as conn, conn.cursor() as cursor:
        await cursor.execute(f"CREATE DATABASE {dsn.database}")
    async with Pool("primary", dsn) as one, Pool("primary", dsn) as other:
        await asyncio.gather(migrate(one), migrate(other), migrate(one), migrate(other))
        async with one.connection(5) as conn:
            applied = await fetch_all(conn, "SELECT number FROM migrations ORDER BY number")
            assert applied == [(int(path.stem[:4]),) for path in sorted(MIGRATIONS.glob("*.sql"))]
            assert await fetch_all(conn, "SELECT id, username FROM users WHERE id = 1") == [(1, "janitor")]


async def test_people_read_what_they_have_just_written_however_late_the_replica_is(
    settings: ApiSettings, mysql: dict[str, Any]
) -> None:
    async with running_api(settings) as api, admin(mysql[REPLICA]) as replica:
        await until(lambda: not api.parts.database.replica_is_late)
        me, you = await api.person(), await api.person()
        try:
            async with replica.cursor() as cursor:
                await cursor.execute("STOP REPLICA SQL_THREAD")
            assert (await api.call("POST", f"/v1/friends/{you.id}", token=me.token)).status == 201
            listed = await api.call("GET", "/v1/friends", token=me.token)
            assert [one["id"] for one in listed.body["items"]] == [you.id]

            await until(lambda: api.parts.database.replica_is_late)
            late = await api.call("GET", "/readyz")
            assert (late.status, late.body["replica"]) == (200, "late")
        finally:
            async with replica.cursor() as cursor:
                await cursor.execute("START REPLICA SQL_THREAD")
        await until(lambda: not api.parts.database.replica_is_late)


async def test_reads_that_may_be_a_little_behind_do_go_to_the_replica(
    settings: ApiSettings, mysql: dict[str, Any]
) -> None:
    async with running_api(settings) as api, admin(mysql[REPLICA]) as replica:
        await until(lambda: not api.parts.database.replica_is_late)
        me, you = await api.person(), await api.person()
        await api.call("GET", "/v1/me", token=you.token)
        async with replica.cursor() as cursor:
            async with asyncio.timeout(10):
                while not await cursor.execute("SELECT id FROM users WHERE id = %s", (you.id,)):
                    await asyncio.sleep(0.01)
            await cursor.execute("SET GLOBAL read_only = OFF")
            await cursor.execute("SET sql_log_bin = 0")
            await cursor.execute("UPDATE users SET gender = 'x' WHERE id = %s", (me.id,))
            await cursor.execute("SET GLOBAL read_only = ON")

        assert (await api.call("GET", f"/v1/users/{me.id}", token=you.token)).body["gender"] == "x"


async def test_with_the_replica_gone_or_frozen_reads_go_on_at_the_primary_and_back_by_themselves(
    settings: ApiSettings, mysql: dict[str, Any]
) -> None:
    async with running_api(settings) as api:
        person = await api.person()
        await until(lambda: not api.parts.database.replica_is_late)
        await mysql[REPLICA].kill()
        for _ in range(5):
            answer, took = await timed(api, person, "GET", "/v1/me")
            assert (answer.status, took < 1) == (200, True)
        await mysql[REPLICA].start()
        await until(lambda: api.parts.database.replica.up and not api.parts.database.replica_is_late)

        async with frozen(mysql[REPLICA]):
            answer, took = await timed(api, person, "GET", "/v1/me")
            assert (answer.status, took < 3.5) == (200, True)
            await until(lambda: not api.parts.database.replica.up)
            for _ in range(5):
                answer, took = await timed(api, person, "GET", "/v1/me")
                assert (answer.status, took < 0.5) == (200, True)
        await until(lambda: api.parts.database.replica.up and not api.parts.database.replica_is_late)
