"""Accounts and people on a real primary, replica and Redis; Kafka is a list."""

import asyncio
import time
from uuid import uuid4

import pytest

from api import accounts, sessions
from api.pool import DatabaseUnavailable
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
    elsewhere = {"username": other.username, "password": PASSWORD}

    assert sorted(answer.status for answer in tried) == [401] * 10 + [429] * 10
    assert (refused.status, refused.body["error"]) == (429, "too-many-requests")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert (await two[1].call("POST", "/v1/auth/sign-in", elsewhere)).status == 200


def texts_like(name: str) -> list[str]:
    """What one part or another might take for the name, and is none: blanks, line ends, look-alikes, NUL, more of the same."""
    around = [" ", "  ", "\t", "\n", "\r\n", "\x00", "\x1f", "\u00a0", "\u200b", "\u3000", "\ufeff"]
    alike = {"k": "\u212a", "s": "\u017f", "i": "\u0131", "a": "\u0430", "e": "\u00e9", "o": "\u03bf"}
    return [
        *(name + more for more in around),
        *(more + name for more in around),
        name + " " * (128 - len(name)),
        name * 2,
        f"{name}%",
        f"{name[:-1]}_",
        *(name.replace(letter, other) for letter, other in alike.items()),
        "".join(chr(ord(letter) + 0xFEE0) for letter in name),
    ]


async def test_no_text_but_the_name_in_whatever_case_opens_the_account_or_counts_for_it(api: Api) -> None:
    person = await api.person(f"kasieo{uuid4().hex[:10]}")
    others = texts_like(person.username)
    assert len(set(others)) == len(others) and person.username not in others

    for other in others:
        right = await api.call("POST", "/v1/auth/sign-in", {"username": other, "password": PASSWORD})
        assert (right.status, right.body["error"]) == (401, "wrong-credentials"), other
    for name in (person.username, person.username.upper(), person.username.title()):
        answer = await api.call("POST", "/v1/auth/sign-in", {"username": name, "password": PASSWORD})
        assert (answer.status, answer.body["userId"]) == (200, person.id), name


async def test_a_name_that_is_locked_is_locked_however_it_is_written(api: Api) -> None:
    person = await api.person()
    sign_in = ("POST", "/v1/auth/sign-in")
    for n in range(api.parts.settings.limit_tries):
        name = person.username.upper() if n % 2 else person.username.title()
        assert (await api.call(*sign_in, {"username": name, "password": "wrong password"})).status == 401

    for text in (person.username, person.username.upper(), *texts_like(person.username)):
        answer = await api.call(*sign_in, {"username": text, "password": PASSWORD})
        assert answer.status == (429 if text.lower() == person.username else 401), text


async def test_what_is_tried_for_one_purpose_counts_for_no_other(api: Api) -> None:
    person, most = await api.person(), api.parts.settings.limit_tries
    wrong = {"username": f"{person.id} who leaves", "password": "wrong password"}
    for _ in range(most):
        assert (await api.call("POST", "/v1/auth/sign-in", wrong)).status == 401
        taken = await api.call("POST", "/v1/auth/sign-up", form(person.username))
        assert (taken.status, taken.body["error"]) == (409, "username-taken")
    again = await api.call("POST", "/v1/auth/sign-up", form(person.username.upper()))
    signed_in = await api.call("POST", "/v1/auth/sign-in", {"username": person.username, "password": PASSWORD})
    left = await api.call("DELETE", "/v1/me", {"password": PASSWORD}, token=person.token)

    assert (again.status, signed_in.status, left.status) == (429, 200, 204)


async def test_a_try_counts_only_if_the_password_was_looked_at(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    person, more = await api.person(), api.parts.settings.limit_tries + 2
    sign_in = ("POST", "/v1/auth/sign-in", {"username": person.username, "password": PASSWORD})
    leave = ("DELETE", "/v1/me", {"password": PASSWORD})

    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("the primary is away")

    for at, name, value in (
        (api.parts.passwords, "_longest_line", 0),
        (sessions, "select_credentials", fail),
        (accounts, "select_password", fail),
        (sessions, "insert_session", fail),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(at, name, value)
            if name != "select_password":
                assert {(await api.call(*sign_in)).status for _ in range(more)} == {503}, name
                # At once too: what comes beyond the limit was not looked at either.
                await asyncio.gather(*(api.call(*sign_in) for _ in range(more)))
            if name in ("_longest_line", "select_password"):
                assert {(await api.call(*leave, token=person.token)).status for _ in range(more)} == {503}, name

    assert (await api.call(*sign_in)).status == 200
    assert (await api.call(*leave, token=person.token)).status == 204


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
