"""Accounts and people on a real primary, replica and Redis; Kafka is a list."""

import asyncio
import time
from uuid import uuid4

from tests.integration.api_support import PASSWORD, Api, api, form, settings, two, until

__all__ = ["api", "settings", "two"]


async def test_a_person_signs_up_and_is_who_they_said(api: Api) -> None:
    name = f"u-{uuid4().hex[:12]}"
    answer = await api.call("POST", "/v1/auth/sign-up", form(name), headers={"Content-Type": "text/plain"})
    me = await api.call("GET", "/v1/me", token=answer.body["token"])

    assert answer.status == 201
    assert (answer.body["object"], answer.body["username"]) == ("token", name)
    assert abs(answer.body["expires_at"] - time.time() - api.parts.settings.token_life) < 5
    assert answer.cookies == {"sf_access": answer.body["token"], "sf_refresh": answer.body["refresh_token"]}
    assert (me.body["object"], me.body["id"], me.body["gender"]) == ("user", answer.body["userId"], "f")
    await until(lambda: [e["type"] for e in api.publisher.events(answer.body["userId"])] == ["sign-up"])


async def test_a_taken_name_is_refused_in_whatever_case(api: Api) -> None:
    person = await api.person()
    answer = await api.call("POST", "/v1/auth/sign-up", form(person.username.upper()))

    assert (answer.status, answer.body["error"], answer.body["field"]) == (409, "username-taken", "username")


async def test_of_many_who_want_one_name_at_once_on_two_processes_one_gets_it(two: tuple[Api, Api]) -> None:
    name = f"u-{uuid4().hex[:12]}"
    answers = await asyncio.gather(*(two[i % 2].call("POST", "/v1/auth/sign-up", form(name)) for i in range(8)))

    assert sorted(answer.status for answer in answers) == [201] + [409] * 7


async def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(api: Api) -> None:
    person = await api.person()
    wrong = await api.call("POST", "/v1/auth/sign-in", {"username": person.username, "password": "wrong password"})
    for name in ("nobody-of-this-name", "näme", "'; DROP TABLE users; --", "a" * 100, "\x00"):
        unknown = await api.call("POST", "/v1/auth/sign-in", {"username": name, "password": "wrong password"})

        assert (unknown.status, unknown.body) == (wrong.status, wrong.body)
    assert (wrong.status, wrong.body["error"]) == (401, "wrong-credentials")


async def test_a_name_is_tried_so_often_and_no_oftener_over_all_processes_and_others_go_on(
    two: tuple[Api, Api],
) -> None:
    person, other = await two[0].person(), await two[0].person()
    wrong = {"username": person.username.upper(), "password": "wrong password"}
    right = {"username": person.username, "password": PASSWORD}
    for _ in range(20):
        assert (await two[0].call("POST", "/v1/auth/sign-in", right)).status == 200, "what was right does not count"

    tried = await asyncio.gather(*(two[n % 2].call("POST", "/v1/auth/sign-in", wrong) for n in range(20)))
    refused = await two[1].call("POST", "/v1/auth/sign-in", right)
    again = await two[0].call("POST", "/v1/auth/sign-up", form(person.username))
    elsewhere = {"username": other.username, "password": PASSWORD}

    # One of the ten was the sign-up.
    assert sorted(answer.status for answer in tried) == [401] * 9 + [429] * 11
    assert (refused.status, refused.body["error"]) == (429, "too-many-requests")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert again.status == 429
    assert (await two[1].call("POST", "/v1/auth/sign-in", elsewhere)).status == 200


async def test_the_janitor_is_user_1_and_nobody_signs_in_as_them(api: Api) -> None:
    person = await api.person()
    janitor = await api.call("GET", "/v1/users/1", token=person.token)

    assert janitor.body["username"] == "janitor"
    for password in ("", "janitor", "!", PASSWORD):
        answer = await api.call("POST", "/v1/auth/sign-in", {"username": "janitor", "password": password})
        assert answer.status == 401


async def test_people_are_found_by_how_their_name_begins_page_by_page(api: Api) -> None:
    stem = f"s{uuid4().hex[:8]}"
    me = await api.person()
    for name in (f"{stem}_a", f"{stem}.b", f"{stem}_c", f"{stem}xd"):
        await api.person(name)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await api.call("GET", f"/v1/users?query={stem.upper()}&limit=2&after={after}", token=me.token)).body
        found += [one["username"] for one in page["items"]]
        after = page["next"]

    assert sorted(found) == sorted(f"{stem}{end}" for end in ("_a", ".b", "_c", "xd"))
    only = (await api.call("GET", f"/v1/users?query={stem}_", token=me.token)).body["items"]
    assert {one["username"] for one in only} == {f"{stem}_a", f"{stem}_c"}, "_ and % are no wildcards"
    assert (await api.call("GET", "/v1/users?query=%25", token=me.token)).body["items"] == []
    assert (await api.call("GET", "/v1/users?query=%C3%A9", token=me.token)).body["items"] == []
