"""Sessions and their tokens on a real primary, replica and Redis; Kafka is a list."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest

from api.rows import execute, fetch_one
from api.session_rows import GOOD_AGAIN, delete_expired_sessions, delete_expired_tokens, hash_of
from api.settings import ApiSettings
from store.tokens import Signer
from tests.integration.api_support import (
    PASSWORD,
    Answer,
    Api,
    Person,
    api,
    form,
    make_keys,
    running_api,
    settings,
    two,
    until,
)

__all__ = ["api", "settings", "two"]


async def test_cookies_are_closed_to_scripts_and_other_sites(api: Api) -> None:
    answer = await api.call("POST", "/v1/auth/sign-up", form(f"u-{uuid4().hex[:12]}"))
    access, refresh = answer.headers.getlist("Set-Cookie")  # type: ignore[attr-defined]

    assert all(part in access for part in ("HttpOnly", "SameSite=Lax", "Path=/v1/;"))
    assert all(part in refresh for part in ("HttpOnly", "SameSite=Strict", "Path=/v1/auth/refresh"))


async def test_sign_out_ends_the_session_everywhere_at_once_and_tells_which(two: tuple[Api, Api]) -> None:
    api, other = two
    person = await api.person()
    sid = jwt.decode(person.token, options={"verify_signature": False})["sid"]
    assert (await other.call("GET", "/v1/me", token=person.token)).status == 200
    again = (await api.call("POST", "/v1/auth/sign-in", {"username": person.username, "password": PASSWORD})).body[
        "token"
    ]
    cookie = {"Cookie": f"sf_access={person.token}"}
    answer = await api.call("POST", "/v1/auth/sign-out", token=person.token, headers=cookie)

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


async def test_nobody_takes_away_the_cookies_of_whoever_has_signed_in_since_in_another_tab(api: Api) -> None:
    browser: Any = api.app.test_client()  # one jar for all tabs

    async def enter(path: str, body: object) -> dict[str, Any]:
        answer = await browser.post(f"/v1/auth/{path}", headers=api.headers, json=body)
        assert answer.status_code in (200, 201)
        return await answer.get_json()  # type: ignore[no-any-return]

    async def leave(method: str, path: str, token: str) -> int:
        headers = {**api.headers, "Authorization": f"Bearer {token}"}
        body = {"password": PASSWORD} if method == "DELETE" else None
        return (await browser.open(path, method=method, headers=headers, json=body)).status_code  # type: ignore[no-any-return]

    def jar() -> set[str]:
        return {cookie.name for cookie in browser.cookie_jar}

    anna = await enter("sign-up", form(f"anna-{uuid4().hex[:12]}"))
    again = await enter("sign-in", {"username": anna["username"], "password": PASSWORD})
    bert = await enter("sign-up", form(f"bert-{uuid4().hex[:12]}"))
    for method, path, token in (
        ("POST", "/v1/auth/sign-out", anna["token"]),
        ("DELETE", "/v1/me", again["token"]),
    ):
        assert await leave(method, path, token) == 204
        assert jar() == {"sf_access", "sf_refresh"}
    renewed = await browser.post("/v1/auth/refresh", headers=api.headers)
    assert (renewed.status_code, (await renewed.get_json())["userId"]) == (200, bert["userId"])

    carl = await enter("sign-in", {"username": bert["username"], "password": PASSWORD})
    assert await leave("POST", "/v1/auth/sign-out", bert["token"]) == 204
    assert jar() == {"sf_access", "sf_refresh"}, "another session of the same person"
    assert await leave("DELETE", "/v1/me", carl["token"]) == 204
    assert jar() == set()


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "e30.e30.", "e30.W10.x", "é", "x" * 5000])
async def test_cookies_that_are_nobodys_are_left_alone(api: Api, cookie: str) -> None:
    person = await api.person()
    headers = {"Cookie": f"sf_access={cookie}"}
    answer = await api.call("POST", "/v1/auth/sign-out", token=person.token, headers=headers)

    assert (answer.status, answer.cookies) == (204, {})


async def test_a_client_that_leaves_during_the_commit_of_its_sign_out_is_signed_out_all_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await api.person()
    committing = asyncio.Event()
    wrote = api.parts.database.wrote

    async def slowly(uid: int, order: str, gtid: str) -> None:
        committing.set()
        await asyncio.sleep(0.2)
        await wrote(uid, order, gtid)

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


async def test_a_session_ended_by_a_process_that_cannot_reach_redis_is_ended_for_the_others_too(
    api: Api, settings: ApiSettings
) -> None:
    person = await api.person()
    api.publisher.refusing = True  # nor can anybody know it from the log
    async with running_api(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}), outbox=False) as blind:
        assert (await blind.call("GET", "/v1/me", token=person.token)).status == 200
        assert (await blind.call("POST", "/v1/auth/sign-out", token=person.token)).status == 204
        assert (await blind.call("GET", "/v1/me", token=person.token)).status == 401
    async with asyncio.timeout(20):
        while (await api.call("GET", "/v1/me", token=person.token)).status != 401:
            await asyncio.sleep(0.05)
    api.publisher.refusing = False


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


async def refreshed(api: Api, refresh_token: str) -> Answer:
    return await api.call("POST", "/v1/auth/refresh", {"refresh_token": refresh_token})


async def test_using_a_refresh_token_again_after_its_successor_ends_the_session(api: Api) -> None:
    person = await api.person()
    second = (await refreshed(api, person.refresh_token)).body["refresh_token"]
    third = (await refreshed(api, second)).body
    reused = await refreshed(api, person.refresh_token)

    assert (reused.status, reused.body["error"]) == (401, "refresh-reused")
    assert (await refreshed(api, third["refresh_token"])).status == 401
    assert (await api.call("GET", "/v1/me", token=third["token"])).body["error"] == "session-ended"
    await until(lambda: [e["type"] for e in api.publisher.events(person.id)] == ["sign-up", "logout"])


async def test_using_a_refresh_token_again_later_ends_the_session_though_nobody_has_used_its_successor(
    api: Api,
) -> None:
    person = await api.person()
    fresh = (await refreshed(api, person.refresh_token)).body
    async with api.parts.database.primary.connection(5) as conn:
        earlier = datetime.now(UTC) - GOOD_AGAIN - timedelta(seconds=10)
        await execute(
            conn,
            "UPDATE refresh_tokens SET used_at = %s WHERE hash = UNHEX(%s)",
            earlier,
            hash_of(person.refresh_token),
        )
        await conn.commit()
    reused = await refreshed(api, person.refresh_token)

    assert (reused.status, reused.body["error"]) == (401, "refresh-reused")
    assert (await refreshed(api, fresh["refresh_token"])).status == 401


async def test_an_answer_that_was_lost_costs_nobody_the_session(api: Api) -> None:
    person = await api.person()
    lost = await refreshed(api, person.refresh_token)
    again = await refreshed(api, person.refresh_token)
    after = await refreshed(api, again.body["refresh_token"])

    assert (lost.status, again.status, after.status) == (200, 200, 200)
    assert len({lost.body["refresh_token"], again.body["refresh_token"], after.body["refresh_token"]}) == 3
    assert (await api.call("GET", "/v1/me", token=after.body["token"])).status == 200


async def pass_by(api: Api, person: Person, seconds: float) -> None:
    """As if so much time had passed for the refresh tokens."""
    async with api.parts.database.primary.connection(5) as conn:
        await execute(
            conn,
            "UPDATE refresh_tokens SET used_at = used_at - INTERVAL %s SECOND, expires_at = expires_at - INTERVAL %s SECOND"
            " WHERE session_id IN (SELECT id FROM sessions WHERE user_id = %s)",
            seconds,
            seconds,
            person.id,
        )


async def rows_of(api: Api, person: Person) -> int:
    async with api.parts.database.primary.connection(5) as conn:
        row = await fetch_one(
            conn,
            "SELECT COUNT(*) FROM refresh_tokens WHERE session_id IN (SELECT id FROM sessions WHERE user_id = %s)",
            person.id,
        )
    return int(row[0]) if row else 0


async def test_an_answer_that_was_lost_costs_nobody_the_session_after_a_long_pause_either(api: Api) -> None:
    person = await api.person()
    for _ in range(3):
        await refreshed(api, person.refresh_token)
        await pass_by(api, person, GOOD_AGAIN.total_seconds() / 4)
    again = await refreshed(api, person.refresh_token)

    assert (again.status, (await refreshed(api, again.body["refresh_token"])).status) == (200, 200)


async def test_a_copy_that_is_used_in_turns_with_its_owner_is_found_out_at_the_next_refresh_but_one(api: Api) -> None:
    """Both renew each half hour, each within the hour in which a token is good again."""
    person = await api.person()
    copied = person.refresh_token
    owners = (await refreshed(api, person.refresh_token)).body["refresh_token"]
    await pass_by(api, person, 1800)
    thiefs = (await refreshed(api, copied)).body["refresh_token"]
    await pass_by(api, person, 1800)
    assert (await refreshed(api, owners)).status == 200
    await pass_by(api, person, 1800)

    assert (await refreshed(api, thiefs)).body["error"] == "refresh-reused"


async def test_a_session_has_few_rows_however_often_it_is_renewed_and_the_oldest_token_is_known_all_the_same(
    api: Api,
) -> None:
    person = await api.person()
    token = person.refresh_token
    for number in range(10):
        if number % 2:
            await refreshed(api, token)  # an answer that was lost
        token = (await refreshed(api, token)).body["refresh_token"]
    assert await rows_of(api, person) <= 1 + 2 + 2

    assert (await refreshed(api, person.refresh_token)).body["error"] == "refresh-reused"
    assert (await refreshed(api, token)).body["error"] == "refresh-invalid"


async def test_one_session_is_renewed_so_often_and_no_oftener_and_others_go_on(settings: ApiSettings) -> None:
    async with running_api(settings.model_copy(update={"limit_refresh": 5})) as api:
        person = await api.person()
        entered = await api.call("POST", "/v1/auth/sign-in", {"username": person.username, "password": PASSWORD})
        answers = [await refreshed(api, person.refresh_token) for _ in range(8)]

        assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
        assert 0 < int(answers[-1].headers["Retry-After"]) <= settings.limit_refresh_window
        assert (await refreshed(api, entered.body["refresh_token"])).status == 200, "another session of the same person"
        assert await rows_of(api, person) <= 1 + 5 + 2


async def test_a_token_from_before_there_were_families_goes_on_and_gets_one(api: Api) -> None:
    person, old = await api.person(), "x" * 43
    async with api.parts.database.primary.connection(5) as conn:
        await execute(
            conn,
            "UPDATE refresh_tokens SET hash = UNHEX(%s) WHERE hash = UNHEX(%s)",
            hash_of(old),
            hash_of(person.refresh_token),
        )
    first = await refreshed(api, old)
    lost = await refreshed(api, old)
    second = await refreshed(api, first.body["refresh_token"])

    assert (first.status, lost.status, second.status) == (200, 200, 200)
    assert (await refreshed(api, old)).body["error"] == "refresh-invalid", "superseded, and of no family"
    assert (await refreshed(api, person.refresh_token)).body["error"] == "refresh-reused"


async def test_of_the_successors_of_one_refresh_token_only_the_first_to_be_used_goes_on(api: Api) -> None:
    """Whoever has copied a token and uses it beside its owner is found out at the next refresh but one."""
    person = await api.person()
    owners, thiefs = [(await refreshed(api, person.refresh_token)).body["refresh_token"] for _ in range(2)]
    owners = (await refreshed(api, owners)).body["refresh_token"]
    owners = (await refreshed(api, owners)).body["refresh_token"]

    assert (await refreshed(api, thiefs)).body["error"] == "refresh-reused"
    assert (await refreshed(api, owners)).status == 401


async def test_many_who_use_one_refresh_token_at_once_are_all_of_one_session(two: tuple[Api, Api]) -> None:
    person = await two[0].person()
    answers = await asyncio.gather(*(refreshed(two[i % 2], person.refresh_token) for i in range(6)))
    tokens = [answer.body["refresh_token"] for answer in answers]
    sids = {
        jwt.decode(answer.body["token"], options={"verify_signature": False})["sid"]
        for answer in (*answers, await refreshed(two[0], tokens[3]))
    }

    assert len(set(tokens)) == 6
    assert len(sids) == 1


@pytest.mark.parametrize("token", ["", "x", "x" * 129, "ü"])
async def test_a_refresh_token_that_is_not_ours_is_refused(api: Api, token: str) -> None:
    assert (await api.call("POST", "/v1/auth/refresh", {"refresh_token": token})).status in (400, 401)


async def test_refresh_tokens_are_not_kept_in_clear_and_go_when_they_are_over(api: Api) -> None:
    person = await api.person()
    async with api.parts.database.primary.connection(5) as conn:
        count = "SELECT COUNT(*) FROM refresh_tokens WHERE INSTR(hash, %s)"
        assert await fetch_one(conn, count, person.refresh_token) == (0,)
        while await delete_expired_tokens(conn, datetime.now(UTC), 1000):
            pass  # of other tests
        assert await delete_expired_sessions(conn, datetime.now(UTC), 1000) == 0
        later = datetime.now(UTC) + timedelta(days=31)
        assert await delete_expired_tokens(conn, later, 1000) >= 1
        assert await delete_expired_sessions(conn, later, 1000) >= 2
        assert await fetch_one(conn, "SELECT COUNT(*) FROM refresh_families") == (0,)
    assert (await api.call("POST", "/v1/auth/refresh", {"refresh_token": person.refresh_token})).status == 401
