"""A primary that goes, freezes and comes back: reads go on, writes say at once that they cannot be had (G7)."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from api.settings import ApiSettings
from api.users import select_posts
from tests.integration.api_outages import PRIMARY, REPLICA, away, eventually, timed
from tests.integration.api_support import (
    NOBODY,
    Api,
    Person,
    make_settings,
    running_api,
    settings,
    until,
)

__all__ = ["settings"]


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_g7_with_the_primary_gone_reads_go_on_writes_say_try_again_at_once_and_all_is_well_when_it_is_back(
    settings: ApiSettings, mysql: dict[str, Any], how: str
) -> None:
    async with running_api(settings) as api:
        person = await api.person()
        assert (await api.post(person, "before")).status == 201
        await until(lambda: not api.parts.database.replica_is_late)
        async with asyncio.timeout(20):  # what a replica lacks is never said not to be there: see test_api_replica.py
            while not await on_replica(api, select_posts, person.id, 2**62, 1):
                await asyncio.sleep(0.01)
        async with away(mysql[PRIMARY], how):
            answer, took = await timed(api, person, "POST", "/v1/posts", {"text": "now"})
            # A second for a connection, four for the transaction, and room for a busy machine.
            assert (answer.status, answer.headers["Retry-After"], took < 5 + 1) == (503, "1", True)
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


async def on_replica(api: Api, query: Any, *args: object) -> Any:
    return (await api.parts.database.read_replica(query, *args)).regardless("the test asks what it has")


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


async def test_one_users_queue_takes_no_connection_that_others_need(settings: ApiSettings) -> None:
    async with running_api(settings, outbox=False) as api:
        crowd, other = await api.person(), await api.person()
        async with api.parts.actions.by(crowd.id):
            requests = [
                asyncio.create_task(api.call(method, path, token=crowd.token))
                for _ in range(20)
                for method, path in (("DELETE", "/v1/posts/999999"), ("POST", f"/v1/friends/{other.id}"))
            ]
            # One is inside, and 33 of these come in or wait.
            await until(lambda: sum(request.done() for request in requests) >= len(requests) - 33)
            over = [request.result() for request in requests if request.done()]
            used = api.parts.database.primary.used
            posted = [await api.post(other, str(number)) for number in range(3)]
        answers = [await request for request in requests]

    assert used <= 2 + 1, "one more may be looking how the replica is"
    assert [answer.status for answer in posted] == [201] * 3
    assert {(answer.status, answer.headers["Retry-After"]) for answer in over} == {(429, "1")}
    assert {answer.status for answer in answers} <= {200, 201, 404, 429, 503}
