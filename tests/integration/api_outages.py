"""MySQL servers that go, freeze and come back, and an API that is asked meanwhile."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomysql

from api.settings import Dsn
from tests.integration.api_support import (
    Answer,
    Api,
    Person,
)

REPLICA, PRIMARY = "mysql-replica", "mysql"


def admin_of(server: Any) -> Dsn:
    return Dsn.parse(next(value for name, value in server.env.items() if name.endswith("_ADMIN")))


@asynccontextmanager
async def admin(server: Any) -> AsyncIterator[Any]:
    dsn = admin_of(server)
    conn = await aiomysql.connect(dsn.host, dsn.user, dsn.password, dsn.database, dsn.port, autocommit=True)
    try:
        yield conn
    finally:
        conn.close()


@asynccontextmanager
async def frozen(server: Any) -> AsyncIterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@asynccontextmanager
async def away(server: Any, how: str) -> AsyncIterator[None]:
    if how == "frozen":
        async with frozen(server):
            yield
    else:
        await server.kill()
        try:
            yield
        finally:
            await server.start()


async def timed(api: Api, person: Person, method: str, path: str, body: object = None) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = await api.call(method, path, body, token=person.token)
    return answer, time.monotonic() - began


async def eventually(api: Api, person: Person, status: int, within: float = 10.0) -> None:
    """Posts until that is answered so."""
    end = time.monotonic() + within
    while (await api.post(person, "again")).status != status:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
