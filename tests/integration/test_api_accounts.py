"""Accounts, sessions, friends and posts on a real primary, replica and Redis; Kafka is a list."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest

from api.rows import fetch_one
from api.session_rows import delete_expired_sessions
from api.settings import ApiSettings
from store.events import encode
from store.tokens import Signer
from tests.integration.api_support import (
    PASSWORD,
    Api,
    api,
    make_keys,
    mysql,
    running_api,
    settings,
    until,
)

__all__ = ["api", "mysql", "settings"]


@pytest.fixture
async def two(settings: ApiSettings) -> AsyncIterator[tuple[Api, Api]]:
    """Two API processes on one database."""
    async with running_api(settings) as one, running_api(settings) as other:
        yield one, other


def form(name: str, **change: object) -> dict[str, object]:
    return {"username": name, "password": PASSWORD, "passwordConfirm": PASSWORD, "gender": "f", **change}


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


async def test_cookies_are_closed_to_scripts_and_other_sites(api: Api) -> None:
    answer = await api.call("POST", "/v1/auth/sign-up", form(f"u-{uuid4().hex[:12]}"))
    access, refresh = answer.headers.getlist("Set-Cookie")  # type: ignore[attr-defined]

    assert all(part in access for part in ("HttpOnly", "SameSite=Lax", "Path=/v1/;"))
    assert all(part in refresh for part in ("HttpOnly", "SameSite=Strict", "Path=/v1/auth/refresh"))


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


async def test_the_janitor_is_user_1_and_nobody_signs_in_as_them(api: Api) -> None:
    person = await api.person()
    janitor = await api.call("GET", "/v1/users/1", token=person.token)

    assert janitor.body["username"] == "janitor"
    for password in ("", "janitor", "!", PASSWORD):
        answer = await api.call("POST", "/v1/auth/sign-in", {"username": "janitor", "password": password})
        assert answer.status == 401


async def test_bad_input_of_every_kind_is_refused_and_changes_nothing(api: Api) -> None:
    person = await api.person()
    for path, raw in (
        ("/v1/posts", b"{"),
        ("/v1/posts", b'{"text":"\xff"}'),
        ("/v1/posts", b'{"text":"a","extra":1}'),
        ("/v1/posts", b'{"text":" "}'),
        ("/v1/posts", b'{"text":"' + b"a" * 1001 + b'"}'),
        ("/v1/posts", b'{"text":' + b"[" * 30_000),
        (f"/v1/friends/{person.id}", b""),
    ):
        answer = await api.call("POST", path, raw=raw, token=person.token)
        assert answer.status == 400, (path, raw[:40])
        assert set(answer.body) <= {"error", "message", "field"}
    for path in ("/v1/friends/999999999", f"/v1/friends/{2**63}", "/v1/friends/0"):
        assert (await api.call("POST", path, token=person.token)).status == 404
    assert (await api.call("POST", "/v1/friends/-1", token=person.token)).status == 404
    assert (await api.call("GET", "/v1/users?limit=9999", token=person.token)).body["field"] == "limit"

    await api.post(person, "the end")
    await until(lambda: len(api.publisher.events(person.id)) == 2)
    assert [event["type"] for event in api.publisher.events(person.id)] == ["sign-up", "post"]


async def test_a_text_comes_back_and_goes_out_as_it_was_written(api: Api) -> None:
    person = await api.person()
    text = "𝄞 \\ ' \" %s {} \u2028 \n\t<b> 你好"
    answer = await api.post(person, f"  {text} ")
    await until(lambda: len(api.publisher.events(person.id)) == 2)
    event = api.publisher.events(person.id)[1]

    assert (answer.status, answer.body["text"]) == (201, text)
    assert event["object"] == {"id": answer.body["id"], "text": text}
    assert (event["id"], event["at"]) == (answer.body["event_id"], answer.body["at"])
    assert event["actor"] == {"id": person.id, "username": person.username}


async def test_the_record_is_byte_for_byte_what_the_event_encodes_to(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def noted(event: Any) -> bytes:
        made.append(encode(event))
        return made[-1]

    monkeypatch.setattr("api.actions.encode", noted)
    person = await api.person()
    await api.post(person, "ü \\ ' \x7e")
    await until(lambda: len(api.publisher.events(person.id)) == 2)

    assert [record.value for record in api.publisher.log if record.key == str(person.id).encode()] == made


async def test_only_the_author_takes_a_post_back_and_only_once(api: Api) -> None:
    author, other = await api.person(), await api.person()
    post = (await api.post(author, "hello")).body["id"]

    assert (await api.call("DELETE", f"/v1/posts/{post}", token=other.token)).status == 404
    assert (await api.call("DELETE", f"/v1/posts/{post}", token=author.token)).status == 204
    assert (await api.call("DELETE", f"/v1/posts/{post}", token=author.token)).status == 404
    await until(lambda: len(api.publisher.events(author.id)) == 3)
    assert api.publisher.events(author.id)[2]["object"] == {"id": post}


async def test_following_is_told_once_per_change_with_a_seq_that_never_restarts(two: tuple[Api, Api]) -> None:
    api = two[0]
    me, you = await api.person(), await api.person()
    path = f"/v1/friends/{you.id}"
    statuses = [
        (await api.call(method, path, token=me.token)).status
        for method in ("DELETE", "POST", "POST", "DELETE", "DELETE", "POST")
    ]
    await until(lambda: len(api.publisher.events(me.id)) == 4)
    told = api.publisher.events(me.id)[1:]

    assert statuses == [204, 201, 200, 204, 204, 201]
    assert [(event["type"], event["object"]["seq"]) for event in told] == [
        ("follow", 1),
        ("unfollow", 2),
        ("follow", 3),
    ]
    assert told[0]["object"]["username"] == you.username
    listed = await two[1].call("GET", "/v1/friends", token=me.token)
    assert [(one["object"], one["username"]) for one in listed.body["items"]] == [("user", you.username)]


async def test_of_many_follows_of_one_pair_at_once_one_is_new(two: tuple[Api, Api]) -> None:
    me, you = await two[0].person(), await two[0].person()
    path = f"/v1/friends/{you.id}"
    answers = await asyncio.gather(*(two[i % 2].call("POST", path, token=me.token) for i in range(10)))

    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]


async def test_two_who_follow_each_other_at_once_both_succeed(two: tuple[Api, Api]) -> None:
    for _ in range(5):
        a, b = await two[0].person(), await two[0].person()
        answers = await asyncio.gather(
            two[0].call("POST", f"/v1/friends/{b.id}", token=a.token),
            two[1].call("POST", f"/v1/friends/{a.id}", token=b.token),
        )

        assert [answer.status for answer in answers] == [201, 201]


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


async def test_friends_are_listed_page_by_page(api: Api) -> None:
    me, others = await api.person(), [await api.person() for _ in range(5)]
    for other in others:
        await api.call("POST", f"/v1/friends/{other.id}", token=me.token)
    found: list[int] = []
    after: str | None = "0"
    while after is not None:
        page = (await api.call("GET", f"/v1/friends?limit=2&after={after}", token=me.token)).body
        found += [one["id"] for one in page["items"]]
        after = page["next"]

    assert found == [other.id for other in others]


async def test_sign_out_ends_the_session_everywhere_at_once_and_tells_which(two: tuple[Api, Api]) -> None:
    api, other = two
    person = await api.person()
    sid = jwt.decode(person.token, options={"verify_signature": False})["sid"]
    assert (await other.call("GET", "/v1/me", token=person.token)).status == 200
    again = (await api.call("POST", "/v1/auth/sign-in", {"username": person.username, "password": PASSWORD})).body[
        "token"
    ]
    answer = await api.call("POST", "/v1/auth/sign-out", token=person.token)

    assert answer.status == 204
    assert answer.cookies == {"sf_access": "", "sf_refresh": ""}
    for process in two:
        refused = await process.call("GET", "/v1/me", token=person.token)
        assert (refused.status, refused.body["error"]) == (401, "session-ended")
        assert (await process.call("GET", "/v1/me", token=again)).status == 200, (
            "another session of the same person goes on"
        )
    assert (await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})).status == 401
    await until(lambda: len(api.publisher.events(person.id)) == 3)
    logout = api.publisher.log[-1]
    assert [event["type"] for event in api.publisher.events(person.id)] == ["sign-up", "login", "logout"]
    assert dict(logout.headers)["sid"] == sid.encode()
    assert sid.encode() not in logout.value


async def test_a_client_that_leaves_during_the_commit_of_its_sign_out_is_signed_out_all_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await api.person()
    committing = asyncio.Event()
    wrote = api.parts.database.wrote

    async def slowly(conn: Any, uid: int) -> None:
        committing.set()
        await asyncio.sleep(0.2)
        await wrote(conn, uid)

    monkeypatch.setattr(api.parts.database, "wrote", slowly)
    headers = {**api.headers, "Authorization": f"Bearer {person.token}"}
    async with api.app.test_client().request("/v1/auth/sign-out", method="POST", headers=headers) as connection:
        await connection.send_complete()
        await committing.wait()
        await connection.disconnect()

    sid = jwt.decode(person.token, options={"verify_signature": False})["sid"]
    async with asyncio.timeout(2):
        while not await api.parts.sessions.is_ended(person.id, sid):
            await asyncio.sleep(0.01)
    await until(lambda: api.publisher.events(person.id)[-1]["type"] == "logout", 1)


async def test_a_session_ended_while_redis_knew_nothing_is_still_ended(
    api: Api, settings: ApiSettings, tmp_path: Path
) -> None:
    person = await api.person()
    async with running_api(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})) as blind:
        assert (await blind.call("GET", "/v1/me", token=person.token)).status == 200
        assert (await blind.call("POST", "/v1/auth/sign-out", token=person.token)).status == 204
        assert (await blind.call("GET", "/v1/me", token=person.token)).status == 401
    assert (await api.call("GET", "/v1/me", token=person.token)).status == 401


async def test_a_token_of_a_session_that_never_was_opens_nothing(api: Api) -> None:
    person = await api.person()
    token, _ = api.parts.signer.sign(person.id, str(uuid4()))

    assert (await api.call("GET", "/v1/me", token=token)).body["error"] == "session-ended"


async def test_tokens_of_every_broken_kind_open_nothing(api: Api, tmp_path: Path) -> None:
    person = await api.person()
    head, claims, signature = person.token.split(".")
    sid = jwt.decode(person.token, options={"verify_signature": False})["sid"]
    ours = api.parts.settings
    foreign = Signer(
        Path(make_keys(tmp_path, ours.token_signing_key.stem)["TOKEN_SIGNING_KEY"]), "stickyfeed", "stickyfeed", 60
    )
    late = Signer(ours.token_signing_key, "stickyfeed", "stickyfeed", 60).sign(
        person.id, sid, now=int(time.time()) - 61
    )[0]
    elsewhere = Signer(ours.token_signing_key, "stickyfeed", "another", 60).sign(person.id, sid)[0]
    none = jwt.encode(
        {"uid": person.id, "sid": sid, "exp": 2**33, "iss": "stickyfeed", "aud": "stickyfeed"}, "", "none"
    )
    for token, code in (
        ("x", "token-invalid"),
        (f"{head}.{claims}.", "token-invalid"),
        (f"{head}.{claims}.{signature[:-2]}AA", "token-invalid"),
        (f"{head}.{claims[:-2]}AA.{signature}", "token-invalid"),
        (foreign.sign(person.id, sid)[0], "token-invalid"),
        (elsewhere, "token-invalid"),
        (none, "token-invalid"),
        ("a" * 10_000, "token-invalid"),
        (late, "token-expired"),
    ):
        answer = await api.call("GET", "/v1/me", token=token)
        assert (answer.status, answer.body["error"]) == (401, code), token[:60]


async def test_refresh_gives_a_new_pair_by_body_or_cookie(api: Api) -> None:
    person = await api.person()
    first = await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})
    second = await api.call("POST", "/v1/auth/refresh", headers={"Cookie": f"sf_refresh={first.body['refresh_token']}"})

    assert (first.status, second.status) == (200, 200)
    assert len({person.refresh_token, first.body["refresh_token"], second.body["refresh_token"]}) == 3
    assert (await api.call("GET", "/v1/me", token=second.body["token"])).body["id"] == person.id


async def test_using_an_old_refresh_token_again_ends_the_session(api: Api) -> None:
    person = await api.person()
    fresh = (await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})).body
    reused = await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})

    assert (reused.status, reused.body["error"]) == (401, "refresh-reused")
    assert (await api.call("POST", "/v1/auth/refresh", {"refresh_token": fresh["refresh_token"]})).status == 401
    assert (await api.call("GET", "/v1/me", token=fresh["token"])).body["error"] == "session-ended"
    await until(lambda: [e["type"] for e in api.publisher.events(person.id)] == ["sign-up", "logout"])


async def test_of_many_who_use_one_refresh_token_at_once_one_at_most_gets_in(two: tuple[Api, Api]) -> None:
    person = await two[0].person()
    body = {"refresh_token": person.refresh_token}
    answers = await asyncio.gather(*(two[i % 2].call("POST", "/v1/auth/refresh", body) for i in range(6)))

    assert sorted(answer.status for answer in answers) == [200] + [401] * 5


@pytest.mark.parametrize("token", ["", "x", "x" * 129, "ü"])
async def test_a_refresh_token_that_is_not_ours_is_refused(api: Api, token: str) -> None:
    assert (await api.call("POST", "/v1/auth/refresh", {"refresh_token": token})).status in (400, 401)


async def test_refresh_tokens_are_not_kept_in_clear_and_go_when_they_are_over(api: Api) -> None:
    person = await api.person()
    async with api.parts.database.primary.connection(5) as conn:
        count = "SELECT COUNT(*) FROM refresh_tokens WHERE INSTR(hash, %s)"
        assert await fetch_one(conn, count, person.refresh_token) == (0,)
        assert await delete_expired_sessions(conn, datetime.now(UTC), 1000) == 0
        assert await delete_expired_sessions(conn, datetime.now(UTC) + timedelta(days=31), 1000) >= 2
    assert (await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})).status == 401


async def test_a_feed_that_cannot_be_read_says_so_and_a_wrong_place_in_it_too(api: Api) -> None:
    person = await api.person()
    wrong = await api.call("GET", "/v1/feed?before=garbage", token=person.token)

    assert (wrong.status, wrong.body["field"]) == (400, "before")
    for limit in ("0", "101", "x", "-1", "1e1", "%D9%A3"):
        assert (await api.call("GET", f"/v1/feed?limit={limit}", token=person.token)).body["field"] == "limit"
    gone = await api.call("GET", "/v1/feed", token=person.token)
    assert (gone.status, gone.headers["Retry-After"]) == (503, "1")
