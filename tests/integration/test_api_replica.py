"""A replica that stands in for the primary may say that something is there, never that it is not, and nothing of it is kept."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import jwt
import pytest
from redis.asyncio import Redis

from api import identity
from api.migrate import migrate
from api.pool import DatabaseUnavailable, Pool
from api.rows import fetch_one
from api.settings import ApiSettings, Dsn
from store.as_of import Behind
from tests.integration.api_outages import PRIMARY, admin, admin_of
from tests.integration.api_support import PASSWORD, Api, Person, running_api, settings

__all__ = ["settings"]

_AWAY = Dsn("127.0.0.1", 1, "u", "p", "d")


@pytest.fixture
async def behind(settings: ApiSettings, mysql: dict[str, Any]) -> AsyncIterator[Api]:
    """An API whose replica has the tables, and no row of anybody."""
    empty = replace(admin_of(mysql[PRIMARY]), database=f"behind_{uuid4().hex[:8]}")
    async with admin(mysql[PRIMARY]) as conn, conn.cursor() as cursor:
        await cursor.execute(f"CREATE DATABASE {empty.database}")
    async with Pool("primary", empty) as pool:
        await migrate(pool)
    async with running_api(settings.model_copy(update={"mysql_replica": empty})) as api:
        yield api


def lose_primary(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.parts.database.primary, "_down_until", float("inf"))
    monkeypatch.setattr(api.parts.database.primary, "_dsn", _AWAY)
    api.parts.database.replica_is_late = True


async def forget(settings: ApiSettings, person: Person) -> str:
    """Empties Redis of the person's session, as it is when it was lost or never there. Its key."""
    key = f"session:{jwt.decode(person.token, options={'verify_signature': False})['sid']}"
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.flushdb()
    return key


async def test_every_route_that_asks_an_empty_replica_in_the_primarys_place_says_503_and_nothing_else(
    behind: Api, settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, you = await behind.person(), await behind.person()
    post = (await behind.post(me, "one")).body["id"]
    await behind.call("POST", f"/v1/friends/{you.id}", token=me.token)
    lose_primary(behind, monkeypatch)
    asked = [
        ("POST", "/v1/auth/sign-up", {"username": "newcomer", "password": PASSWORD, "passwordConfirm": PASSWORD}, None),
        ("POST", "/v1/auth/sign-in", {"username": me.username, "password": PASSWORD}, None),
        ("POST", "/v1/auth/refresh", {"refresh_token": me.refresh_token}, None),
        ("POST", "/v1/auth/sign-out", None, me.token),
        ("GET", "/v1/me", None, me.token),
        ("DELETE", "/v1/me", {"password": PASSWORD}, me.token),
        ("GET", f"/v1/users?query={you.username}", None, me.token),
        ("GET", f"/v1/users/{you.id}", None, me.token),
        ("GET", f"/v1/users/{me.id}/posts", None, me.token),
        ("GET", "/v1/friends", None, me.token),
        ("POST", f"/v1/friends/{you.id}", None, me.token),
        ("DELETE", f"/v1/friends/{you.id}", None, me.token),
        ("POST", "/v1/posts", {"text": "two"}, me.token),
        ("DELETE", f"/v1/posts/{post}", None, me.token),
    ]
    served = {
        (method, rule.rule)
        for rule in behind.app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.rule.startswith("/v1/") and method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    }
    no_database = {
        ("GET", "/v1/auth/keys"),
        ("GET", "/v1/feed"),  # MongoDB and Redis
        *(route for route in served if route[1] in ("/v1/openapi.json", "/v1/docs")),
    }
    assert len(asked) + len(no_database) == len(served), served

    async def is_open(*_: object) -> bool:
        return False

    for known in (False, True):  # whether the session is known without the primary
        if known:
            monkeypatch.setattr(identity, "has_ended", is_open)
        await forget(settings, me)
        for method, path, body, token in asked:
            answer = await behind.call(method, path, body, token=token)
            assert (answer.status, answer.body["error"]) == (503, "unavailable"), (method, path, known)


async def test_after_an_outage_in_which_only_an_empty_replica_answered_everybody_is_who_they_were(
    behind: Api, settings: ApiSettings
) -> None:
    person, primary = await behind.person(), behind.parts.database.primary
    key = await forget(settings, person)
    primary._down_until = asyncio.get_running_loop().time() + 60
    down = await behind.call("GET", "/v1/me", token=person.token)
    async with Redis.from_url(settings.redis_url) as redis:
        kept = await redis.get(key)
    primary._down_until = 0.0

    assert (down.status, kept) == (503, None)
    assert (await behind.call("GET", "/v1/me", token=person.token)).status == 200


async def test_what_a_replica_has_is_taken_when_nothing_else_is_left(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_api(settings.model_copy(update={"mysql_replica": settings.mysql_primary})) as api:
        me, you = await api.person(), await api.person()
        await api.post(you, "one")
        await api.call("POST", f"/v1/friends/{you.id}", token=me.token)
        lose_primary(api, monkeypatch)
        for path in ("/v1/me", f"/v1/users/{you.id}", f"/v1/users/{you.id}/posts", "/v1/friends", "/v1/users"):
            await forget(settings, me)
            assert (await api.call("GET", path, token=me.token)).status == 200, path


async def test_the_replicas_word_is_never_taken_for_the_primarys(behind: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    database = behind.parts.database
    with pytest.raises(Behind):
        (await database.read_replica(fetch_one, "SELECT 1")).at_least(object())  # type: ignore[arg-type]
    lose_primary(behind, monkeypatch)

    with pytest.raises(DatabaseUnavailable):
        await database.read_primary(fetch_one, "SELECT 1")


async def test_a_slow_statement_of_somebody_leaves_the_primary_up_for_everybody_else(behind: Api) -> None:
    person, primary = await behind.person(), behind.parts.database.primary
    with pytest.raises(DatabaseUnavailable):
        async with primary.connection(0.1) as conn:
            await fetch_one(conn, "SELECT SLEEP(2)")

    assert primary.up
    assert (await behind.post(person, "at once")).status == 201
