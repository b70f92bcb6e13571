"""Idempotency-Key: one post and one answer, however often and wherever the same post is sent."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from api.post_keys import delete_old_keys
from api.rows import fetch_one
from api.settings import ApiSettings
from tests.integration.api_support import Answer, Api, Person, api, running_api, settings, until

__all__ = ["api", "settings"]


async def post(api: Api, person: Person, key: str, text: str = "once") -> Answer:
    return await api.call("POST", "/v1/posts", {"text": text}, token=person.token, headers={"Idempotency-Key": key})


async def posts(api: Api, person: Person) -> int:
    async with api.parts.database.primary.connection(5) as conn:
        (count,) = await fetch_one(conn, "SELECT COUNT(*) FROM posts WHERE author = %s", person.id) or (-1,)
    return int(count)


async def test_a_retry_gets_the_first_answer_and_makes_no_second_post(api: Api) -> None:
    person, key = await api.person(), f'"{uuid4()}"'
    first = await post(api, person, key)
    again = [
        await post(api, person, key),
        await post(api, person, key.strip('"')),
        await post(api, person, key, " once "),
    ]

    assert first.status == 201
    assert [(answer.status, answer.body) for answer in again] == [(201, first.body)] * 3
    assert await posts(api, person) == 1
    assert (await api.post(person, "another")).status == 201
    await until(lambda: len(api.publisher.events(person.id)) == 3)
    assert [event["object"].get("text") for event in api.publisher.events(person.id)] == [None, "once", "another"]


async def test_the_same_key_with_another_text_is_refused_and_with_another_user_is_another_key(api: Api) -> None:
    person, other, key = await api.person(), await api.person(), f'"{uuid4()}"'
    first = await post(api, person, key)
    wrong = await post(api, person, key, "twice")

    assert (wrong.status, wrong.body["error"], wrong.body["field"]) == (422, "key-reused", "Idempotency-Key")
    assert await posts(api, person) == 1
    assert (await post(api, other, key, "twice")).body["id"] != first.body["id"]


async def test_a_refused_post_uses_no_key_up(api: Api) -> None:
    person, key = await api.person(), f'"{uuid4()}"'
    assert (await post(api, person, key, " ")).status == 400

    assert (await post(api, person, key, "now")).status == 201


async def test_of_many_retries_at_once_on_two_processes_one_makes_the_post_and_all_get_its_answer(
    settings: ApiSettings,
) -> None:
    async with running_api(settings) as one, running_api(settings) as other:
        person, key = await one.person(), f'"{uuid4()}"'
        answers = await asyncio.gather(*(post((one, other)[number % 2], person, key) for number in range(10)))

        assert {answer.status for answer in answers} == {201}
        assert all(answer.body == answers[0].body for answer in answers)
        assert await posts(one, person) == 1


async def test_a_key_is_as_good_after_its_post_was_taken_back(api: Api) -> None:
    person, key = await api.person(), f'"{uuid4()}"'
    first = await post(api, person, key)
    await api.call("DELETE", f"/v1/posts/{first.body['id']}", token=person.token)

    assert (await post(api, person, key)).body == first.body
    assert await posts(api, person) == 0


@pytest.mark.parametrize(
    "key", ["", '""', "two words", '"two words"', '"open', 'a"b', "a,b", '"a";p=1', "x" * 129, "ü", '"\\x"']
)
async def test_a_key_that_is_none_is_refused_and_no_post_is_made(api: Api, key: str) -> None:
    person = await api.person()
    answer = await post(api, person, key)

    assert (answer.status, answer.body["error"], answer.body["field"]) == (400, "invalid", "Idempotency-Key")
    assert await posts(api, person) == 0


@pytest.mark.parametrize("key", ['"' + "x" * 128 + '"', '"a;b:c,d"', r'"\"\\"', "00000000-0000-4000-8000-000000000000"])
async def test_keys_of_every_allowed_form_are_taken(api: Api, key: str) -> None:
    person = await api.person()

    assert (await post(api, person, key)).body == (await post(api, person, key)).body


async def test_two_keys_are_none(api: Api) -> None:
    person = await api.person()
    client = api.app.test_client()
    headers = [("Idempotency-Key", '"a"'), ("Idempotency-Key", '"b"')]
    answer = await client.post(
        "/v1/posts",
        data=b'{"text":"x"}',
        headers=[*api.headers.items(), ("Authorization", f"Bearer {person.token}"), *headers],
    )

    assert answer.status_code == 400


async def test_keys_go_after_a_day(api: Api) -> None:
    person, key = await api.person(), f'"{uuid4()}"'
    first = await post(api, person, key)
    async with api.parts.database.primary.connection(5) as conn:
        await delete_old_keys(conn, datetime.now(UTC) + timedelta(hours=23), 1000)
        assert (await post(api, person, key)).body == first.body
        assert await delete_old_keys(conn, datetime.now(UTC) + timedelta(hours=25), 1000) >= 1

    assert (await post(api, person, key)).body["id"] != first.body["id"]
