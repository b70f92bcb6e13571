"""No statement reads a whole table: every one that stands in the source is seen at work and explained on tables of many rows."""

import ast
import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import aiomysql
import pytest
from aiomysql.cursors import Cursor, DictCursor

import api as source
from api import migrate, reconcile
from api import tidy as tidying
from api.actions import insert_event_from_ahead
from api.numbers import select_given
from api.outbox_rows import Row, delete_and_commit
from api.session_rows import select_session_ended
from api.untold_ends import select_waiting_ends
from store.events import FollowChange
from store.highest import Highest
from tests.integration.api_outages import PRIMARY, admin, admin_of
from tests.integration.api_support import PASSWORD, Api, make_settings, running_api
from tests.integration.test_api_frozen import text_of

_DOUBLINGS = (
    18  # 262,144 rows of each kind, and four times as many refresh tokens: the optimizer's choice is that of millions
)
_FEW = 1000  # rows that any statement may look at
_BEGINS = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|BEGIN|COMMIT)\b")

# What reads more than it may, and why that is right, by how it begins.
_BOUNDED = {"SELECT COUNT(*) FROM (SELECT 1 FROM outbox": "ends at 100,000 rows, of an index, once in half a second"}

_FILL = (
    "INSERT INTO users (id, username, password, created_at) SELECT n + 1000, CONCAT('p', LPAD(n, 9, '0')), 'x', NOW(3)"
    " FROM numbers",
    "INSERT INTO sessions (id, user_id, created_at, expires_at)"
    " SELECT LPAD(n, 36, '0'), n % 50000 + 1000, NOW(3), NOW(3) + INTERVAL n SECOND FROM numbers",
    "INSERT INTO refresh_tokens (hash, session_id, expires_at, used_at)"
    " SELECT UNHEX(LPAD(HEX(n * 4 + k), 64, '0')), LPAD(n, 36, '0'), NOW(3) + INTERVAL n SECOND, NOW(3)"
    " FROM numbers, (SELECT 0 AS k UNION SELECT 1 UNION SELECT 2 UNION SELECT 3) AS four",
    "INSERT INTO refresh_families (hash, session_id) SELECT UNHEX(LPAD(HEX(n), 64, '0')), LPAD(n, 36, '0') FROM numbers",
    "INSERT INTO events_from_ahead SELECT n + 1000, LPAD(n, 36, '0') FROM numbers",
    "INSERT INTO friends SELECT n % 1000 + 1000, n DIV 1000 + 1000, 1, n % 2 FROM numbers",
    "INSERT INTO posts (author, text, created_at) SELECT n % 5000 + 1000, 'a text', NOW(3) FROM numbers",
    "INSERT INTO post_keys SELECT n % 5000 + 1000, n, UNHEX(LPAD(HEX(n), 64, '0')), n, LPAD(n, 36, '0'),"
    " NOW(3) - INTERVAL n SECOND FROM numbers",
    "INSERT INTO last_events SELECT n + 1000, LPAD(n, 36, '0') FROM numbers",
    "INSERT INTO outbox (actor, event_id, type, body, created_at)"
    " SELECT n % 5000 + 1000, LPAD(n, 36, '0'), 'post', '{}', NOW(3) FROM numbers",
    "INSERT INTO waiting_ends SELECT n + 10000000, n, LPAD(n, 36, '0') FROM numbers",
    "INSERT INTO departures SELECT n + 10000000, NOW(3) - INTERVAL n SECOND FROM numbers",
)


def statements_of(path: Path) -> Iterator[str]:
    """Every text in the file that begins as a statement does, as a pattern of what is sent."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    pieces = {id(piece) for node in nodes if isinstance(node, ast.JoinedStr) for piece in node.values}
    for node in nodes:
        parts: list[ast.expr] = []
        if id(node) in pieces:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = [node]
        elif isinstance(node, ast.JoinedStr):
            parts = node.values
        if not parts or not isinstance(parts[0], ast.Constant) or not _BEGINS.match(str(parts[0].value)):
            continue
        texts = (str(part.value) if isinstance(part, ast.Constant) else "%s" for part in parts)
        yield ".*".join(re.escape(piece) for piece in "".join(texts).split("%s"))


def in_source() -> dict[str, str]:
    """Pattern -> file, of all that name a table."""
    files = sorted(Path(source.__path__[0]).glob("*.py"))
    found = {pattern: path.name for path in files for pattern in statements_of(path)}
    return {pattern: name for pattern, name in found.items() if re.search(r"\b(FROM|INTO|UPDATE)\b", pattern)}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is sent to MySQL from now on, with its values."""
    texts: list[str] = []
    execute = Cursor.execute

    async def recording(self: Any, query: str, args: Any = None) -> Any:
        if not isinstance(self, DictCursor):
            texts.append(self.mogrify(query, args))
        return await execute(self, query, args)

    monkeypatch.setattr(Cursor, "execute", recording)
    return texts


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done here is not for the replica: it would stop at the first row that it lacks."""
    connect = aiomysql.connect

    def without_log(*given: Any, **options: Any) -> Any:
        if "sql_mode" in options:
            options["sql_mode"] += ", sql_log_bin=0"
        return connect(*given, **options)

    monkeypatch.setattr(aiomysql, "connect", without_log)


@pytest.fixture
async def large(mysql: dict[str, Any], tmp_path: Path, sent: list[str], unlogged: None) -> AsyncIterator[Api]:
    """An API over tables with many rows."""
    dsn = replace(admin_of(mysql[PRIMARY]), database=f"large_{uuid4().hex[:8]}")
    async with admin(mysql[PRIMARY]) as conn, conn.cursor(DictCursor) as cursor:
        await cursor.execute("SET sql_log_bin = 0")
        await cursor.execute(f"CREATE DATABASE {dsn.database}")
        named = {"MYSQL_PRIMARY": text_of(dsn), "MYSQL_REPLICA": text_of(dsn)}
        settings = make_settings(tmp_path, named, redis_url=mysql["redis"].env["REDIS_URL"])
        async with running_api(settings, outbox=False) as api:
            await cursor.execute(f"USE {dsn.database}")
            await cursor.execute("SET unique_checks = 0")
            await cursor.execute("CREATE TABLE numbers (n BIGINT PRIMARY KEY)")
            await cursor.execute("INSERT INTO numbers VALUES (0)")
            for k in range(_DOUBLINGS):
                await cursor.execute(f"INSERT INTO numbers SELECT n + {2**k} FROM numbers")  # noqa: S608
            for sql in _FILL:
                await cursor.execute(sql)
            tables = (
                "users, sessions, refresh_tokens, refresh_families, friends, posts, post_keys, last_events,"
                " events_from_ahead, outbox, waiting_ends, departures"
            )
            await cursor.execute(f"ANALYZE TABLE {tables}")
            yield api
        await cursor.execute(f"DROP DATABASE {dsn.database}")


async def everything(api: Api) -> None:
    """All that the API does with MySQL."""
    me, you = await api.person(), await api.person()
    await api.call("POST", "/v1/auth/sign-in", {"username": me.username, "password": PASSWORD})
    refreshed = await api.call("POST", "/v1/auth/refresh", {"refresh_token": me.refresh_token})
    await api.call("POST", "/v1/auth/refresh", {"refresh_token": refreshed.body["refresh_token"]})
    for _ in range(2):
        await api.call("POST", f"/v1/friends/{you.id}", token=me.token)
        for path in (
            "/v1/me",
            "/v1/users?query=p00",
            "/v1/users",
            "/v1/users?after=p0",
            "/v1/friends",
            "/v1/friends?after=1",
        ):
            assert (await api.call("GET", path, token=me.token)).status == 200
        for path in (f"/v1/users/{you.id}", f"/v1/users/{you.id}/posts", f"/v1/users/{me.id}/posts?before=9"):
            assert (await api.call("GET", path, token=me.token)).status == 200
        await api.call("DELETE", f"/v1/friends/{you.id}", token=me.token)
    for _ in range(2):
        made = await api.call("POST", "/v1/posts", {"text": "one"}, token=me.token, headers={"Idempotency-Key": '"k"'})
        assert made.status == 201
    await api.call("DELETE", f"/v1/posts/{made.body['id']}", token=me.token)
    await api.call("POST", "/v1/auth/sign-out", token=me.token)
    assert (await api.call("DELETE", "/v1/me", {"password": PASSWORD}, token=you.token)).status == 204
    third = await api.person()
    token = third.refresh_token
    for _ in range(2):
        token = (await api.call("POST", "/v1/auth/refresh", {"refresh_token": token})).body["refresh_token"]
    # Its row has gone: it is known by its family.
    assert (await api.call("POST", "/v1/auth/refresh", {"refresh_token": third.refresh_token})).status == 401
    await api.parts.database.read_primary(select_session_ended, "no such session")
    await _after_a_restore(api, me.id, you.id)
    await api.parts.outbox._tell([2**40, 2**40 + 1], "at once")
    await api.parts.outbox._tell(None, "swept")


class _Archive:
    """What `reconcile` asks of it."""

    async def log(self, _: Any) -> Any:
        return SimpleNamespace(highest=Highest(1, 1, "0" * 36, 1))


async def _after_a_restore(api: Api, uid: int, followee: int) -> None:
    """What is asked of a primary that may have been set back, or whose clock was ahead; and what waits for Kafka."""
    primary = api.parts.database.primary
    await select_given(primary, uid)
    await reconcile._raise(primary, cast("Any", _Archive()), print)
    async with primary.connection(30) as conn:
        await insert_event_from_ahead(conn, uid, "0" * 36)
        await reconcile.select_here(conn, [uid, followee])
        await reconcile.upsert_newer(conn, [FollowChange(uid, followee, 1, True)])
        await select_waiting_ends(conn, 0, 100)
        await conn.begin()
        await delete_and_commit(conn, [Row(2**41, uid, "0" * 36, "logout", None, b"", datetime.now(UTC))])
    await migrate.migrate(primary)


@pytest.mark.timeout(300)
async def test_every_statement_in_the_source_is_seen_and_none_reads_a_whole_table(
    large: Api, mysql: dict[str, Any], sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "_EVERY_SECONDS", 0.1)
    missing = in_source()
    background = [
        asyncio.create_task(task) for task in (tidying.tidy(large.parts.database), large.parts.outbox.watch())
    ]
    try:
        await everything(large)
        with suppress(TimeoutError):
            async with asyncio.timeout(30):
                while missing := {p: f for p, f in missing.items() if not any(re.search(p, text) for text in sent)}:
                    await asyncio.sleep(0.1)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
    assert missing == {}, "these are never seen here: add what sends them to `everything`"

    read_whole = {}
    async with admin(mysql[PRIMARY]) as conn, conn.cursor(DictCursor) as cursor:
        await cursor.execute(f"USE {large.parts.settings.mysql_primary.database}")
        for sql in {part.strip() for text in sent for part in text.split(";")}:
            if re.match(r"(SELECT|UPDATE|DELETE)\b", sql):
                await cursor.execute(f"EXPLAIN {sql}")
                for row in await cursor.fetchall():
                    if (
                        row["type"] in ("ALL", "index")
                        and not str(row["table"]).startswith("<")
                        and int(row["rows"] or 0) > _FEW
                    ):
                        read_whole[sql] = row
    assert {sql: row for sql, row in read_whole.items() if not sql.startswith(tuple(_BOUNDED))} == {}


def test_statements_are_found_in_the_source_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_text(
        'A = "SELECT a" " FROM t WHERE b = %s"\nB = f"DELETE FROM {t} WHERE x"\nC = "Select what you like"\n'
    )

    assert list(statements_of(path)) == [r"SELECT\ a\ FROM\ t\ WHERE\ b\ =\ .*", r"DELETE\ FROM\ .*\ WHERE\ x"]
