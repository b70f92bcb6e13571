"""MySQL set back to a dump, behind an archive that knows more: it is noticed, refused in words, and mended by one command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api.reconcile import CannotReconcile, reconcile
from api.rows import fetch_all, fetch_one
from api.settings import ApiSettings
from local.process import Process
from store.archive import Archive, open_archive
from tests.integration.api_outages import PRIMARY, admin, admin_of
from tests.integration.api_support import PASSWORD, Api, form, make_settings, running_api
from tests.integration.test_storekeeper import keeping, until


@dataclass
class World:
    settings: ApiSettings
    server: Process
    database: str
    archive: Archive

    async def dump(self) -> list[tuple[str, str]]:
        """Copies every table; each with the statement that makes it, which says the next number, as dumps do."""
        async with self._connected() as conn:
            await _run(conn, f"CREATE DATABASE {self.database}_dump")
            made = []
            for (table,) in await fetch_all(conn, "SHOW TABLES"):
                row = await fetch_one(conn, f"SHOW CREATE TABLE {table}")
                assert row is not None
                made.append((table, row[1]))
                await _run(conn, f"CREATE TABLE {self.database}_dump.{table} AS SELECT * FROM {table}")  # noqa: S608
            return made

    async def set_back(self, dump: list[tuple[str, str]]) -> None:
        async with self._connected() as conn:
            for table, statement in dump:
                await _run(conn, f"DROP TABLE {table}")
                await _run(conn, statement)
                await _run(conn, f"INSERT INTO {table} SELECT * FROM {self.database}_dump.{table}")  # noqa: S608

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        async with admin(self.server) as conn:
            await _run(conn, f"USE {self.database}")
            yield conn


async def _run(conn: Any, sql: str) -> None:
    async with conn.cursor() as cursor:
        await cursor.execute(sql)


@pytest.fixture
async def world(
    mysql: dict[str, Any], kafka: Process, mongo: Process, names: dict[str, object], tmp_path: Path
) -> AsyncIterator[World]:
    """A database, a topic and an archive of its own."""
    database = f"back_{uuid4().hex[:8]}"
    dsn = replace(admin_of(mysql[PRIMARY]), database=database)
    async with admin(mysql[PRIMARY]) as conn:
        await _run(conn, f"CREATE DATABASE {database}")
    env = {name: value for one in (kafka, mongo, mysql["redis"]) for name, value in one.env.items()}
    settings = make_settings(
        tmp_path,
        env,
        **names,
        kafka_partitions=3,
        mysql_primary=dsn,
        mysql_replica=dsn,
    )
    async with open_archive(settings) as archive:
        yield World(settings, mysql[PRIMARY], database, archive)


async def done(api: Api, method: str, path: str, person: Any, body: object = None) -> Any:
    answer = await api.call(method, path, body, token=person.token)
    assert answer.status in (200, 201, 204), answer
    return answer.body


async def everything_is_kept(api: Api, archive: Archive) -> bool:
    """Whether the newest event of everybody who is here is in the archive."""
    async with api.parts.database.primary.connection(5) as conn:
        newest = await fetch_one(conn, "SELECT MAX(event_id) FROM last_events")
    state = await archive.log(lambda logbook: logbook.state())
    return state is not None and state.highest is not None and newest == (state.highest.event,)


@pytest.mark.timeout(300)
async def test_what_mysql_has_lost_is_noticed_refused_in_words_and_never_given_out_twice(world: World) -> None:
    archive = world.archive
    async with keeping(world.settings):
        async with running_api(world.settings, kafka=True) as api:
            ann, bob, leaver = await api.person(), await api.person(), await api.person()
            first = await done(api, "POST", "/v1/posts", ann, {"text": "in the dump"})
            await done(api, "POST", f"/v1/friends/{bob.id}", ann)
            dump = await world.dump()

            lost = await api.person()
            second = await done(api, "POST", "/v1/posts", ann, {"text": "lost"})
            await done(api, "DELETE", f"/v1/posts/{second['id']}", ann)
            for method in ("DELETE", "POST", "DELETE", "POST"):
                await done(api, method, f"/v1/friends/{bob.id}", ann)
            await done(api, "DELETE", "/v1/me", leaver, {"password": PASSWORD})
            await until(lambda: everything_is_kept(api, archive))
            assert api.parts.numbers.proof == ""
        await world.set_back(dump)

        async with running_api(world.settings, kafka=True) as api:
            numbers = api.parts.numbers
            await until(lambda: _true(numbers.proof))
            ready = await api.call("GET", "/readyz")
            refused = [
                await api.call("POST", "/v1/auth/sign-up", form("somebody-new")),
                await api.call("POST", "/v1/posts", {"text": "x"}, token=ann.token),
                await api.call("DELETE", f"/v1/friends/{bob.id}", token=ann.token),
            ]

            said: list[str] = []
            await reconcile(world.settings, said.append)
            await until(lambda: _true(not numbers.proof))
            newcomer = await api.person()
            third = await done(api, "POST", "/v1/posts", ann, {"text": "after"})
            listed = (await done(api, "GET", "/v1/friends", ann))["items"]
            await done(api, "DELETE", f"/v1/friends/{bob.id}", ann)
            gone = await api.call("POST", "/v1/auth/sign-in", {"username": leaver.username, "password": PASSWORD})
            await until(lambda: everything_is_kept(api, archive))

            assert ready.status == 200 and f"account {lost.id}" in ready.body["set_back"]
            assert {(one.status, one.body["error"]) for one in refused} == {(503, "set-back")}
            assert all("python -m api reconcile" in one.body["message"] for one in refused)
            assert newcomer.id > lost.id and third["id"] > second["id"] > first["id"]
            assert [one["id"] for one in listed] == [bob.id]
            follows = (await archive.following(ann.id)).regardless("a test looks")
            assert follows == {}, "an unfollow after the command counts"
            assert gone.status == 401
            assert any("users: the next number" in line for line in said)
            assert (await api.call("GET", "/readyz")).status == 200


@pytest.mark.timeout(300)
async def test_follows_alone_that_are_lost_are_noticed_too(world: World) -> None:
    async with keeping(world.settings):
        async with running_api(world.settings, kafka=True) as api:
            ann, bob = await api.person(), await api.person()
            await done(api, "POST", "/v1/posts", ann, {"text": "x"})
            dump = await world.dump()
            await done(api, "POST", f"/v1/friends/{bob.id}", ann)
            await until(lambda: everything_is_kept(api, world.archive))
        await world.set_back(dump)  # tables that go and come under an API that runs end it

        async with running_api(world.settings, kafka=True) as api:
            await until(lambda: _true(f"the newest event of account {ann.id}" in api.parts.numbers.proof))
            await reconcile(world.settings, lambda _line: None)
            await until(lambda: _true(not api.parts.numbers.proof))
            assert [one["id"] for one in (await done(api, "GET", "/v1/friends", ann))["items"]] == [bob.id]


async def test_nothing_is_reconciled_with_an_archive_that_lags_and_no_storekeeper(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reconcile._STANDS_STILL", 1)
    async with running_api(world.settings, kafka=True) as api:
        ann = await api.person()
        async with keeping(world.settings):
            await until(lambda: everything_is_kept(api, world.archive))
        await done(api, "POST", "/v1/posts", ann, {"text": "not kept"})
        await until(lambda: _true(api.parts.outbox.waiting == 0))

        with pytest.raises(CannotReconcile, match="behind Kafka"):
            await reconcile(world.settings, lambda _line: None)


async def test_an_archive_that_is_away_keeps_no_api_from_starting(world: World) -> None:
    away = world.settings.model_copy(update={"mongo_url": "mongodb://127.0.0.1:1/?directConnection=true"})
    async with running_api(away) as api:
        assert (await api.call("GET", "/readyz")).body["missing"].keys() <= {"numbers"}
        await api.person()
        await until(lambda: _ready(api))
        assert api.parts.numbers.proof == ""


async def _ready(api: Api) -> bool:
    return (await api.call("GET", "/readyz")).status == 200


async def _true(so: object) -> bool:
    return bool(so)


async def test_an_archive_of_a_version_that_kept_no_numbers_learns_them(world: World) -> None:
    async with running_api(world.settings, kafka=True) as api:
        ann = await api.person()
        post = await done(api, "POST", "/v1/posts", ann, {"text": "x"})
        async with keeping(world.settings):
            await until(lambda: everything_is_kept(api, world.archive))
        await world.archive._database.progress.update_one({"_id": "log"}, {"$unset": {"highest": ""}})

        await world.archive.note_highest()

        state = await world.archive.log(lambda logbook: logbook.state())
        assert state is not None and state.highest is not None
        assert (state.highest.actor, state.highest.post, state.highest.author) == (ann.id, post["id"], ann.id)
        assert await everything_is_kept(api, world.archive)
