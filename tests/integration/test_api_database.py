"""A primary and a replica that go, freeze, lag and come back, and what the API makes of it (G7)."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomysql
import pytest

from api.migrate import migrate
from api.pool import Pool
from api.rows import fetch_all, fetch_one
from api.settings import ApiSettings, Dsn
from tests.integration.api_support import (
    NOBODY,
    Answer,
    Api,
    Person,
    make_settings,
    mysql,
    running_api,
    settings,
    until,
)

__all__ = ["mysql", "settings"]

REPLICA, PRIMARY = "mysql-replica", "mysql"


@asynccontextmanager
async def admin(server: Any) -> AsyncIterator[Any]:
    dsn = Dsn.parse(next(value for name, value in server.env.items() if name.endswith("_ADMIN")))
    conn = await aiomysql.connect(dsn.host, dsn.user, dsn.password, dsn.database, dsn.port, autocommit=True)
    try:
        yield conn
    finally:
        conn.close()


@asynccontextmanager
async def frozen(server: Any) -> AsyncIterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def timed(api: Api, person: Person, method: str, path: str, body: object = None) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = await api.call(method, path, body, token=person.token)
    return answer, time.monotonic() - began


async def eventually(api: Api, person: Person, status: int, within: float = 10.0) -> None:
    """Posts until that is answered so."""
    end = time.monotonic() + within
    while (await api.post(person, "again")).status != status:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


async def test_every_connection_is_read_committed_strict_and_utc(settings: ApiSettings) -> None:
    async with Pool("primary", settings.mysql_primary) as pool, pool.connection(5) as conn:
        maria = "mariadb" in conn.get_server_info().lower()
        isolation = "@@tx_isolation" if maria else "@@transaction_isolation"
        row = await fetch_one(conn, f"SELECT {isolation}, @@time_zone, @@sql_mode, @@autocommit")

    assert row is not None
    assert (row[0], row[1], row[3]) == ("READ-COMMITTED", "+00:00", 1)
    assert "STRICT_ALL_TABLES" in row[2]


async def test_two_processes_that_start_at_once_migrate_once(settings: ApiSettings) -> None:
    async with Pool("primary", settings.mysql_primary) as one, Pool("primary", settings.mysql_primary) as other:
        await asyncio.gather(migrate(one), migrate(other), migrate(one), migrate(other))
        async with one.connection(5) as conn:
            assert await fetch_all(conn, "SELECT number FROM migrations") == [(1,)]
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
        await asyncio.sleep(0.3)
        async with replica.cursor() as cursor:
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


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_g7_with_the_primary_gone_reads_go_on_writes_say_try_again_at_once_and_all_is_well_when_it_is_back(
    settings: ApiSettings, mysql: dict[str, Any], how: str
) -> None:
    async with running_api(settings) as api:
        person = await api.person()
        assert (await api.post(person, "before")).status == 201
        await until(lambda: not api.parts.database.replica_is_late)
        async with away(mysql[PRIMARY], how):
            answer, took = await timed(api, person, "POST", "/v1/posts", {"text": "now"})
            assert (answer.status, answer.headers["Retry-After"], took < 7) == (503, "1", True)
            for _ in range(3):
                answer, took = await timed(api, person, "POST", "/v1/posts", {"text": "now"})
                assert (answer.status, answer.body["error"], took < 0.5) == (503, "unavailable", True)
            for path in ("/v1/me", "/v1/users", "/v1/friends"):
                assert (await api.call("GET", path, token=person.token)).status == 200, path
            ready = await api.call("GET", "/readyz")
            assert (ready.status, ready.body["primary"]) == (200, "down")
            # With Redis gone too nobody knows what was just written: a replica is better than nothing.
            async with running_api(settings.model_copy(update={"redis_url": f"redis://{NOBODY}/0"})) as blind:
                assert (await blind.call("GET", "/v1/me", token=person.token)).status == 200
        await eventually(api, person, 201)
        await until(lambda: api.publisher.events(person.id)[-1]["object"].get("text") == "again")


@asynccontextmanager
async def away(server: Any, how: str) -> AsyncIterator[None]:
    if how == "frozen":
        async with frozen(server):
            yield
    else:
        await server.kill()
        try:
            yield
        finally:
            await server.start()


async def test_g7_a_process_that_starts_before_its_servers_serves_when_they_come(
    settings: ApiSettings, mysql: dict[str, Any]
) -> None:
    await mysql[PRIMARY].kill()
    await mysql[REPLICA].kill()
    starting = asyncio.create_task(first_person(settings))
    await asyncio.sleep(1)
    assert not starting.done()
    await mysql[PRIMARY].start()
    await mysql[REPLICA].start()

    assert (await starting).id > 1


async def first_person(settings: ApiSettings) -> Person:
    async with running_api(settings) as api:
        return await api.person()


async def test_a_wrong_setting_ends_the_process_with_2_and_says_which(tmp_path: Path) -> None:
    good = make_settings(tmp_path)
    env = {
        "PATH": os.environ["PATH"],
        "MYSQL_PRIMARY": "postgres://x",
        "MYSQL_REPLICA": "mysql://u:hidden-word@h/d",
        "TOKEN_SIGNING_KEY": str(good.token_signing_key),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "api", env=env, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 2
    assert b"MYSQL_PRIMARY" in said
    assert b"EDGE_SECRET" in said
    assert b"hidden-word" not in said
    assert b"Traceback" not in said
