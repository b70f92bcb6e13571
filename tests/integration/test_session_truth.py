"""What may be believed of a session: a weaker source's word never stands where a stronger one's is looked for (G5, G8)."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import jwt
import pytest
from redis.asyncio import Redis

from api.migrate import migrate
from api.pool import DatabaseUnavailable, Pool
from api.rows import execute, fetch_one
from api.settings import ApiSettings
from store.archive import Archive
from store.as_of import AsOf
from store.cursor import Cursor
from store.feed import Feed
from store.logbook import Turn
from store.sessions import Sessions
from store.teller import Teller
from store.timelines import open_redis
from stream.hub import Hub
from stream.node import Node
from stream.ring import Ring
from stream.settings import StreamSettings
from tests.integration.api_outages import PRIMARY, admin, admin_of
from tests.integration.api_support import PASSWORD, Answer, Api, Person, running_api, settings
from tests.unit.logs import EPOCH

__all__ = ["settings"]


class BehindArchive:
    """An archive that no sign-out has reached: Kafka is away."""

    async def is_ended(self, _uid: int, _sid: str) -> AsOf[bool, Cursor]:
        return AsOf(False, Cursor(EPOCH, (0,)), "the archive")


@pytest.fixture
async def redis_client(settings: ApiSettings) -> AsyncIterator["Redis"]:
    async with open_redis(settings) as client:
        yield client


def node_on(client: "Redis") -> Node:
    """A node that has read nothing of the log yet."""
    told = StreamSettings.model_validate({"edge_secret": "x" * 20, "token_keys": Path("/nowhere")})
    node = Node(told, cast("Feed", None), cast("Archive", BehindArchive()), Sessions(client))
    node.ring = Ring(EPOCH, [0], seconds=600, max_bytes=10**6)
    node.hub = Hub(node.ring)
    return node


def sid_of(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["sid"])


async def me(api: Api, token: str) -> Answer:
    return await api.call("GET", "/v1/me", token=token)


async def test_g8_what_a_node_was_told_by_the_archive_is_not_what_the_api_believes(
    settings: ApiSettings, redis_client: "Redis"
) -> None:
    async with running_api(settings, outbox=False) as api:
        person = await api.person()
        assert (await api.call("POST", "/v1/auth/sign-out", token=person.token)).status == 204
        await redis_client.flushdb()
        uid, sid = person.id, sid_of(person.token)
        assert not await node_on(redis_client).has_ended(uid, sid, int(time.time()) + 60)

        assert (await me(api, person.token)).body["error"] == "session-ended"


async def test_g8_what_the_api_was_told_by_the_primary_does_not_outlive_the_end(
    settings: ApiSettings, redis_client: "Redis"
) -> None:
    async with running_api(settings) as api:
        person = await api.person()
        assert (await me(api, person.token)).status == 200
        assert (await api.call("POST", "/v1/auth/sign-out", token=person.token)).status == 204
        # Redis is short of memory and drops what it was asked for least.
        await redis_client.delete(f"session:{sid_of(person.token)}")

        assert (await me(api, person.token)).body["error"] == "session-ended"


async def test_g5_a_new_generation_forgets_who_lives_and_never_who_has_ended(redis_client: "Redis") -> None:
    await redis_client.flushdb()
    teller = Teller(redis_client, "0badcafe", 1)
    await teller.claim({0: Turn(10, 1)})
    sessions, primary = Sessions(redis_client), Sessions(redis_client, "primary")
    ended, alive, until_then = str(uuid4()), str(uuid4()), int(time.time()) + 60
    await sessions.mark_ended(ended, until_then)
    await sessions.mark_all_ended(8, until_then)
    for told in (sessions, primary):
        await told.remember(alive, False, until_then)
        assert await told.is_ended(7, alive) is False

    await teller.claim({0: Turn(500, 1)})  # Redis has missed a batch

    for told in (sessions, primary):
        assert await told.is_ended(7, ended) is True
        assert await told.is_ended(8, alive) is True
        assert await told.is_ended(7, alive) is None


@pytest.fixture
async def late(settings: ApiSettings, mysql: dict[str, Any]) -> AsyncIterator[Api]:
    """An API whose replica has the tables and no rows yet."""
    late = replace(admin_of(mysql[PRIMARY]), database=f"late_{uuid4().hex[:8]}")
    async with admin(mysql[PRIMARY]) as conn, conn.cursor() as cursor:
        await cursor.execute(f"CREATE DATABASE {late.database}")
    async with Pool("replica", late) as pool:
        await migrate(pool)
    async with running_api(settings.model_copy(update={"mysql_replica": late})) as api:
        yield api


def without_primary(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def connection(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("planted")

    monkeypatch.setattr(api.parts.database.primary, "connection", connection)


async def test_g7_a_session_that_the_replica_does_not_know_yet_is_not_over(
    late: Api, redis_client: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await late.person()
    await redis_client.flushdb()
    with monkeypatch.context() as gone:
        without_primary(late, gone)
        refused = await me(late, person.token)
    back = await me(late, person.token)

    assert (refused.status, refused.body["error"]) == (503, "unavailable")
    assert back.status == 200


async def test_g7_who_has_just_signed_in_needs_no_primary_for_that(late: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    person = await late.person()
    signed_in = await late.call("POST", "/v1/auth/sign-in", {"username": person.username, "password": PASSWORD})
    without_primary(late, monkeypatch)

    for token in (person.token, signed_in.body["token"]):
        # The replica has no row of this user: that is another question, and it is asked only of who is let in.
        assert (await me(late, token)).body["error"] != "session-ended"
        assert (await late.call("POST", "/v1/posts", {"text": "x"}, token=token)).status == 503


async def copy_of_session(api: Api, person: Person, **changed: object) -> None:
    """The replica comes to know the session, and the user."""
    columns = {"id": sid_of(person.token), "user_id": person.id, "ended_at": None, **changed}
    async with api.parts.database.replica.connection(5) as conn:
        await execute(
            conn,
            "INSERT INTO sessions (id, user_id, created_at, expires_at, ended_at)"
            " VALUES (%s, %s, NOW(), NOW() + INTERVAL 1 DAY, %s)",
            columns["id"],
            columns["user_id"],
            columns["ended_at"],
        )
        if "user_id" not in changed:
            await execute(
                conn,
                "INSERT INTO users (id, username, password, created_at) VALUES (%s, %s, '', NOW())",
                person.id,
                person.username,
            )


@pytest.mark.parametrize(
    ("changed", "error"),
    [({}, None), ({"ended_at": "2026-01-01"}, "session-ended"), ({"user_id": 2**40}, "session-ended")],
    ids=["alive", "signed out", "the account is gone"],
)
async def test_g7_what_the_replica_says_in_the_primarys_place_is_remembered_by_nobody(
    late: Api,
    redis_client: "Redis",
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, object],
    error: str | None,
) -> None:
    person = await late.person()
    await copy_of_session(late, person, **changed)
    await redis_client.flushdb()
    with monkeypatch.context() as gone:
        without_primary(late, gone)
        answer = await me(late, person.token)

    assert (answer.status, answer.body.get("error")) == ((200, None) if error is None else (401, error))
    assert [key async for key in redis_client.scan_iter("*session:*")] == []


async def test_g8_only_an_end_is_kept_and_not_that_nobody_knows_the_session(late: Api, redis_client: "Redis") -> None:
    person, sid = await late.person(), str(uuid4())
    token, _ = late.parts.signer.sign(person.id, sid)

    assert (await me(late, token)).body["error"] == "session-ended"
    assert await redis_client.get(f"session:{sid}") is None
    async with late.parts.database.primary.connection(5) as conn:
        assert await fetch_one(conn, "SELECT 1 FROM sessions WHERE id = %s", sid_of(person.token))
        await execute(conn, "UPDATE sessions SET ended_at = NOW() WHERE id = %s", sid_of(person.token))
        await conn.commit()
    await redis_client.flushdb()

    assert (await me(late, person.token)).body["error"] == "session-ended"
    assert await redis_client.get(f"session:{sid_of(person.token)}") == b"ended"
