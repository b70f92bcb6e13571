"""Deleting an account: nothing of it opens anything any more, and its rows go, however many they are."""

import asyncio
from typing import Any

import pytest

from api import accounts, departures
from api.departures import delete_departed, select_departures
from api.migrate import JANITOR
from api.pool import DatabaseUnavailable
from api.rows import execute, fetch_one
from api.settings import ApiSettings
from api.tidy import select_now
from tests.integration.api_support import (
    NOBODY,
    PASSWORD,
    Answer,
    Api,
    Person,
    api,
    running_api,
    settings,
    until,
)

__all__ = ["api", "settings"]

_TABLES = {
    "users": "id", "sessions": "user_id", "posts": "author", "departures": "user_id", "post_keys": "user_id",
    "last_events": "author",
}  # fmt: skip


async def leave(api: Api, person: Person, password: str = PASSWORD) -> Answer:
    cookie = {"Cookie": f"sf_access={person.token}"}
    return await api.call("DELETE", "/v1/me", {"password": password}, token=person.token, headers=cookie)


async def left(conn: Any, uid: int, sid: str = "") -> dict[str, int]:
    """How many rows of the user, and of their session, there are, where there are any."""
    counts = {}
    for table, column in _TABLES.items():
        counts[table] = await fetch_one(conn, f"SELECT COUNT(*) FROM {table} WHERE {column} = %s", uid)  # noqa: S608
    counts["friends"] = await fetch_one(
        conn, "SELECT COUNT(*) FROM friends WHERE follower = %s OR followee = %s", uid, uid
    )
    for table in ("refresh_tokens", "refresh_families"):
        counts[table] = await fetch_one(conn, f"SELECT COUNT(*) FROM {table} WHERE session_id = %s", sid)  # noqa: S608
    return {table: count[0] for table, count in counts.items() if count and count[0]}


async def test_a_wrong_password_leaves_everything_as_it_is(api: Api) -> None:
    person = await api.person()
    wrong = await leave(api, person, "wrong password")

    assert (wrong.status, wrong.body["error"], wrong.body["field"]) == (403, "wrong-password", "password")
    assert (await api.call("DELETE", "/v1/me", token=person.token)).status == 400
    assert (await api.call("GET", "/v1/me", token=person.token)).status == 200


async def test_whoever_cannot_leave_right_now_may_try_as_often_as_they_like(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("the disk is full")

    async with running_api(settings.model_copy(update={"limit_tries": 2})) as api:
        person = await api.person()
        with monkeypatch.context() as patched:
            patched.setattr(accounts, "insert_departure", fail)
            assert [(await leave(api, person)).status for _ in range(4)] == [503] * 4

        assert (await leave(api, person)).status == 204


async def test_the_janitor_stays(api: Api) -> None:
    person = await api.person()
    async with api.parts.database.primary.connection(5) as conn:
        await execute(conn, "UPDATE sessions SET user_id = %s WHERE user_id = %s", JANITOR, person.id)
        (sid,) = await fetch_one(conn, "SELECT id FROM sessions WHERE user_id = %s", JANITOR) or ("",)
    token, _ = api.parts.signer.sign(JANITOR, sid)
    answer = await api.call("DELETE", "/v1/me", {"password": PASSWORD}, token=token)

    assert (answer.status, answer.body["error"]) == (403, "janitor")


async def test_from_the_answer_on_nothing_of_the_account_opens_anything(api: Api, settings: ApiSettings) -> None:
    person, friend = await api.person(), await api.person()
    for one, other in ((person, friend), (friend, person)):
        assert (await api.call("POST", f"/v1/friends/{other.id}", token=one.token)).status == 201
    second = (await api.call("POST", "/v1/auth/sign-in", {"username": person.username, "password": PASSWORD})).body
    answer = await leave(api, person)

    assert answer.status == 204
    assert set(answer.cookies.values()) == {""}
    async with running_api(settings.model_copy(update={"redis_url": f"redis://{NOBODY}/0"}), outbox=False) as blind:
        for process in (api, blind):
            for token in (person.token, second["token"]):
                for method, path in (("GET", "/v1/me"), ("POST", "/v1/posts"), ("GET", "/v1/feed")):
                    assert (await process.call(method, path, token=token)).body["error"] == "session-ended"
            for refresh in (person.refresh_token, second["refresh_token"]):
                body = {"refresh_token": refresh}
                assert (await process.call("POST", "/v1/auth/refresh", body)).status == 401
    signing_in = {"username": person.username, "password": PASSWORD}
    assert (await api.call("POST", "/v1/auth/sign-in", signing_in)).body["error"] == "wrong-credentials"
    for path in (f"/v1/users/{person.id}", f"/v1/users/{person.id}/posts"):
        assert (await api.call("GET", path, token=friend.token)).status == 404
    assert (await api.call("POST", f"/v1/friends/{person.id}", token=friend.token)).status == 404
    assert (await api.call("GET", "/v1/friends", token=friend.token)).body["items"] == []
    await until(lambda: len(api.publisher.events(person.id)) == 4)
    last = api.publisher.events(person.id)[-1]
    assert (last["type"], last["object"]) == ("account-deleted", {})


async def test_the_name_is_free_and_its_next_owner_is_somebody_else(api: Api) -> None:
    person, follower = await api.person(), await api.person()
    await api.call("POST", f"/v1/friends/{person.id}", token=follower.token)
    await leave(api, person)
    heir = await api.person(person.username)

    assert heir.id != person.id
    assert (await api.call("GET", "/v1/friends", token=follower.token)).body["items"] == []


async def test_of_two_who_delete_at_once_one_does_and_the_event_is_told_once(settings: ApiSettings) -> None:
    async with running_api(settings) as one, running_api(settings) as other:
        person = await one.person()
        answers = await asyncio.gather(leave(one, person), leave(other, person), one.post(person, "last words"))
        await until(lambda: [*one.publisher.events(person.id), *other.publisher.events(person.id)])
        await until(lambda: one.parts.outbox.waiting == 0)

        assert sorted(answer.status for answer in answers[:2]) == [204, 401]
        told = [event["type"] for process in (one, other) for event in process.publisher.events(person.id)]
        assert told.count("account-deleted") == 1


async def test_every_row_goes_a_few_at_a_time_and_those_that_come_late_too(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, friend = await api.person(), await api.person()
    for one, other in ((person, friend), (friend, person)):
        await api.call("POST", f"/v1/friends/{other.id}", token=one.token)
    for number in range(5):
        await api.post(person, str(number))
    for _ in range(4):
        await api.call("POST", "/v1/auth/sign-in", {"username": person.username, "password": PASSWORD})
    await leave(api, person)
    async with api.parts.database.primary.connection(30) as conn:
        (sid,) = await fetch_one(conn, "SELECT id FROM sessions WHERE user_id = %s", person.id) or ("",)
        one_each = dict.fromkeys(("refresh_tokens", "refresh_families", "departures", "last_events"), 1)
        assert await left(conn, person.id, sid) == {**one_each, "sessions": 5, "posts": 5, "friends": 2}
        now = await select_now(conn)
        (departure,) = [one for one in await select_departures(conn, 0, 10_000) if one.uid == person.id]
        rounds = 0
        while await delete_departed(conn, now, 2, departure):
            rounds += 1
        assert rounds >= 3
        assert await left(conn, person.id, sid) == {"departures": 1}

        # A follow that began before the account was gone, and was committed after its rows had been looked for.
        await execute(conn, "INSERT INTO friends VALUES (%s, %s, 1, TRUE)", friend.id, person.id)
        later = now + departures._SETTLED * 2
        while await delete_departed(conn, later, 2, departure):
            pass
        assert await left(conn, person.id) == {}
        assert await left(conn, friend.id) == {"users": 1, "sessions": 1, "last_events": 1}
